"""What a database is compared with, as a value: built from SQLAlchemy metadata and what is declared beside it.

Anybody's models will do. Beside a table or column, `info` may say more:

- `MetaData.info["principals"]`: who acts when policies are tried (objects with `name`, `role`, `claims`, `given`)
- `Table.info["access"]`: who may do what (objects with `role`, `commands`, `rows`, `columns`, `check`)
- `Table.info["formerly"]`: names that the table had in an older schema, as `("bots",)`
- `Table.info["component"]`: key of the component whose fields are graded
- `Table.info["external"]`: somebody else's table, as `auth.users`; not compared
- `Column.info["contract"]`: existing code asks for it by this name
- `Column.info["formerly"]`: names that the column had, as `("text", "message")`
- `Column.info["formerly_in"]`: where a JSON column held it, as `("config", ("model", "llm_model"))`
- `Column.info["formerly_values"]`: values that were written otherwise, as `{"model": "assistant"}`
- `Column.info["derived"]`: the database fills it where a writer doesn't
- `Table.info["columns"]`: the same marks by column, for columns that come from a mixin, as `{"id": {"contract": True}}`
- `Index.info["contract"]`: queries are written for it; goes without saying of unique ones and of those with own names
- `MetaData.info["sources"]`: what a database is called that has all of these tables, as `{"the old shop": ("stores",)}`
- `MetaData.info["policy_ddl"]`: functions, grants and policies as SQL, or a function without arguments that gives them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, MetaData, Table, UniqueConstraint
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateIndex, CreateTable

from trunkline.errors import TrunklineError
from trunkline.postgres.catalogue.model import Name
from trunkline.readiness import declared

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
    default: str | None = None
    """The server default's expression; None also where it is computed or counts up."""
    is_sent: bool = False
    """The code itself makes a value where its caller gives none, so that inserts need no default of the server."""
    is_computed: bool = False
    """Generated from other columns: the code never writes it."""


