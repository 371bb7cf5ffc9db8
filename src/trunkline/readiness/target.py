"""What a database is compared with, as a value: built from SQLAlchemy metadata and what is declared beside it.

Anybody's models will do. Beside a table or column, `info` may say more:

- `Table.info["access"]`: who may do what (objects with `role`, `commands`, `rows`, `columns`, `check`)
- `Table.info["formerly"]`: names that the table had in an older schema, as `("bots",)`
- `Table.info["component"]`: key of the component whose fields are graded
- `Table.info["external"]`: somebody else's table, as `auth.users`; not compared
- `Column.info["contract"]`: existing code asks for it by this name
- `Column.info["formerly"]`: names that the column had, as `("text", "message")`
- `Column.info["formerly_in"]`: where a JSON column held it, as `("config", ("model", "llm_model"))`
- `Column.info["formerly_values"]`: values that were written otherwise, as `{"model": "assistant"}`
- `Column.info["derived"]`: the database fills it where a writer doesn't
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import MetaData

from trunkline.postgres.catalogue.model import Name

Command = Literal["select", "insert", "update", "delete"]


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as the code needs it."""

    name: str
    type: str
    """As `format_type` would write it."""
    nullable: bool
    has_default: bool
    """The server fills it: by a default, an identity or a computed expression."""
    is_contract: bool
    is_derived: bool
    formerly: tuple[str, ...] = ()
    formerly_in: tuple[str, tuple[str, ...]] | None = None
    """A JSON column, and the keys (snake_case) that held the value there, flat or nested."""
    formerly_values: Mapping[str, str] | None = None
    ddl: str = ""
    """`name type default … not null`, as ALTER TABLE ADD COLUMN takes it."""


@dataclass(frozen=True, slots=True)
class TargetForeignKey:
    """A foreign key as the code needs it."""

    name: str
    columns: tuple[str, ...]
    parent: Name
    parent_columns: tuple[str, ...]
    on_delete: str | None


@dataclass(frozen=True, slots=True)
class TargetIndex:
    """An index (or the one under a unique constraint) as the code needs it."""

    name: str
    columns: tuple[str, ...]
    """Key columns in order; an expression is written out."""
    is_unique: bool
    predicate: str | None
    ddl: str
    is_contract: bool = False
    """Unique, or asked for by the model by name: what queries are written for."""


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """A CHECK as the code needs it."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Access:
    """A role may run commands on the rows that a predicate admits."""

    role: str
    commands: tuple[Command, ...]
    rows: str
    columns: tuple[str, ...] | None
    check: str | None


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table as the code needs it."""

    name: Name
    columns: Mapping[str, TargetColumn]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[TargetForeignKey, ...]
    indexes: tuple[TargetIndex, ...]
    checks: tuple[TargetCheck, ...]
    access: tuple[Access, ...] | None
    """None: nothing is declared, and policies aren't compared."""
    formerly: tuple[str, ...]
    component: str | None
    ddl: str
    """CREATE TABLE, complete."""


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One part of the grade."""

    key: str
    name: str
    kind: Literal["architecture", "table_names", "fields", "policies", "indexes"]
    tables: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Everything that a database is compared with."""

    name: str
    tables: Mapping[Name, TargetTable]
    components: tuple[ComponentSpec, ...]
    policy_ddl: tuple[str, ...] = ()
    """Functions, grants and policies as SQL, in order, where the code declares them."""


def target_of(metadata: MetaData, *, name: str) -> Target:
    """The target that mapped classes declare.

    Tables whose names or columns say what they are (`component`) are graded in the seven components of the founding
    analysis; where none does, all fields are one component.
    """
    raise NotImplementedError
