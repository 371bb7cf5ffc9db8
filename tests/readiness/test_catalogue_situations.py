"""Reading the catalogue where it isn't easy: few rights, locks, poolers, standbys, much of everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql
from tests.factories.proxy import wire_to
from tests.factories.servers import running_server
from typing_extensions import override

from trunkline.db.urls import sqlalchemy_url, with_database
from trunkline.postgres.catalogue.model import PLATFORM_SCHEMAS, Catalogue, Name
from trunkline.postgres.catalogue.read import CatalogueLocked, read_catalogue

HOSTILE = """
create schema evil;
create table evil.pg_class (oid oid, relname name);
create view evil.pg_roles as select 1/0 as rolname;
create type evil.text as enum ('x');
create function evil.lower(text) returns text language sql as $$ select (1/0)::text $$;
create function evil.format_type(oid, int) returns text language sql as $$ select (1/0)::text $$;
create table public.things (id int primary key, name pg_catalog.text);
"""


def look(url: str) -> Catalogue:
    with psycopg.connect(url) as connection:
        return read_catalogue(connection)


@pytest.fixture
def stranger(empty_url: str) -> Iterator[str]:
    """The URL of a role without any right but to connect."""
    name = sqlalchemy_url(empty_url).database
    assert name is not None
    role = f"stranger_{name}"
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(role)))
    url = sqlalchemy_url(empty_url).set(username=role, password="x", drivername="postgresql")
    yield url.render_as_string(hide_password=False)
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(role)))


def test_a_role_without_rights_sees_all_and_is_told_what_it_may_not_read(empty_url: str, stranger: str) -> None:
    role = sqlalchemy_url(stranger).username
    assert role is not None
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(
            "create table open (id int, note text); create table closed (id int);"
            "create table half (id int, note text); create table whole (id int, note text);"
            "create view peek as select * from closed;"
            "create schema hidden; create table hidden.secret (id int); create policy p on closed using (id > 0)"
        )
        grants = sql.SQL(
            "grant select on open to {0}; grant select (id) on half to {0}; grant select (id, note) on whole to {0};"
            "grant insert, update, delete on open to {0}; grant select on hidden.secret to {0}"
        )
        connection.execute(grants.format(sql.Identifier(role)))
    owner, seen = look(empty_url), look(stranger)
    assert owner.not_seen == ()
    assert list(seen.relations) == list(owner.relations)
    assert seen.relations[Name("public", "closed")].policies == owner.relations[Name("public", "closed")].policies
    assert {each.name.name: (each.can_select, each.can_write) for each in seen.relations.values()} == {
        "open": (True, True),
        "closed": (False, False),
        "half": (False, False),
        "whole": (True, False),
        "peek": (False, False),
        "secret": (False, False),
    }
    settings, schemas, rows = seen.not_seen
    assert "shared_preload_libraries" in settings
    assert schemas == f"What the tables in hidden hold: {role} has no USAGE privilege on the schema."
    assert rows == f"The rows of hidden.secret, closed, half, peek: {role} may not SELECT all of their columns."


def test_the_search_path_of_the_connection_changes_nothing(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(HOSTILE)
        connection.execute("set search_path = evil, public, pg_catalog; set quote_all_identifiers = on")
        seen = read_catalogue(connection)
        assert connection.execute("show search_path").fetchone() == ("evil, public, pg_catalog",)
        assert connection.execute("show quote_all_identifiers").fetchone() == ("on",)
    things = seen.relations[Name("public", "things")]
    assert [each.type for each in things.columns.values()] == ["integer", "text"]
    assert things.constraints[0].definition == "PRIMARY KEY (id)"


def test_no_lock_is_kept_in_the_callers_transaction(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute("create table t (id int check (id > 0)); create view v as select * from t where id > 1")
        connection.commit()
        read_catalogue(connection)
        held = connection.execute(
            "select relation::regclass::text from pg_catalog.pg_locks"
            " where pid = pg_backend_pid() and relation is not null"
        ).fetchall()
        assert held == [("pg_locks",)]


def test_a_lock_that_is_soon_released_is_waited_for(empty_url: str) -> None:
    with psycopg.connect(empty_url) as other:
        other.execute("create table t (id int default 1)")
        other.commit()
        other.execute("lock table t in access exclusive mode")
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(look, empty_url)
            _wait_until_somebody_waits(other)
            other.commit()
            assert list(reading.result().relations) == [Name("public", "t")]


def test_a_lock_that_stays_is_named(empty_url: str) -> None:
    with psycopg.connect(empty_url) as other:
        other.execute('create table "T" (id int default 1)')
        other.commit()
        other.execute('lock table "T" in access exclusive mode')
        with pytest.raises(CatalogueLocked) as caught:
            look(empty_url)
        assert f'has locked "T" (process {other.info.backend_pid}) exclusively' in caught.value.detail


def test_tables_that_are_dropped_meanwhile_do_no_harm(empty_url: str) -> None:
    make = "create table gone_{0} (id int primary key check (id > 0)); create view see_{0} as select * from gone_{0}"
    with psycopg.connect(empty_url, autocommit=True) as other, psycopg.connect(empty_url) as connection:
        other.execute("create table stays (id int primary key)")
        connection.execute("set transaction isolation level repeatable read")
        other.execute(make.format(0).encode())
        connection.execute("select 1")  # the snapshot is taken here, and shows what is dropped next
        other.execute("drop table gone_0 cascade")
        assert list(read_catalogue(connection).relations) == [Name("public", "stays")]


def _wait_until_somebody_waits(connection: psycopg.Connection) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if connection.execute("select 1 from pg_catalog.pg_locks where not granted").fetchone():
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for the lock")


async def test_a_pooler_is_recognized(empty_url: str) -> None:
    async with wire_to(empty_url) as (wire, through):
        assert not (await asyncio.to_thread(look, through)).server.is_pooled
        wire.replaces_key_data = True
        assert (await asyncio.to_thread(look, through)).server.is_pooled


def test_a_standby_can_be_read() -> None:
    def fill(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "create table t (id int generated always as identity primary key); create view v as table t"
            )

    with running_server(18, standby=fill) as url:
        seen = look(url)
    assert seen.server.is_standby
    table = seen.relations[Name("public", "t")]
    assert table.size_bytes > 0
    assert [each.scans for each in table.indexes] == [None], "a standby doesn't know what the primary uses"


def test_two_thousand_tables_take_no_more_queries_than_two(empty_url: str) -> None:
    make = """
    do $$ begin
        for number in {first}..{last} loop
            execute format('create table many_%s (id int primary key, a text default %L, check (id > 0))', number, 'x');
        end loop;
    end $$
    """
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        connection.execute(make.format(first=1, last=2).encode())
    few, of_few = _count_queries(empty_url)
    for first in range(3, 2001, 333):  # each in a transaction of its own: locks are limited
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute(make.format(first=first, last=first + 332).encode())
    many, of_many = _count_queries(empty_url)
    assert (len(few.relations), len(many.relations)) == (2, 2000)
    assert of_many == of_few < 30
    last = many.relations[Name("public", "many_2000")]
    assert (list(last.columns), last.primary_key, len(last.constraints)) == (["id", "a"], ("id",), 2)


def _count_queries(url: str) -> tuple[Catalogue, int]:
    """The catalogue, and how many statements were sent for it."""
    sent: list[object] = []

    class Counting(psycopg.Cursor[Any]):
        @override
        def execute(self, *args: Any, **options: Any) -> Self:
            sent.append(args[0])
            return super().execute(*args, **options)

    with psycopg.connect(url, cursor_factory=Counting) as connection:
        return read_catalogue(connection), len(sent)


def test_objects_of_extensions_are_left_out(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements; create table mine (id int)")
        connection.execute("create view slow as select query from pg_stat_statements")
    seen = look(empty_url)
    assert list(seen.relations) == [Name("public", "mine"), Name("public", "slow")]
    assert seen.functions == ()
    assert seen.extensions["pg_stat_statements"].schema == "public"
    assert seen.relations[Name("public", "slow")].reads == (Name("public", "pg_stat_statements"),)


def test_schemas_of_a_platform_are_told_apart(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(
            "create schema auth; create table auth.users (id uuid); create schema trunkline_journal;"
            "create table trunkline_journal.steps (id int); create table mine (id int); create schema app;"
            "create table app.theirs (id int)"
        )
    seen = look(empty_url)
    assert "auth" in PLATFORM_SCHEMAS
    assert Name("auth", "users") in seen.relations
    assert [str(each.name) for each in seen.own_relations()] == ["app.theirs", "mine"]


def test_a_partitioned_table_that_was_not_analysed_has_the_rows_of_its_partitions(empty_url: str) -> None:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(
            "create table log (at date) partition by range (at);"
            "create table log_1 partition of log for values from ('2024-01-01') to ('2024-02-01');"
            "create table log_2 partition of log for values from ('2024-02-01') to ('2024-03-01')"
        )
        connection.execute("insert into log select '2024-01-31'::date + n % 2 from generate_series(1, 1000) n")
        connection.execute("analyze log_1, log_2")
    seen = look(empty_url)
    assert [seen.relations[Name("public", name)].rows for name in ("log", "log_1", "log_2")] == [1000, 500, 500]


def test_rights_through_memberships_are_followed(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "create role clerk; create role boss in role clerk; create role root superuser;"
            "create role auditor in role pg_read_all_data; create table t (id int); grant select on t to clerk;"
            "create table theirs (id int); alter table theirs owner to clerk"
        )
        seen = read_catalogue(connection)
        connection.rollback()
    table, theirs = seen.relations[Name("public", "t")], seen.relations[Name("public", "theirs")]
    assert seen.roles_of("boss") == {"boss", "clerk", "public"}
    assert [role for role in ("clerk", "boss", "root", "auditor", "public") if seen.granted(role, table, "select")] == [
        "clerk", "boss", "root", "auditor",
    ]  # fmt: skip
    assert [role for role in ("clerk", "boss", "auditor") if seen.granted(role, theirs, "delete")] == ["clerk", "boss"]


def test_our_own_schema_can_be_read(owner_url: str) -> None:
    seen = look(owner_url)
    sessions = seen.relations[Name("public", "agent_sessions")]
    assert sessions.has_row_security
    assert sessions.forces_row_security
    assert {each.kind for each in sessions.constraints} >= {"primary key", "foreign key", "check"}


def test_what_only_postgresql_18_has_is_told(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        if connection.info.server_version < 180000:
            pytest.skip("This server is older than PostgreSQL 18.")
        connection.execute(
            "create table t (id int not null, twice int generated always as (id * 2) virtual, note text);"
            "alter table t add constraint noted not null note not valid, add check (id > 0) not enforced"
        )
        seen = read_catalogue(connection).relations[Name("public", "t")]
    assert (seen.columns["twice"].is_generated, seen.columns["twice"].default) == (True, None)
    assert {each.name: (each.kind, each.is_validated) for each in seen.constraints} == {
        "noted": ("not null", False),
        "t_id_check": ("check", False),
    }


def test_a_membership_that_gives_nothing_counts_for_nothing(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        if connection.info.server_version < 160000:
            pytest.skip("This server is older than PostgreSQL 16.")
        connection.execute(
            "create role clerk; create role keeper; create role boss; create role deputy;"
            "grant clerk to keeper with admin true, inherit false, set false;"
            "grant clerk to boss with inherit false, set true; grant clerk to deputy with inherit true, set false"
        )
        roles = read_catalogue(connection).roles
        connection.rollback()
    assert [roles[name].member_of for name in ("keeper", "boss", "deputy")] == [(), ("clerk",), ("clerk",)]


def test_a_database_without_an_encoding_can_be_read(empty_url: str) -> None:
    name = f"{sqlalchemy_url(empty_url).database}_ascii"
    with psycopg.connect(empty_url, autocommit=True) as connection:
        create = "create database {} encoding 'SQL_ASCII' locale 'C' template template0"
        connection.execute(sql.SQL(create).format(sql.Identifier(name)))
        try:
            with psycopg.connect(with_database(empty_url, name), client_encoding="SQL_ASCII") as other:
                other.execute("create table t (id int)")
                seen = read_catalogue(other)
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    assert list(seen.relations) == [Name("public", "t")]
    assert seen.server.settings["server_encoding"] == "SQL_ASCII"
