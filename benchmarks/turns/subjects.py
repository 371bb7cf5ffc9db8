"""What is measured: Trunkline's own server and the floor, each in a process of its own, asked in the same words."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psutil
from benchmarks.cluster import ROOT
from benchmarks.turns.client import Client, WrongAnswer, connected

from trunkline.agents import service as agents
from trunkline.agents.schemas import NewAgent
from trunkline.db.principals import Member, Service
from trunkline.db.setup import ensure_person
from trunkline.db.tenant import Database
from trunkline.organizations import service as organizations
from trunkline.organizations.schemas import NewKey, NewOrganization

TOKENS = 40
DELAY_MS = 10
"""Pause before each token of a paced turn, in milliseconds."""
WEBSITE = "bench.example"
START_S = 60.0
"""Longest time until a server is ready, in seconds."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose turns are measured."""

    api_key: str
    burst: UUID
    """An agent whose provider says all 40 tokens at once."""
    paced: UUID
    """An agent whose provider says one token at a time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One running server."""

    name: str
    base_url: str
    process: psutil.Process
    headers: dict[str, str] = field(repr=False)
    burst: UUID
    paced: UUID

    def cpu_s(self) -> float:
        """CPU time of the server so far, user and system, in seconds."""
        times = self.process.cpu_times()
        return times.user + times.system

    @asynccontextmanager
    async def session(self, *, paced: bool = False) -> AsyncGenerator[Conversation]:
        """A fresh session on a connection of its own; paced, each token comes `DELAY_MS` after the one before."""
        async with connected(self.base_url, self.headers) as client:
            new = {"agent_id": str(self.paced if paced else self.burst), "website_domain": WEBSITE}
            started = json.loads(await client.post("/v1/sessions", new))
            # Trunkline knows the pace by its agent, and ignores the query; the floor has no agents.
            pace = f"?delay_ms={DELAY_MS}" if paced else ""
            yield Conversation(client, f"/v1/sessions/{started['session_id']}/messages{pace}")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A session to take turns in."""

    client: Client
    path: str

    async def take_turn(self) -> None:
        """One message, and its whole answer as events.

        Raises:
            WrongAnswer: it isn't all 40 tokens and an end.
        """
        events = await self.client.post(self.path, {"content": _question(), "stream": True})
        if events.count(b"event: delta") != TOKENS or b"event: done" not in events:
            raise WrongAnswer(events[-500:].decode(errors="replace"))


def _question() -> str:
    """240 characters that compress as badly as text can: what is stored of a turn must not look smaller than it is."""
    return secrets.token_hex(120)


async def make_tenant(owner_url: str, login_url: str) -> Tenant:
    """An organization with a key and two published agents, made as anybody would make them."""
    owner = Member(ensure_person(owner_url, "bench@trunkline.example"), "bench@trunkline.example")
    database = Database(login_url, pool_size=1)
    try:
        async with database.tenant(owner) as session:
            new = NewOrganization(name="Bench", slug="bench")
            organization_id = (await organizations.create_organization(session, new)).id
        service = Service(organization_id)
        async with database.tenant(service) as session:
            _, key = await organizations.create_key(session, organization_id, NewKey(name="bench"))
        burst = await _make_agent(database, service, "burst", f"lorem-{TOKENS}")
        paced = await _make_agent(database, service, "paced", f"lorem-{TOKENS}@{DELAY_MS}ms")
    finally:
        await database.close()
    return Tenant(key, burst, paced)


async def _make_agent(database: Database, service: Service, slug: str, script: str) -> UUID:
    settings = {
        "llm_provider": "scripted",
        "llm_model": script,
        "allowed_domains": [WEBSITE],
        "history_max_messages": 20,  # as many as the floor reads
        "max_messages_per_session": 10_000,
    }
    new = NewAgent.model_validate({"name": slug.title(), "slug": slug, **settings})
    async with database.tenant(service) as session:
        agent = await agents.create(session, service.organization_id, new)
        await agents.publish(session, agent.id)
    return agent.id


@asynccontextmanager
async def trunkline(login_url: str, tenant: Tenant) -> AsyncGenerator[Subject]:
    """Trunkline's server, started by its own command."""
    environment = {
        "TRUNKLINE_DATABASE_URL": login_url,
        "TRUNKLINE_PORT": "0",
        "TRUNKLINE_SECURITY_SECRET": secrets.token_urlsafe(32),
    }
    command = [str(Path(sys.executable).with_name("trunkline")), "serve"]
    async with _server(command, environment) as (base_url, process):
        headers = {"Authorization": f"Bearer {tenant.api_key}"}
        yield Subject("trunkline", base_url, process, headers, tenant.burst, tenant.paced)


@asynccontextmanager
async def floor(url: str, tenant: Tenant) -> AsyncGenerator[Subject]:
    """The floor's server, over a database that has its schema."""
    command = [sys.executable, "-m", "benchmarks.turns.floor"]
    async with _server(command, {"FLOOR_DATABASE_URL": url}) as (base_url, process):
        yield Subject("floor", base_url, process, {}, tenant.burst, tenant.paced)


@asynccontextmanager
async def _server(command: list[str], environment: dict[str, str]) -> AsyncGenerator[tuple[str, psutil.Process]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=clean | environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise AssertionError("its output was asked for")
        async with asyncio.timeout(START_S):
            line = (await process.stdout.readline()).decode().strip()
        if not line.startswith("ready http"):
            raise WrongAnswer(f"{command[0]} did not get ready: {line!r}")
        yield line.removeprefix("ready "), psutil.Process(process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
