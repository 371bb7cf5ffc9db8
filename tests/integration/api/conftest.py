"""One server over one fresh database, an organization in it, and those who call."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from tests.factories.server import ORIGIN, Caller, Served, Shop, open_shop, serving


@pytest.fixture
def shop(owner_url: str) -> Shop:
    """The organization whose agents are talked to."""
    return open_shop(owner_url)


@pytest.fixture
async def served(login_url: str) -> AsyncGenerator[Served]:
    """The server, in this process."""
    async with serving(login_url) as served:
        yield served


@pytest.fixture
async def replica(login_url: str) -> AsyncGenerator[Served]:
    """A second server over the same database, which shares nothing else with the first."""
    async with serving(login_url) as served:
        yield served


@pytest.fixture
def program(served: Served, shop: Shop) -> Caller:
    """A program with the organization's API key."""
    return served.caller(shop.key)


@pytest.fixture
def stranger(served: Served) -> Caller:
    """A browser on the agents' website, without a token."""
    return served.caller(Origin=ORIGIN)


@pytest.fixture
async def standing(program: Caller, shop: Shop) -> tuple[str, str]:
    """An agent and a session that are there already: their ids."""
    agent = shop.agent("lorem-1")
    return str(agent), (await program.start(agent))["session_id"]
