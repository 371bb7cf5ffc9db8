"""Statements are prepared where the connection is direct, and a remembered plan lets no row through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from tests.factories.proxy import wire_to
from tests.factories.world import World

from trunkline.db.principals import Principal
from trunkline.db.tenant import PREPARE_AFTER, Database

OFTEN = PREPARE_AFTER + 8
"""So often that the server also stops to plan for each set of values (after five, says the page of PREPARE)."""

MESSAGES = text("select content from agent_messages where role = :role order by content")
PREPARED = text("select count(*) from pg_prepared_statements")


@asynccontextmanager
async def one_connection(url: str) -> AsyncGenerator[Database]:
    pool = Database(url, pool_size=1)
    yield pool
    await pool.close()


async def seen_by(database: Database, principal: Principal) -> list[str]:
    async with database.tenant(principal) as session:
        return list((await session.execute(MESSAGES, {"role": "user"})).scalars().all())


async def prepared(database: Database, principal: Principal) -> int:
    for _ in range(OFTEN):
        await seen_by(database, principal)
    async with database.tenant(principal) as session:
        return (await session.execute(PREPARED)).scalar_one()


async def test_a_plan_made_for_one_principal_shows_another_its_own(login_url: str, world: World) -> None:
    principals = [
        (tenant, principal)
        for tenant in (world.ours, world.theirs)
        for principal in (tenant.service, tenant.visitor, tenant.member("viewer"), tenant.turn)
    ]
    async with one_connection(login_url) as database:
        assert await prepared(database, world.ours.service) > 0
        for _ in range(OFTEN):
            for tenant, principal in principals:
                assert await seen_by(database, principal) == [f"secret of {tenant.slug}"], principal
            assert await seen_by(database, world.stranger) == []


async def test_a_plan_is_used_by_all_of_a_role_one_after_the_other(login_url: str, world: World) -> None:
    async with one_connection(login_url) as database:
        for tenant in [world.ours, world.theirs] * OFTEN:
            assert await seen_by(database, tenant.visitor) == [f"secret of {tenant.slug}"]


async def test_nothing_is_prepared_behind_a_pooler(login_url: str, world: World) -> None:
    """Poolers answer for the server with a process id that is no backend's: here, another connection's."""
    async with wire_to(login_url) as (wire, url), one_connection(url) as database:
        wire.replaces_key_data = True
        assert await prepared(database, world.ours.service) == 0


async def test_a_wire_alone_makes_no_pooler(login_url: str, world: World) -> None:
    async with wire_to(login_url) as (_, url), one_connection(url) as database:
        assert await prepared(database, world.ours.service) > 0


@pytest.mark.parametrize("how_many", [8])
async def test_connections_of_one_pool_prepare_each_for_itself(login_url: str, world: World, how_many: int) -> None:
    pool = Database(login_url, pool_size=how_many)
    tenants = [world.ours, world.theirs] * how_many
    for _ in range(OFTEN):
        found = await asyncio.gather(*(seen_by(pool, tenant.service) for tenant in tenants))
        assert found == [[f"secret of {tenant.slug}"] for tenant in tenants]
    await pool.close()
