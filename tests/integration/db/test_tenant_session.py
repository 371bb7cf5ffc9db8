"""The tenant-scoped session: what it sees, and that nothing of it survives."""

from __future__ import annotations

import secrets
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import text
from tests.factories.world import World

from trunkline.db.principals import Member, Service
from trunkline.db.safety import check_login
from trunkline.db.setup import prepare
from trunkline.db.tenant import Database
from trunkline.errors import DatabaseUnavailable, DatabaseUnsafe


async def test_each_tenant_sees_its_own(database: Database, world: World) -> None:
    for tenant in (world.ours, world.theirs):
        for principal in (tenant.member("viewer"), tenant.service, tenant.visitor, tenant.turn):
            async with database.tenant(principal) as session:
                found = (await session.execute(text("select content from agent_messages"))).scalars().all()
            assert found == [f"secret of {tenant.slug}"], principal


async def test_a_pooled_connection_is_nobody_afterwards(login_url: str, world: World) -> None:
    pool = Database(login_url, pool_size=1)
    async with pool.tenant(world.ours.service) as session:
        assert (await session.execute(text("select count(*) from agents"))).scalar_one() == 1
    # The very connection that the pool hands out next.
    async with pool._engine.connect() as connection:  # pyright: ignore[reportPrivateUsage]  what no caller may do
        claims = (await connection.execute(text("select current_setting('request.jwt.claims', true)"))).scalar_one()
        role = (await connection.execute(text("select current_user"))).scalar_one()
        assert (claims or "", role) == ("", "trunkline_test_login")
        with pytest.raises(Exception, match="permission denied"):
            await connection.execute(text("select 1 from agents"))
    await pool.close()


async def test_an_error_rolls_everything_back(database: Database, world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.tenant(world.ours.service) as session:
            await session.execute(text("update agents set name = 'Changed'"))
            raise ZeroDivisionError
    async with database.tenant(world.ours.service) as session:
        assert (await session.execute(text("select name from agents"))).scalar_one() == "Bakery-Agent"


async def test_a_stranger_sees_nothing(database: Database, world: World) -> None:
    for principal in (world.stranger, Service(world.stranger.user_id), Member(world.ours.organization_id)):
        async with database.tenant(principal) as session:
            assert (await session.execute(text("select count(*) from agents"))).scalar_one() == 0


def test_the_owner_may_not_serve(owner_url: str, login_url: str) -> None:
    check_login(login_url)
    with pytest.raises(DatabaseUnsafe, match="trunkline db prepare"):
        check_login(owner_url)


def test_a_role_that_could_become_the_owner_may_not_serve(owner_url: str) -> None:
    # A role of its own: other tests use the shared one at the same time.
    name = f"trunkline_test_{secrets.token_hex(4)}"
    url = prepare(owner_url, login=f"{name}_login")
    lender, borrower = Identifier(name), Identifier(f"{name}_login")
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(SQL("create role {} nologin bypassrls").format(lender))
        owner.execute(SQL("grant {} to {}").format(lender, borrower))
        try:
            with pytest.raises(DatabaseUnsafe, match=f"{name} has BYPASSRLS"):
                check_login(url)
        finally:
            owner.execute(SQL("drop owned by {}").format(borrower))
            owner.execute(SQL("drop role {}, {}").format(lender, borrower))


def test_policies_must_be_forced(owner_url: str, login_url: str) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("alter table agents no force row level security")
    with pytest.raises(DatabaseUnsafe, match="not forced on agents"):
        check_login(login_url)


async def test_a_server_that_is_away_is_said_plainly() -> None:
    pool = Database("postgresql://nobody:x@127.0.0.1:9/none")
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        async with pool.tenant(Service(uuid4())):
            pass
    await pool.close()


async def test_a_killed_connection_is_replaced(database: Database, owner_url: str, world: World) -> None:
    async with database.tenant(world.ours.service) as session:
        await session.execute(text("select 1"))
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'trunkline_test_login' and datname = current_database()"
        )
    async with database.tenant(world.ours.service) as session:
        assert (await session.execute(text("select count(*) from agents"))).scalar_one() == 1
