"""The real server on a free loopback port: in this process, or as `trunkline serve` in one of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any, LiteralString
from uuid import UUID, uuid4

import httpx2
import jwt
import psycopg
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from tests.factories import rows

from trunkline.organizations.keys import SHOWN, hash_of, make_key
from trunkline.settings import DatabaseSettings, SecuritySettings, Settings, TurnSettings
from trunkline.web.app import create_app

SECRET = "only-for-tests-0123456789-abcdefghijklmnop"
JWT_SECRET = "members-of-tests-0123456789-abcdefghijklmnop"
WEBSITE = "shop.example"
ORIGIN = f"https://{WEBSITE}"
LEASE_S = 2.0
"""Short, so that tests of servers that died need not wait long."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    id: str
    name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls one server with one credential."""

    http: httpx2.AsyncClient
    headers: dict[str, str] = field(repr=False)

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str | bytes] | None = None, **more: Any
    ) -> httpx2.Response:
        """One request, whatever comes of it. `content` sends a body as it is."""
        given = [(name.encode(), _raw(value)) for name, value in {**self.headers, **(headers or {})}.items()]
        return await self.http.request(method, path, json=body, headers=given, **more)

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """One request that must succeed; its JSON."""
        response = await self.call(method, path, body, headers)
        assert response.status_code < 300, response.text
        return response.json()

    async def start(self, agent: UUID, **more: Any) -> dict[str, Any]:
        """Start a session with an agent on the one website."""
        return await self.ask("POST", "/v1/sessions", {"agent_id": str(agent), "website_domain": WEBSITE, **more})

    async def say(self, session: str, content: str, key: str | None = None) -> httpx2.Response:
        """Send a message and wait for the whole answer."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.call("POST", f"/v1/sessions/{session}/messages", {"content": content}, headers)

    def stream(
        self, session: str, content: str, key: str | None = None, last: str | None = None
    ) -> AsyncGenerator[Event]:
        """Send a message; the events of its answer."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"content": content, "stream": True}
        return self._events("POST", f"/v1/sessions/{session}/messages", headers, last, body)

    def follow(self, session: str, turn: str, last: str | None = None) -> AsyncGenerator[Event]:
        """The rest of a turn's events."""
        return self._events("GET", f"/v1/sessions/{session}/turns/{turn}/stream", {}, last)

    async def running_turn(self, session: str) -> str:
        """Wait until a session answers; the turn's id."""

        async def look() -> str | None:
            return (await self.ask("GET", f"/v1/sessions/{session}"))["running_turn_id"]

        return await until(look)

    async def messages(self, session: str) -> list[tuple[str, str, str]]:
        """Role, content and status of the first messages, oldest first."""
        page = await self.ask("GET", f"/v1/sessions/{session}/messages")
        return [(message["role"], message["content"], message["status"]) for message in page["data"]]

    async def _events(
        self, method: str, path: str, headers: dict[str, str], last: str | None, body: Any = None
    ) -> AsyncGenerator[Event]:
        headers = {**self.headers, **headers, **({"Last-Event-ID": last} if last is not None else {})}
        async with self.http.stream(method, path, headers=headers, json=body) as response:
            if response.status_code != 200:
                await response.aread()
                raise AssertionError(f"{response.status_code} {response.text}")
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
                    fields = {}


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    url: str
    http: httpx2.AsyncClient
    app: FastAPI | None = None
    """Where it runs in this process."""
    process: asyncio.subprocess.Process | None = None
    """Where it runs in its own."""

    def caller(self, credential: str | None = None, **headers: str) -> Caller:
        """Somebody with this credential."""
        return Caller(self.http, {**({"Authorization": f"Bearer {credential}"} if credential else {}), **headers})


