"""The app factory: what the server holds, and the routes over it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from sqlalchemy import text

import trunkline.models  # noqa: F401  # pyright: ignore[reportUnusedImport]  rows of one feature refer to those of others
from trunkline import __version__
from trunkline.agents import endpoints as agents
from trunkline.db.tenant import Database
from trunkline.errors import DatabaseUnavailable
from trunkline.organizations import endpoints as organizations
from trunkline.organizations.vault import Vault
from trunkline.runtime import AgentRuntime, standard_providers
from trunkline.runtime import endpoints as turns
from trunkline.runtime.turns import Turns
from trunkline.sessions import endpoints as sessions
from trunkline.sessions.tokens import VisitorTokens
from trunkline.settings import Settings
from trunkline.web import page, problems
from trunkline.web.middleware import Edge
from trunkline.web.page import PageAgent
from trunkline.web.principal import authenticator

SWEEPS_PER_LEASE = 3
"""How often turns of servers that died are looked for in the length of a lease."""

PROBE_S = 2
"""Longest time that `/readyz` waits for the database, in seconds."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Readiness:
    """What the server still waits for before a turn can be taken."""

    warm: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str | None = None
    """Why the runtime can't be loaded, in a sentence."""
    asking: asyncio.Task[str] | None = None
    """The question to the database that has no answer yet: a silent one is not asked again and again."""


def create_app(
    settings: Settings,
    database_url: str,
    *,
    page_agents: Sequence[PageAgent] = (),
    start_providers: Sequence[str] = (),
) -> FastAPI:
    """The server over one database.

    `page_agents` are offered on the page at `/`; `start_providers` are started at once, so that no first turn waits.

    Raises:
        SetupError: the secret is missing or weak, or TRUNKLINE_OUTGOING_ALLOW can't be read.
    """
    security = settings.security
    vault = Vault(_plain(security.secret), _plain(security.previous_secret))
    tokens = VisitorTokens(vault.token_keys, security.visitor_token_seconds)
    options = settings.database
    database = Database(
        database_url,
        pool_size=options.pool_size,
        pool_timeout_s=options.pool_timeout_seconds,
        statement_timeout_ms=options.statement_timeout_ms,
        answer_grace_s=options.answer_grace_seconds,
    )
    runtime = AgentRuntime(standard_providers(settings))
    lease_s = settings.turns.lease_seconds
    runner = Turns(database, runtime, vault, lease_s=lease_s)
    readiness = Readiness()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        background: list[asyncio.Task[Any]] = [
            asyncio.create_task(_warm(runtime, readiness, start_providers)),
            asyncio.create_task(_sweep(runner, lease_s)),
        ]
        yield
        if readiness.asking is not None:
            background.append(readiness.asking)
        for task in background:
            task.cancel()
        await asyncio.wait(background)
        await runner.close(grace_s=0)  # the time to finish is over: see `web.serve`
        await runtime.close()
        await database.close()

    app = FastAPI(
        title="Trunkline",
        version=__version__,
        summary="AI agents for many organizations, every session isolated by the database itself.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.database = database
    app.state.vault = vault
    app.state.tokens = tokens
    app.state.turns = runner
    app.state.runtime = runtime
    app.state.grace_s = settings.turns.grace_seconds
    app.state.readiness = readiness
    app.state.page_agents = list(page_agents)
    app.state.authenticate = authenticator(database, tokens, security.jwt_secret)
    problems.install(app)
    app.add_middleware(Edge)
    app.add_middleware(
        CORSMiddleware,
        # Tokens travel in a header, never as cookies: which site may start a session is checked by Origin, per agent.
        allow_origins=["*"],
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-Id"],
        expose_headers=["Retry-After", "X-Request-Id"],
        max_age=600,
    )
    for router in (organizations.router, agents.router, sessions.router, turns.router, page.router):
        app.include_router(router)
    app.add_api_route("/healthz", _healthz, methods=["GET"], tags=["operations"])
    app.add_api_route("/readyz", _readyz, methods=["GET"], tags=["operations"])
    return app


async def drain(app: FastAPI) -> None:
    """Take no more turns, and let those that run finish for the time that the settings grant."""
    turns: Turns = app.state.turns
    await turns.close(app.state.grace_s)


async def _healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


async def _readyz(request: Request) -> JSONResponse:
    """200 when a turn can be taken; else 503 and what is missing. Providers that can't be loaded are named."""
    readiness: Readiness = request.app.state.readiness
    database: Database = request.app.state.database
    runtime: AgentRuntime = request.app.state.runtime
    checks = {"runtime": "ok" if readiness.warm.is_set() else readiness.failure or "starting"}
    checks["database"] = await _look(readiness, database)
    is_ready = all(value == "ok" for value in checks.values())
    return JSONResponse(
        {"status": "ok" if is_ready else "not ready", **checks, "providers_that_failed": runtime.faults},
        200 if is_ready else 503,
        {} if is_ready else {"Retry-After": "1"},
    )


async def _look(readiness: Readiness, database: Database) -> str:
    """How the database is, within the time that probes of orchestrators wait."""
    if readiness.asking is None or readiness.asking.done():
        readiness.asking = asyncio.create_task(_ask(database))
    await asyncio.wait([readiness.asking], timeout=PROBE_S)
    if readiness.asking.done():
        return readiness.asking.result()
    return f"The database has not answered for {PROBE_S} seconds."


async def _ask(database: Database) -> str:
    try:
        await database.ask(text("select 1"), {})
    except DatabaseUnavailable as error:
        return error.detail
    return "ok"


async def _warm(runtime: AgentRuntime, readiness: Readiness, providers: Sequence[str]) -> None:
    """Load what is slow while the port already answers."""
    try:
        await runtime.warm(providers)
    except Exception:  # noqa: BLE001  nobody waits for this task: what it can't do must be said here
        _log.exception("the runtime can't be loaded")
        readiness.failure = "The runtime can't be loaded on this server, which has logged why."
    else:
        readiness.warm.set()


async def _sweep(turns: Turns, lease_s: float) -> None:
    while True:
        pause_s = lease_s / SWEEPS_PER_LEASE
        try:
            await turns.fail_expired()
        except DatabaseUnavailable:
            pause_s = lease_s  # when it is back, the servers that live may first renew what they could not
        except Exception:  # noqa: BLE001  the next time may be better, and nobody else would say it
            _log.exception("turns of servers that died could not be looked for")
        await asyncio.sleep(pause_s)


def _plain(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()
