"""Schemas and faults that nobody wrote down: a clean one is found clean, and one fault is found on its object."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine
from tests.factories.looks import run
from tests.factories.supabase import make_supabase

from trunkline.db.urls import with_database
from trunkline.postgres.catalogue.model import Name, quote
from trunkline.readiness import Report, Target, analyse, target_of
from trunkline.readiness.example import Allow

EVERYTHING = ("select", "insert", "update", "delete")
MINE = "owner_id = (select auth.uid())"
WORDS = ("item", "Order", "user", "ключ", "two words", "select", "größe", "a" * 60)
"""Some need quotes, some are reserved, one is nearly as long as a name can be."""
TYPES: dict[str, Callable[[], TypeEngine[Any]]] = {
    "text": Text,
    "numeric": lambda: Numeric(10, 2),
    "moment": lambda: DateTime(timezone=True),
    "json": JSONB,
}


@dataclass(frozen=True)
class Field:
    """A column beside the keys."""

    name: str
    type: str
    nullable: bool
    is_unique: bool
    is_indexed: bool


@dataclass(frozen=True)
class Shape:
    """A schema with a parent and a child, whose rows belong to people."""

    schema: str
    parent: str
    child: str
    fields: tuple[Field, ...]

    def metadata(self) -> MetaData:
        """As mapped classes would have it."""
        metadata = MetaData(schema=None if self.schema == "public" else self.schema)
        Table(
            self.parent,
            metadata,
            *_keys(),
            *[Column(each.name, TYPES[each.type](), nullable=each.nullable) for each in self.fields],
            *[UniqueConstraint(each.name, name=f"u{n}") for n, each in enumerate(self.fields) if each.is_unique],
            *[Index(f"i{n}", each.name) for n, each in enumerate(self.fields) if each.is_indexed],
            info={"access": (Allow("authenticated", EVERYTHING, MINE),)},
        )
        key = f"{metadata.schema}.{self.parent}.id" if metadata.schema else f"{self.parent}.id"
        Table(
            self.child,
            metadata,
            *_keys(),
            Column("parent_id", Uuid, ForeignKey(key, ondelete="CASCADE", name="to_parent"), nullable=False),
            Column("state", Text, nullable=False, server_default="new"),
            CheckConstraint("state in ('new', 'done')", name="states"),
            Index("of_parent", "parent_id"),
            info={"access": (Allow("authenticated", EVERYTHING, self.of_my_parents()),)},
        )
        return metadata

    def of_my_parents(self) -> str:
        """Else a stranger could put a row of his own under somebody else's parent."""
        parent = self.name(self.parent).sql
        return f"{MINE} and exists (select 1 from {parent} p where p.id = parent_id and p.{MINE})"

    def target(self) -> Target:
        """The same, to compare with."""
        return target_of(self.metadata(), name="composed")

    def name(self, table: str) -> Name:
        """Of one of its tables."""
        return Name(self.schema, table)


def _keys() -> tuple[Column[object], ...]:
    return (
        Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
        Column("owner_id", Uuid, nullable=False, index=True),
    )


fields = st.builds(
    Field,
    name=st.sampled_from(WORDS),
    type=st.sampled_from(sorted(TYPES)),
    nullable=st.booleans(),
    is_unique=st.booleans(),
    is_indexed=st.booleans(),
).filter(lambda each: not (each.is_unique and each.is_indexed) and not (each.type == "json" and each.is_unique))
shapes = st.builds(
    Shape,
    schema=st.sampled_from(("public", "shop", "Shop Floor")),
    parent=st.sampled_from(WORDS),
    child=st.sampled_from(("lines", "Table", "child of it")),
    fields=st.lists(fields, min_size=1, max_size=4, unique_by=lambda each: each.name).map(tuple),
)


def made(shape: Shape) -> str:
    """SQL that makes it, without a fault."""
    lines = [f"create schema if not exists {quoted(shape.schema)}"]
    lines.append(f"grant usage on schema {quoted(shape.schema)} to authenticated")
    for table in shape.target().tables.values():
        lines += table.statements
        lines += [f"alter table {table.name.sql} {each} row level security" for each in ("enable", "force")]
        lines.append(f"grant {', '.join(EVERYTHING)} on {table.name.sql} to authenticated")
        for access in table.access or ():
            rule = f"using ({access.rows}) with check ({access.rows})"
            lines.append(f"create policy own on {table.name.sql} to {access.role} {rule}")
    return ";\n".join(lines)


@dataclass(frozen=True)
class Fault:
    """What makes it, and what must be said of which of the two tables."""

    make: str
    """SQL; `{parent}`, `{child}`, `{schema}` and `{field}` stand for names, `{values}` for the parent's fields."""
    table: Literal["parent", "child"]
    code: str
    column: str = ""
    """Of the finding's object, where it is a column; `{field}` is the parent's first."""