@dataclass(frozen=True, slots=True)
class Shop:
    """An organization that is already there, with an owner and a key."""

    owner_url: str
    organization_id: UUID
    owner: UUID
    key: str = field(repr=False)

    def agent(self, script: str = "echo", *, slug: str | None = None, **settings: Any) -> UUID:
        """Publish one more agent of the scripted provider, allowed on the one website."""
        with psycopg.connect(self.owner_url) as connection:
            name = slug or f"agent-{uuid4().hex[:8]}"
            settings = {"llm_model": script, **settings}
            return rows.agent(connection, self.organization_id, name, WEBSITE, **settings)

    def sql(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """Ask or change the database as its owner."""
        with psycopg.connect(self.owner_url) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def mend(self, script: str) -> None:
        """Let every published version play another script; servers that have read one keep it."""
        with psycopg.connect(self.owner_url) as connection:
            connection.execute("set local session_replication_role = replica")  # else versions never change
            connection.execute(
                "update public.agent_versions set snapshot = snapshot || jsonb_build_object('llm_model', %s::text)",
                (script,),
            )

    def turns(self, session: str) -> list[tuple[str, int]]:
        """Status and number of attempts of the session's turns, oldest first."""
        found = self.sql(
            "select t.status, t.attempt from public.agent_turns t join public.agent_sessions s on s.id = t.session_id"
            " where s.session_id = %s order by t.id",
            session,
        )
        return [(status, attempt) for status, attempt in found]

    def messages(self, session: str) -> list[tuple[str, str, str]]:
        """Role, content and status of the session's messages, oldest first."""
        found = self.sql(
            "select m.role, m.content, m.status from public.agent_messages m"
            " join public.agent_sessions s on s.id = m.session_id where s.session_id = %s order by m.sequence",
            session,
        )
        return [(role, content, status) for role, content, status in found]


def open_shop(owner_url: str, slug: str = "shop", scopes: tuple[str, ...] = ("*",)) -> Shop:
    """Make an organization with an owner and a key."""
    with psycopg.connect(owner_url) as connection:
        owner = rows.person(connection, f"owner@{slug}.example")
        organization = rows.organization(connection, slug, owner)
        key = make_key()
        rows.insert(
            connection,
            "api_keys",
            organization_id=organization,
            name="test",
            prefix=key[:SHOWN],
            key_hash=hash_of(key),
            scopes=list(scopes),
        )
    return Shop(owner_url, organization, owner, key)


def member_token(user_id: UUID, *, secret: str = JWT_SECRET, **claims: Any) -> str:
    """A member's token, as Supabase signs them."""
    standard = {
        "sub": str(user_id),
        "role": "authenticated",
        "aud": "authenticated",
        "exp": datetime.now(UTC) + timedelta(hours=1),
    }
    return jwt.encode({**standard, **claims}, secret, algorithm="HS256")


def settings_for(*, pool_size: int = 5, **more: Any) -> Settings:
    """The settings of a server in this process."""
    return Settings(
        database=DatabaseSettings(pool_size=pool_size, pool_timeout_seconds=5),
        security=SecuritySettings(secret=SecretStr(SECRET), jwt_secret=SecretStr(JWT_SECRET)),
        turns=TurnSettings(lease_seconds=LEASE_S, grace_seconds=1),
        **more,
    )


@asynccontextmanager
async def serving(login_url: str, settings: Settings | None = None) -> AsyncGenerator[Served]:
    """A server in this process, until the block ends."""
    app = create_app(settings or settings_for(), login_url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            assert not running.done(), "the server could not start"
            await asyncio.sleep(0.01)
        try:
            async with _client(url) as http:
                yield Served(url, http, app=app)
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def serving_apart(login_url: str, **environment: str) -> AsyncGenerator[Served]:
    """`trunkline serve` in a process of its own, killed when the block ends unless it has ended before."""
    given = {
        "TRUNKLINE_DATABASE_URL": login_url,
        "TRUNKLINE_PORT": "0",
        "PYTHONDONTWRITEBYTECODE": "",  # or each process would compile every library anew
        "TRUNKLINE_SECURITY_SECRET": SECRET,
        "TRUNKLINE_SECURITY_JWT_SECRET": JWT_SECRET,
        "TRUNKLINE_TURNS_LEASE_SECONDS": str(LEASE_S),
        **environment,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trunkline", "serve"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **given},
        start_new_session=True,
    )
    try:
        url = await ready_url(process)
        async with _client(url) as http:
            yield Served(url, http, process=process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def ready_url(process: asyncio.subprocess.Process) -> str:
    """Wait for the line that says where a server is ready."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if line.startswith("ready "):
                return line.split()[1]
    raise AssertionError(f"the server ended with status {await process.wait()}")


async def until(check: Callable[[], Awaitable[Any]] | Callable[[], Any], limit_s: float = 30) -> Any:
    """Look again and again until there is something to see; returns it."""
    async with asyncio.timeout(limit_s):
        while True:
            found = check()
            if isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _client(url: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None)
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30, limits=limits)