@dataclass(frozen=True, slots=True)
class TargetForeignKey:
    """A foreign key as the code needs it."""

    name: str
    columns: tuple[str, ...]
    parent: Name
    parent_columns: tuple[str, ...]
    on_delete: str | None
    """As of a constraint in the catalogue: `cascade`, `set null` …; None where nothing is said."""
    ddl: str = ""
    """ALTER TABLE ADD CONSTRAINT."""
    is_within_table: bool = True
    """CREATE TABLE makes it; else it waits until all tables are there, since they refer to each other."""


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
    is_constraint: bool = False
    """Made by CREATE TABLE, as the one under a unique constraint."""


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
class Principal:
    """Somebody to act as when policies are tried; without one, `authenticated` acts with `sub` and `role` alone.

    In strings, `{table.column}` stands for that column of the row that is made up for the principal's own tenant,
    `{person}` for its person's id.
    """

    name: str
    """In words, as `a visitor of the row's website`."""
    role: str
    claims: Mapping[str, object]
    """Content of `request.jwt.claims`."""
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    """What made-up rows must hold for its rights to apply: `{"agents.is_published": "true"}`."""


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
    """CREATE TABLE with its constraints; indexes, and foreign keys that must wait, have statements of their own."""
    types: tuple[str, ...] = ()
    """CREATE TYPE and CREATE DOMAIN for types of its columns."""

    @property
    def statements(self) -> tuple[str, ...]:
        """All that makes the table: its types, itself, its indexes. Foreign keys that must wait are left out."""
        indexes = (index.ddl for index in self.indexes if not index.is_constraint)
        return (*self.types, self.ddl, *indexes)


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
    principals: tuple[Principal, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """What kind of database it is that has all of these tables; the first that fits counts."""


class CannotCompare(TrunklineError):
    """The models say something that a PostgreSQL database can't be compared with."""

    status = 422
    code = "models"
    title = "These models can't be compared with a database"


_MEND = "Mend the model, or leave the table out with info={'external': True}."
_FIELDS = {
    "session_fields": "Session fields",
    "message_fields": "Message fields",
    "agent_fields": "Agent fields",
}
"""Components of fields, in the order of the founding analysis."""


def target_of(metadata: MetaData, *, name: str) -> Target:
    """The target that mapped classes declare.

    Tables whose names or columns say what they are (`component`) are graded in the seven components of the founding
    analysis; where none does, all fields are one component. Tables of schemas named `trunkline…` are private to the
    server and left out.

    Raises:
        CannotCompare: a type that PostgreSQL lacks, a foreign key to a table that isn't there.
    """
    try:
        tables = dict(_tables(metadata))
    except SQLAlchemyError as error:
        raise CannotCompare(f"{error}. {_MEND}") from error
    return Target(
        name=name,
        tables=tables,
        components=tuple(_components(tables)),
        policy_ddl=_policy_ddl(metadata),
        principals=_principals(metadata),
        sources=metadata.info.get("sources", {}),
    )


def _tables(metadata: MetaData) -> Iterator[tuple[Name, TargetTable]]:
    """Parents first."""
    own, waiting = declared.in_order([table for table in metadata.tables.values() if _is_compared(table)])
    for table in own:
        try:
            described = _table(table, waiting)
        except SQLAlchemyError as error:
            raise CannotCompare(f"{_name(table)}: {error}. {_MEND}") from error
        yield described.name, described


def _is_compared(table: Table) -> bool:
    return not table.info.get("external") and not (table.schema or "").startswith("trunkline")


def _name(table: Table) -> Name:
    return Name(table.schema or "public", table.name)


def _table(table: Table, waiting: set[ForeignKeyConstraint]) -> TargetTable:
    marks = declared.marks(table)
    inline = [key for key in table.foreign_key_constraints if key not in waiting]
    return TargetTable(
        name=_name(table),
        columns={column.name: _column(column, marks.get("columns", {})) for column in table.columns},
        primary_key=declared.key_columns(table.primary_key),
        foreign_keys=tuple(
            sorted((_foreign_key(key, key not in waiting) for key in table.foreign_key_constraints), key=_by_name)
        ),
        indexes=tuple(sorted(_indexes(table), key=_by_name)),
        checks=tuple(sorted(_checks(table), key=_by_name)),
        access=_access(marks.get("access")),
        formerly=tuple(marks.get("formerly", ())),
        component=marks.get("component"),
        ddl=declared.ddl_of(CreateTable(table, include_foreign_key_constraints=inline)),
        types=declared.types_of(table),
    )


def _by_name(item: TargetForeignKey | TargetIndex | TargetCheck) -> str:
    return item.name


def _column(column: Column[Any], marks_by_column: Mapping[str, Mapping[str, Any]]) -> TargetColumn:
    marks = {**declared.marks(column), **marks_by_column.get(column.name, {})}
    place: tuple[str, tuple[str, ...]] | None = marks.get("formerly_in")
    counts_up = column.table.autoincrement_column is column and column.default is None
    return TargetColumn(
        name=column.name,
        type=declared.type_name(column.type),
        nullable=bool(column.nullable),
        has_default=column.server_default is not None or column.identity is not None or counts_up,
        is_contract=bool(marks.get("contract")),
        is_derived=bool(marks.get("derived")),
        formerly=tuple(marks.get("formerly", ())),
        formerly_in=None if place is None else (place[0], tuple(place[1])),
        formerly_values=marks.get("formerly_values"),
        ddl=declared.ddl_of(CreateColumn(column)),
        default=declared.default_of(column),
        is_sent=column.default is not None,
        is_computed=column.computed is not None,
    )


def _foreign_key(key: ForeignKeyConstraint, is_within_table: bool) -> TargetForeignKey:
    columns = tuple(key.column_keys)
    action = (key.ondelete or "").lower().partition("(")[0].strip()
    return TargetForeignKey(
        name=declared.name_of(key, f"{key.table.name}_{'_'.join(columns)}_fkey"),
        columns=tuple(element.parent.name for element in key.elements),
        parent=_name(key.referred_table),
        parent_columns=tuple(element.column.name for element in key.elements),
        on_delete=action or None,
        ddl=declared.ddl_of(AddConstraint(key, isolate_from_table=False)),
        is_within_table=is_within_table,
    )


def _indexes(table: Table) -> Iterator[TargetIndex]:
    for index in table.indexes:
        columns = declared.key_columns(index)
        yield TargetIndex(
            name=declared.name_of(index, f"{table.name}_{'_'.join(columns)}_idx"),
            columns=columns,
            is_unique=bool(index.unique),
            predicate=declared.predicate_of(index),
            ddl=declared.ddl_of(CreateIndex(index)),
            is_contract=bool(index.unique or index.info.get("contract") or declared.has_own_name(index)),
        )
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            columns = declared.key_columns(constraint)
            yield TargetIndex(
                name=declared.name_of(constraint, f"{table.name}_{'_'.join(columns)}_key"),
                columns=columns,
                is_unique=True,
                predicate=None,
                ddl=declared.ddl_of(AddConstraint(constraint, isolate_from_table=False)),
                is_contract=True,
                is_constraint=True,
            )


def _checks(table: Table) -> Iterator[TargetCheck]:
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            sql = declared.expression(constraint.sqltext)
            yield TargetCheck(declared.name_of(constraint, f"{table.name}_check"), sql)


def _access(declaration: Iterable[Any] | None) -> tuple[Access, ...] | None:
    if declaration is None:
        return None
    return tuple(Access(each.role, each.commands, each.rows, each.columns, each.check) for each in declaration)


def _principals(metadata: MetaData) -> tuple[Principal, ...]:
    said = cast("Iterable[Any]", metadata.info.get("principals", ()))
    return tuple(Principal(each.name, each.role, each.claims, each.given) for each in said)


def _policy_ddl(metadata: MetaData) -> tuple[str, ...]:
    said = cast("Iterable[str] | Callable[[], Iterable[str]]", metadata.info.get("policy_ddl", ()))
    return tuple(said() if callable(said) else said)


def _components(tables: Mapping[Name, TargetTable]) -> Iterator[ComponentSpec]:
    marked = [table for table in tables.values() if table.component is not None]
    basis = [table for table in marked if table.component == "architecture"]
    contract = [table for table in marked if table.formerly]
    yield ComponentSpec("architecture", "Architecture", "architecture", _names(basis if marked else tables.values()))
    yield ComponentSpec("table_names", "Table names", "table_names", _names(contract if marked else tables.values()))
    yield from _field_components(tables, marked)
    restricted = [table for table in tables.values() if table.access is not None]
    if restricted:
        yield ComponentSpec("rls_policies", "RLS policies", "policies", _names(restricted))
    indexed = [table for table in tables.values() if table.indexes]
    yield ComponentSpec("indexes", "Indexes", "indexes", _names(indexed))


def _field_components(tables: Mapping[Name, TargetTable], marked: list[TargetTable]) -> Iterator[ComponentSpec]:
    if not marked:
        yield ComponentSpec("fields", "Fields", "fields", _names(tables.values()))
        return
    keys = {table.component for table in marked} - {"architecture", None}
    known = [key for key in _FIELDS if key in keys]
    for key in [*known, *sorted(str(key) for key in keys if key not in known)]:
        title = _FIELDS.get(key, key.replace("_", " ").capitalize())
        yield ComponentSpec(key, title, "fields", _names(table for table in marked if table.component == key))


def _names(tables: Iterable[TargetTable]) -> tuple[Name, ...]:
    return tuple(table.name for table in tables)