FAULTS = {
    "an index is dropped": Fault("drop index {schema}.of_parent", "child", "IDX002", "parent_id"),
    "a column is renamed": Fault("alter table {child} rename state to status", "child", "SCH003", "state"),
    "a column is dropped": Fault("alter table {parent} drop {field}", "parent", "SCH003", "{field}"),
    "a table is dropped": Fault("drop table {child}", "child", "SCH001"),
    "a foreign key is dropped": Fault("alter table {child} drop constraint to_parent", "child", "SCH009", "parent_id"),
    "a type is changed": Fault(
        "alter table {child} drop constraint states, alter state drop default, alter state type bytea using ''",
        "child",
        "SCH006",
        "state",
    ),
    "a default is dropped": Fault("alter table {child} alter state drop default", "child", "SCH012", "state"),
    "a NOT NULL is dropped": Fault("alter table {child} alter state drop not null", "child", "SCH007", "state"),
    "a CHECK is dropped": Fault("alter table {child} drop constraint states", "child", "SCH010", "state"),
    "row security is off": Fault("alter table {parent} disable row level security", "parent", "RLS001"),
    "row security is not forced": Fault("alter table {parent} no force row level security", "parent", "RLS002"),
    "everybody reads": Fault(
        "create policy everybody on {child} for select to authenticated using (true)", "child", "RLS007"
    ),
    "everybody writes": Fault(
        "create policy everybody on {child} for insert to authenticated with check (true)", "child", "RLS008"
    ),
    "there is no policy": Fault("drop policy own on {child}", "child", "RLS013"),
    "anybody empties it": Fault("grant truncate on {parent} to anon, authenticated", "parent", "EXP001"),
    "orphans are left": Fault(
        "alter table {child} drop constraint to_parent;"
        "insert into {child} (owner_id, parent_id) values (gen_random_uuid(), gen_random_uuid())",
        "child",
        "DAT001",
        "parent_id",
    ),
    "NULLs are left": Fault(
        "alter table {parent} alter owner_id drop not null; insert into {parent} {values}",
        "parent",
        "DAT002",
        "owner_id",
    ),
    "a value outside a CHECK is left": Fault(
        "alter table {child} drop constraint states, drop constraint to_parent;"
        "insert into {child} (owner_id, parent_id, state) values (gen_random_uuid(), gen_random_uuid(), 'odd')",
        "child",
        "DAT003",
        "state",
    ),
}
VALUES = {"text": "'x'", "numeric": "1", "moment": "now()", "json": "'{}'"}


def plant(shape: Shape, fault: Fault) -> str:
    """Its SQL for this schema."""
    columns = ", ".join(quoted(each.name) for each in shape.fields)
    values = ", ".join(VALUES[each.type] for each in shape.fields)
    return fault.make.format(
        schema=quoted(shape.schema),
        parent=shape.name(shape.parent).sql,
        child=shape.name(shape.child).sql,
        field=quoted(shape.fields[0].name),
        values=f"({columns}) values ({values})",
    )


def quoted(name: str) -> str:
    """For SQL."""
    return sql.Identifier(name).as_string()


@pytest.fixture(scope="module")
def supabase(admin_url: str) -> Generator[tuple[str, str]]:
    """The server's URL, and the name of a database with what Supabase has, to be cloned."""
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        with psycopg.connect(with_database(admin_url, name), autocommit=True) as inside:
            make_supabase(inside)
        yield admin_url, name
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def clone(supabase: tuple[str, str]) -> Generator[str]:
    """A database of its own for one example."""
    admin_url, template = supabase
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template {}").format(*map(sql.Identifier, (name, template))))
        try:
            yield with_database(admin_url, name)
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def found(report: Report) -> set[tuple[str, str]]:
    """Code and object of each finding."""
    return {(each.code, each.object) for each in report.findings}


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shape=shapes, names=st.lists(st.sampled_from(sorted(FAULTS)), min_size=2, max_size=3, unique=True))
def test_a_clean_schema_has_no_finding_and_each_fault_is_found_on_its_object(
    supabase: tuple[str, str], shape: Shape, names: list[str]
) -> None:
    target = shape.target()
    with clone(supabase) as url:
        run(url, made(shape))
        clean = analyse(url, target)
    assert found(clean) == set()
    assert (clean.score, clean.not_checked) == (100, ())
    for name in names:
        check_fault(supabase, shape, FAULTS[name])


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_is_found_in_a_plain_schema(supabase: tuple[str, str], name: str) -> None:
    plain = Shape("public", "items", "lines", (Field("title", "text", False, False, True),))
    check_fault(supabase, plain, FAULTS[name])


def check_fault(supabase: tuple[str, str], shape: Shape, fault: Fault) -> None:
    """It is found on its object, and whatever else is said is about the same table."""
    with clone(supabase) as url:
        run(url, made(shape))
        run(url, plant(shape, fault))
        said = found(analyse(url, shape.target()))
    table = str(shape.name(shape.parent if fault.table == "parent" else shape.child))
    column = quote(shape.fields[0].name if fault.column == "{field}" else fault.column)
    assert (fault.code, f"{table}.{column}" if fault.column else table) in said
    assert [object_ for _, object_ in said if not object_.startswith(table)] == []
