"""Rules that hold for every table, read from the catalogue: keys, indexes, policies, triggers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from tests.factories.world import make_world

from trunkline.db.schema import own_tables, qualified
from trunkline.models import Base

TABLES = [qualified(table) for table in own_tables(Base.metadata)]
TENANT_TABLES = [qualified(table) for table in own_tables(Base.metadata) if "organization_id" in table.columns]
UNTENANTED = {"public.profiles", "public.organizations"}
"""The two tables above all tenants: people, and the tenants themselves."""

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def owner(owner_url: str) -> Iterator[Connection]:
    """The owner, on a fresh database with our schema."""
    with psycopg.connect(owner_url) as connection:
        yield connection


@dataclass(frozen=True)
class ForeignKey:
    """One foreign key of the catalogue."""

    name: str
    table: str
    columns: tuple[str, ...]
    parent: str


def names(value: object) -> tuple[str, ...]:
    """A text array of the catalogue, sent as comma-separated text."""
    return tuple(str(value).split(",")) if value else ()


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """All foreign keys of our tables."""
    rows = connection.execute(
        """
        select k.conname, n.nspname || '.' || c.relname,
          (select string_agg(a.attname, ',' order by place) from unnest(k.conkey) with ordinality as u(attnum, place)
           join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum),
          pn.nspname || '.' || p.relname
        from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class p on p.oid = k.confrelid join pg_namespace pn on pn.oid = p.relnamespace
        where k.contype = 'f' and n.nspname || '.' || c.relname = any (%s)
        """,
        (TABLES,),
    ).fetchall()
    return [ForeignKey(str(name), str(table), names(columns), str(parent)) for name, table, columns, parent in rows]


def indexes(connection: Connection) -> dict[str, list[tuple[str, ...]]]:
    """The columns of each index, by table; an expression is an empty name."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    rows = connection.execute(
        """
        select n.nspname || '.' || c.relname,
          (select string_agg(coalesce(a.attname, ''), ',' order by place)
           from unnest(x.indkey::smallint[]) with ordinality as u(attnum, place)
           left join pg_attribute a on a.attrelid = x.indrelid and a.attnum = u.attnum)
        from pg_index x join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname || '.' || c.relname = any (%s) and x.indisvalid
        """,
        (TABLES,),
    ).fetchall()
    for table, columns in rows:
        found[str(table)].append(names(columns))
    return found


def is_served(key: ForeignKey, found: list[tuple[str, ...]]) -> bool:
    """Whether an index leads to the children of one parent without reading other organizations' or other parents' rows.

    Either it starts with the key's columns, or with the one column that names the parent.
    """
    child = key.columns[-1]
    return any(index[:1] == (child,) or set(index[: len(key.columns)]) == set(key.columns) for index in found)


def test_every_foreign_key_has_an_index_under_it(owner: Connection) -> None:
    found = indexes(owner)
    keys = foreign_keys(owner)
    assert len(keys) > 30
    assert [key.name for key in keys if not is_served(key, found[key.table])] == []


def test_a_missing_index_would_be_found(owner: Connection) -> None:
    owner.execute("drop index public.agent_messages_turn_id_idx")
    missing = [key.name for key in foreign_keys(owner) if not is_served(key, indexes(owner)[key.table])]
    assert missing == ["agent_messages_organization_id_turn_id_fkey"]


def test_every_policy_has_an_index_under_it(owner: Connection) -> None:
    """A policy depends on columns (the catalogue says on which); one of them leads an index."""
    found = indexes(owner)
    rows = owner.execute(
        """
        select p.polname, n.nspname || '.' || c.relname, string_agg(distinct a.attname, ',')
        from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refobjid = c.oid
          and d.refobjsubid > 0
        join pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
        where p.polroles <> array['trunkline_definer'::regrole::oid]
        group by 1, 2
        """
    ).fetchall()
    assert len(rows) > 100
    bare = [name for name, table, columns in rows if not any(index[0] in names(columns) for index in found[str(table)])]
    assert bare == []


def test_every_policy_that_calls_a_function_does_so_once_a_statement(owner: Connection) -> None:
    """`(select f())` is computed once; a bare `f()` for every row."""
    rows = owner.execute("select policyname, coalesce(qual, '') || ' ' || coalesce(with_check, '') from pg_policies")
    calls = 0
    for name, text in rows.fetchall():
        for match in re.finditer(r"app\.\w+\(", str(text)):
            calls += 1
            before = str(text)[: match.start()]
            assert opened_select(before), f"{name}: {text}"
    assert calls > 100


def opened_select(text: str) -> bool:
    """Whether the text ends inside a parenthesis that a SELECT opened."""
    stack: list[int] = []
    for place, character in enumerate(text):
        if character == "(":
            stack.append(place)
        elif character == ")":
            stack.pop()
    return any(text[place + 1 :].lstrip().startswith("SELECT") for place in stack)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_forced_policies(table: str, owner: Connection) -> None:
    row = owner.execute(
        "select relrowsecurity, relforcerowsecurity, (select count(*) > 0 from pg_policy where polrelid = c.oid)"
        " from pg_class c where oid = %s::regclass",
        (table,),
    ).fetchone()
    assert row == (True, True, True)


def test_every_table_is_of_a_tenant_but_two() -> None:
    assert set(TABLES) - set(TENANT_TABLES) == UNTENANTED


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_every_tenant_table_holds_together(table: str, owner: Connection) -> None:
    """Not null, indexed first, kept by its trigger; and no foreign key leaves the organization."""
    row = owner.execute(
        "select a.attnotnull, exists (select 1 from pg_trigger t where t.tgrelid = a.attrelid and t.tgenabled = 'O'"
        " and t.tgname = split_part(%s, '.', 2) || '_keep_organization')"
        " from pg_attribute a where a.attrelid = %s::regclass and a.attname = 'organization_id'",
        (table, table),
    ).fetchone()
    assert row == (True, True)
    assert any(index[0] == "organization_id" for index in indexes(owner)[table])
    keys = [key for key in foreign_keys(owner) if key.table == table]
    assert ("organization_id",) in [key.columns for key in keys]
    for key in keys:
        if key.parent in TENANT_TABLES:
            assert key.columns[0] == "organization_id", key.name
            assert len(key.columns) == 2, key.name
        else:
            assert key.parent in UNTENANTED, key.name


@pytest.mark.parametrize("table", TABLES)
def test_every_primary_key_is_one_uuid(table: str, owner: Connection) -> None:
    rows = owner.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_index x"
        " join pg_attribute a on a.attrelid = x.indrelid and a.attnum = any (x.indkey)"
        " where x.indrelid = %s::regclass and x.indisprimary",
        (table,),
    ).fetchall()
    assert rows == [("id", "uuid")]


def test_every_moment_has_a_zone(owner: Connection) -> None:
    rows = owner.execute(
        "select c.relname, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname || '.' || c.relname = any (%s)"
        " and a.atttypid = 'timestamp'::regtype",
        (TABLES,),
    ).fetchall()
    assert rows == []


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_the_organization_never_changes_not_even_by_the_owner(table: str, owner: Connection, owner_url: str) -> None:
    world = make_world(owner_url)
    name = table.partition(".")[2]
    with pytest.raises(psycopg.IntegrityError, match="organization_id of"):
        owner.execute(
            SQL("update {} set organization_id = %s where id = %s").format(Identifier(*table.split("."))),
            (world.theirs.organization_id, world.ours.ids[name]),
        )
