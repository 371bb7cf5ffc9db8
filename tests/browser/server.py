"""The real server with two agents on two websites, and a proxy that treats its connections badly."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx2
import psycopg
from fastapi import FastAPI
from tests.factories import loopback, rows
from tests.factories.server import Shop, open_shop, serving

from trunkline.db.base import new_id
from trunkline.web.page import PageAgent


@dataclass(frozen=True, slots=True)
class Site:
    """One server. The bakery answers at 127.0.0.1, the clinic at localhost: to a browser these are two websites."""

    app: FastAPI
    port: int
    shop: Shop
    bakery: UUID
    clinic: UUID

    @property
    def url(self) -> str:
        """The bakery's website."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def clinic_url(self) -> str:
        """The clinic's website."""
        return f"http://localhost:{self.port}"

    def publish(self, agent: UUID, **settings: Any) -> None:
        """Publish an agent with other settings; sessions that run keep theirs."""
        (version,) = self.shop.sql(
            "insert into public.agent_versions (id, organization_id, agent_id, version, snapshot)"
            " select %s, organization_id, agent_id, version + 1, snapshot || %s::jsonb"
            " from public.agent_versions where agent_id = %s order by version desc limit 1 returning id",
            new_id(),
            json.dumps(settings),
            agent,
        )
        self.shop.sql("update public.agents set published_version_id = %s where id = %s", *version, agent)

    def speak(self, script: str) -> None:
        """Publish the bakery's agent with another script, for sessions that start after this."""
        self.publish(self.bakery, llm_model=script)

    def serve(self, agent: UUID, website: str) -> None:
        """Publish an agent on one more website."""
        ((websites,),) = self.shop.sql(
            "select v.snapshot -> 'allowed_domains' from public.agents a"
            " join public.agent_versions v on v.id = a.published_version_id where a.id = %s",
            agent,
        )
        self.publish(agent, allowed_domains=[*websites, website])

    def allow(self, website: str) -> None:
        """Let the bakery answer on one more website, and be offered on its page."""
        self.serve(self.bakery, website)
        agents: list[PageAgent] = self.app.state.page_agents
        agents[0] = replace(agents[0], websites=(*agents[0].websites, website))

    def messages(self, session_id: str) -> list[tuple[str, str, str]]:
        """Role, content without space at its ends, and status of the messages of a session, oldest first."""
        return [(role, content.strip(), status) for role, content, status in self.shop.messages(session_id)]

    def sessions(self) -> dict[str, str]:
        """Status of each session."""
        found = self.shop.sql("select session_id, status from public.agent_sessions")
        return {str(session_id): str(status) for session_id, status in found}


@asynccontextmanager
async def street(owner_url: str, login_url: str) -> AsyncGenerator[Site]:
    """The server on a free port, until the block ends."""
    shop = open_shop(owner_url, "street")
    async with serving(login_url) as served:
        assert served.app is not None
        port = int(served.url.rpartition(":")[2])
        at_home, at_local = f"127.0.0.1:{port}", f"localhost:{port}"
        with psycopg.connect(owner_url) as connection:
            bakery = rows.agent(
                connection,
                shop.organization_id,
                "bakery",
                at_home,
                name="Corner Bakery",
                first_message="Good morning. What may it be?",
                suggested_questions=["When do you open?", "Do you bake without gluten?"],
            )
            clinic = rows.agent(connection, shop.organization_id, "clinic", at_local, name="City Clinic")
        served.app.state.page_agents = [
            PageAgent(bakery, "Corner Bakery", (at_home,), "It is SmolLM2-135M, and often wrong.", "bakery"),
            PageAgent(clinic, "City Clinic", (at_local,), "", "clinic"),
        ]
        yield Site(served.app, port, shop, bakery, clinic)


@dataclass(slots=True)
class Unkind:
    """A proxy before the server. What it does to connections can be changed at any time."""

    url: str
    website: str
    cuts: int = 0
    """How many streams are still cut."""
    cut_after: int = 0
    """After how many bytes of the stream they are."""
    swallows: int = 0
    """How many answers to a message are still thrown away whole, after the server gave them."""
    is_reframing: bool = False
    """Streams come byte by byte, with CRLF, comments and data over many lines; the same events all the while."""


@asynccontextmanager
async def unkind(site: Site) -> AsyncGenerator[Unkind]:
    """The proxy, which is one more website of the bakery."""
    async with httpx2.AsyncClient(base_url=site.url, trust_env=False, timeout=30) as client:

        async def handle(request: loopback.Request, writer: asyncio.StreamWriter) -> None:
            headers = {**request.headers, "connection": "close", "accept-encoding": "identity"}
            forwarded = client.stream(request.method, request.path, headers=headers, content=request.body)
            async with forwarded as response:
                await _pass_on(proxy, response, writer)

        async with loopback.serve(handle) as server:
            website = f"127.0.0.1:{server.port}"
            proxy = Unkind(f"http://{website}", website)
            site.allow(website)
            yield proxy


async def _pass_on(proxy: Unkind, response: httpx2.Response, writer: asyncio.StreamWriter) -> None:
    is_stream = response.headers["content-type"].startswith("text/event-stream")
    if is_stream and proxy.swallows:
        proxy.swallows -= 1
        return
    passed = ("content-type", "content-security-policy", "access-control-allow-origin")
    lines = [f"HTTP/1.1 {response.status_code} Status", "Connection: close"]
    lines += [f"{name}: {response.headers[name]}" for name in passed if name in response.headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    room = None
    if is_stream and proxy.cuts:
        proxy.cuts -= 1
        room = proxy.cut_after
    rest = b""
    async for chunk in response.aiter_raw():
        piece = chunk
        if is_stream and proxy.is_reframing:
            *events, rest = (rest + chunk).split(b"\n\n")
            for event in events:
                await _drip(writer, reframed(event.decode()))
            continue
        if room is not None:
            piece, room = chunk[:room], room - len(chunk)
        writer.write(piece)
        await writer.drain()
        if room is not None and room <= 0:
            return


def reframed(event: str) -> bytes:
    """The same event, as another server might write it."""
    name, data = (
        re.findall(r"^(?:id|event): (.*)$", event, re.MULTILINE),
        re.findall(r"^data: (.*)$", event, re.MULTILINE),
    )
    if not data:
        return f"{event}\r\n\r\n".encode()
    lines = [":", "id:" + name[0], ": a comment", "unknown: field", "event: " + name[1]]
    lines += ["data:" + line for line in json.dumps(json.loads(data[0]), indent=1, ensure_ascii=False).split("\n")]
    return "\r\n".join([*lines, "", ""]).encode()


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await writer.drain()
        if at % 16 == 0:
            await asyncio.sleep(0)
