"""Runs one piece of work of a command in a tenant session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trunkline.models  # noqa: F401  # pyright: ignore[reportUnusedImport]  rows of one feature refer to those of others
from trunkline.db.principals import Principal
from trunkline.db.tenant import Database, TenantSession

Result = TypeVar("Result")


def as_principal(url: str, principal: Principal, work: Callable[[TenantSession], Awaitable[Result]]) -> Result:
    """Do `work` as `principal`, in one transaction."""

    async def run() -> Result:
        database = Database(url, pool_size=1)
        try:
            async with database.tenant(principal) as session:
                return await work(session)
        finally:
            await database.close()

    return asyncio.run(run())
