"""Models, declared schema, frozen revisions and their SQL on paper are one schema, and each revision goes back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine, text
from tests.factories.world import make_world
from tests.integration.db.schema_catalogue import catalogue

from trunkline.db import revisions
from trunkline.db.schema import own_tables, statements
from trunkline.db.urls import sqlalchemy_url, with_database
from trunkline.db.version import HEAD
from trunkline.models import Base

FOLDER = Path(revisions.__file__).parent
REVISIONS = [each.revision for each in ScriptDirectory(str(FOLDER)).walk_revisions()][::-1]
"""All revisions, oldest first."""


def run(owner_url: str, *scripts: str) -> None:
    """Run SQL as the owner, in one transaction; a script may hold several statements."""
    with psycopg.connect(owner_url) as connection:
        for script in scripts:
            connection.execute(sql.SQL(cast("LiteralString", script)))


def differences(owner_url: str) -> list[Any]:
    """What Alembic would write into a new revision."""
    engine = create_engine(sqlalchemy_url(owner_url))
    schemas = {table.schema for table in own_tables(Base.metadata)}

    def named(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "schema" or name in schemas

    def ours(item: Any, *_: object) -> bool:
        return not getattr(item, "info", {}).get("external")

    options: dict[str, Any] = {
        "include_schemas": True,
        "include_name": named,
        "include_object": ours,
        "compare_type": True,
        "compare_server_default": True,
    }
    try:
        with engine.connect() as connection:
            connection.execute(
                text("set search_path = public, extensions")
            )  # so that `vector` is named without a schema
            return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))
    finally:
        engine.dispose()


def test_the_server_knows_the_newest_revision() -> None:
    assert revisions.newest() == HEAD == REVISIONS[-1]


@pytest.fixture
def revised_url(admin_url: str, template: str) -> Iterator[str]:
    """The owner's URL of an empty database that the revisions were run on, and nothing else."""
    assert template  # the roles exist
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    revisions.upgrade(with_database(admin_url, name))
    yield with_database(admin_url, name)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_declared_and_revised_are_equal(empty_url: str, revised_url: str) -> None:
    run(empty_url, *statements(Base.metadata))
    declared, revised = catalogue(empty_url), catalogue(revised_url)
    assert declared["policies"], "the comparison compares something"
    assert len(declared["functions"]) > 20
    for what, objects in declared.items():
        assert objects == revised[what], what


def test_the_sql_on_paper_is_equal_too(empty_url: str, revised_url: str) -> None:
    """What a database administrator runs by hand from `alembic upgrade --sql`."""
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(sql.SQL(cast("LiteralString", revisions.upgrade_sql())))
    assert catalogue(empty_url) == catalogue(revised_url)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("select version_num from trunkline.alembic_version").fetchall() == [(HEAD,)]


def test_alembic_finds_nothing_to_add(owner_url: str) -> None:
    assert differences(owner_url) == []


@pytest.mark.parametrize(
    "change",
    [
        "alter table public.agents add column extra text",
        "alter table public.agents alter column max_tokens set default 7",
        "alter table public.agents alter column max_tokens type bigint",
        "alter table public.agents alter column name drop not null",
        "drop index public.agents_created_by_idx",
        "alter table public.agent_messages drop constraint agent_messages_organization_id_turn_id_fkey",
        "alter table trunkline_runtime.turn_states drop column state",
    ],
)
def test_alembic_would_find_a_change(change: str, owner_url: str) -> None:
    run(owner_url, change)
    assert len(differences(owner_url)) >= 1


@pytest.mark.parametrize(
    "change",
    [
        "alter policy agents_select_authenticated on public.agents using (true)",
        "grant truncate on public.agents to anon",
        "grant select (key_hash) on public.api_keys to authenticated",
        "alter table public.agents no force row level security",
        "alter table public.agents drop constraint agents_temperature_check",
        "alter function app.user_id() volatile",
        "grant execute on function app.keep_an_owner() to anon",
        "drop trigger agents_touch on public.agents",
        "alter table public.agents disable trigger agents_keep_organization",
        "alter sequence public.agent_messages_sequence_seq increment 2",
        "create view public.extra as select 1 as one",
    ],
)
def test_the_comparison_would_find_a_change(change: str, owner_url: str) -> None:
    before = catalogue(owner_url)
    run(owner_url, change)
    assert catalogue(owner_url) != before


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_goes_down_again(revision: str, empty_url: str, template: str) -> None:
    """Down from a filled database is as before up, and what isn't ours is untouched."""
    assert template  # the roles exist
    place = REVISIONS.index(revision)
    below = REVISIONS[place - 1] if place else "base"
    run(
        empty_url,
        "create table public.theirs (id int primary key, note text)",
        "insert into public.theirs values (1, 'kept')",
        "create function public.theirs() returns int language sql return 1",
    )
    if place:
        revisions.upgrade(empty_url, below)
    before = catalogue(empty_url)
    revisions.upgrade(empty_url, revision)
    above = catalogue(empty_url)
    assert above != before
    if revision == HEAD:
        make_world(empty_url)
    revisions.downgrade(empty_url, below)
    assert catalogue(empty_url) == before
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("select * from public.theirs").fetchall() == [(1, "kept")]
    revisions.upgrade(empty_url, revision)
    assert catalogue(empty_url) == above


def test_up_twice_is_up_once(owner_url: str) -> None:
    before = catalogue(owner_url)
    revisions.upgrade(owner_url)
    assert catalogue(owner_url) == before


@pytest.mark.parametrize("schema", ["public", "somewhere"])
def test_an_extension_that_was_there_stays_where_it_was(schema: str, empty_url: str, template: str) -> None:
    assert template
    run(empty_url, f"create schema if not exists {schema}", f"create extension vector with schema {schema}")
    before = catalogue(empty_url)
    revisions.upgrade(empty_url)
    after = catalogue(empty_url)
    assert after["extensions"] == before["extensions"]
    assert any(f"{schema}.vector(384)" in column for column in after["columns"])
    revisions.downgrade(empty_url, "base")
    assert catalogue(empty_url) == before
