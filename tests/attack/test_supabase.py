"""A database that has its own `auth`, roles' rights and default privileges, as Supabase's have (attack 29).

What was there stays as it was, our tables end up with the same rights as anywhere, and isolation holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from tests.attack.scene import Connection
from tests.factories.world import make_world

from trunkline.db import revisions
from trunkline.db.setup import prepare
from trunkline.db.tenant import Database

HOST = (
    "create schema auth",
    """create table auth.users (id uuid primary key default gen_random_uuid(), email text, encrypted_password text,
         raw_app_meta_data jsonb, raw_user_meta_data jsonb, created_at timestamptz)""",
    """create function auth.uid() returns uuid language sql stable as
         $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$""",
    """create function auth.jwt() returns jsonb language sql stable as
         $$ select coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $$""",
    "create schema extensions",
    "create extension vector with schema extensions",
    "grant usage on schema public, auth, extensions to anon, authenticated, service_role",
    "alter default privileges in schema public grant all on tables to anon, authenticated, service_role",
    "alter default privileges in schema public grant all on functions to anon, authenticated, service_role",
    "alter default privileges in schema public grant all on sequences to anon, authenticated, service_role",
    "create table public.todos (id bigint generated always as identity primary key, user_id uuid)",
    "insert into public.todos (user_id) values (gen_random_uuid())",
    "alter table public.todos enable row level security",
    "create policy own on public.todos using (user_id = auth.uid())",
)
"""What such a host has before us: its own people, roles' default rights, somebody's table."""

CATALOGUE = """
select 'relation', c.oid::regclass::text, c.relkind::text, c.relacl::text from pg_class c
  where c.relnamespace::regnamespace::text in ('public', 'auth', 'extensions') and c.relkind in ('r', 'v', 'S')
union all select 'function', p.oid::regprocedure::text, p.prosrc, p.proacl::text from pg_proc p
  where p.pronamespace::regnamespace::text in ('public', 'auth')
union all select 'schema', nspname, '', nspacl::text from pg_namespace
  where nspname !~ '^pg_' and nspname not in ('information_schema', 'trunkline')
union all select 'extension', extname, extnamespace::regnamespace::text, '' from pg_extension
union all select 'default', defaclobjtype::text, defaclnamespace::regnamespace::text, defaclacl::text
  from pg_default_acl
union all select 'policy', policyname, tablename, qual from pg_policies
order by 1, 2, 3
"""

RIGHTS = """
select c.relname, array(select e.grantee::regrole || ' ' || e.privilege_type from aclexplode(c.relacl) e
                        where e.grantee not in (c.relowner, 0) order by 1)
from pg_class c where c.relnamespace::regnamespace::text in ('public', 'trunkline_runtime') and c.relkind in ('r', 'S')
  and c.relname !~ '^todos' order by 1
"""


@pytest.fixture
def hosted(empty_url: str, template: str) -> str:
    """The owner's URL of such a database; the roles were made with the template."""
    assert template
    with psycopg.connect(empty_url, autocommit=True) as connection:
        for statement in HOST:
            connection.execute(statement)
    return empty_url


@pytest.fixture
def login() -> str:
    """A login role of this test's own: others use the shared one at the same time."""
    return f"trunkline_test_{secrets.token_hex(4)}"


@pytest.fixture
def prepared(hosted: str, login: str) -> Iterator[str]:
    """The login role's URL, after our set-up."""
    yield prepare(hosted, login=login, password="only-on-loopback")
    with psycopg.connect(hosted, autocommit=True) as connection:
        for verb in ("drop owned by {}", "drop role {}"):
            connection.execute(sql.SQL(verb).format(sql.Identifier(login)))


def look(connection: Connection, query: str = CATALOGUE) -> list[tuple[object, ...]]:
    """What the catalogue says."""
    return connection.execute(sql.SQL(query)).fetchall()  # pyright: ignore[reportArgumentType]


async def test_isolation_holds_there(prepared: str, hosted: str) -> None:
    world = make_world(hosted)
    pool = Database(prepared, pool_size=2)
    for tenant in (world.ours, world.theirs):
        for principal in (tenant.member("viewer"), tenant.service, tenant.visitor, tenant.turn):
            async with pool.tenant(principal) as session:
                found = (await session.execute(text("select content from agent_messages"))).scalars().all()
            assert found == [f"secret of {tenant.slug}"]
    async with pool.tenant(world.stranger) as session:
        assert (await session.execute(text("select count(*) from agents"))).scalar_one() == 0
    await pool.close()


def test_rights_are_those_of_anywhere(prepared: str, hosted: str, owner_url: str) -> None:
    assert prepared
    with psycopg.connect(hosted) as there, psycopg.connect(owner_url) as here:
        assert look(there, RIGHTS) == look(here, RIGHTS)


def test_going_back_leaves_the_host_as_it_was(hosted: str, login: str) -> None:
    with psycopg.connect(hosted) as connection:
        before = look(connection)
    prepare(hosted, login=login, password="only-on-loopback")
    with psycopg.connect(hosted, autocommit=True) as connection:
        assert connection.execute("select count(*) from public.agents").fetchone() == (0,)
        for verb in ("drop owned by {}", "drop role {}"):
            connection.execute(sql.SQL(verb).format(sql.Identifier(login)))
    revisions.downgrade(hosted, "base")
    with psycopg.connect(hosted) as connection:
        assert look(connection) == before
        assert connection.execute("select count(*) from public.todos").fetchone() == (1,)
