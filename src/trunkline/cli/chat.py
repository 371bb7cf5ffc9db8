"""`trunkline chat`: talk to an agent in the terminal, through the API of a server that runs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

import typer

from trunkline.cli.console import out, progress
from trunkline.errors import SetupError, TrunklineError
from trunkline.settings import load_settings

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True)
class Target:
    """Which server, with which key, and which agent on which website."""

    url: str
    key: str
    agent_id: str
    website: str | None


def chat(
    agent: Annotated[
        str | None, typer.Argument(help="Slug or id of the agent; the first of the demo if left out.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of the server; the demo's if left out.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="TRUNKLINE_API_KEY", help="API key; the demo's if left out.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Go on with this session.")] = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Send one message, print the answer, end.")
    ] = None,
) -> None:
    """Talk to an agent. An empty line, Ctrl-D or Ctrl-C ends; Ctrl-C also stops the answer that is being given."""
    asyncio.run(_chat(agent, url, key, session, message))


async def _chat(agent: str | None, url: str | None, key: str | None, session: str | None, message: str | None) -> None:
    from trunkline.outgoing import OutgoingPolicy, guarded_client

    base, token, known = _server(url, key)
    parts = urlsplit(base)
    # The person at the terminal chose this address, private or not.
    policy = OutgoingPolicy(allow=frozenset({parts.hostname or ""}), read_timeout_s=130)
    async with guarded_client(policy) as client:
        client.base_url = base
        client.headers["Authorization"] = f"Bearer {token}"
        if session is None:
            target = await _find_agent(client, agent, known)
            started = await _start(client, target)
            session = str(started["session_id"])
            _greet(started, session)
        if message is not None:
            await _turn(client, session, message)
            return
        await _converse(client, session)


async def _converse(client: httpx2.AsyncClient, session: str) -> None:
    while True:
        try:
            line = (await asyncio.to_thread(_ask)).strip()
        except EOFError:
            return
        if not line:
            return
        try:
            await _turn(client, session, line)
        except TrunklineError as error:
            progress.print(f"[red]{error.detail}[/]", markup=True)


def _ask() -> str:
    return input("you> ") if sys.stdin.isatty() else input()


async def _turn(client: httpx2.AsyncClient, session: str, content: str) -> None:
    """One message and its answer, printed as it comes; a cut stream goes on where it was cut."""
    last: str | None = None
    try:
        out.print("agent> ", end="", style="bold")
        key = str(uuid4())
        async for event_id, name, data in _resumed(client, session, content, key):
            last = event_id
            if name == "delta":
                out.print(data["text"], end="", markup=False, soft_wrap=True)
            elif name == "error":
                out.print()
                raise TrunklineError(str(data["detail"]))
            elif name == "done":
                _print_facts(data)
    except asyncio.CancelledError:
        if last is not None:
            await _call(client, "POST", f"/v1/sessions/{session}/turns/{last.partition(':')[0]}/cancel")
        raise


async def _resumed(
    client: httpx2.AsyncClient, session: str, content: str, key: str
) -> AsyncGenerator[tuple[str, str, dict[str, Any]]]:
    """The events of a turn, whole, however often the connection is cut."""
    last: str | None = None
    for attempt in range(6):
        headers = {"Idempotency-Key": key, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        try:
            async for event_id, name, data in _events(client, session, content, headers):
                last = event_id
                yield event_id, name, data
                if name in ("done", "error"):
                    return
        except OSError as error:
            if attempt == 5:
                raise SetupError(f"The server does not answer: {error}.") from None
        await asyncio.sleep(0.5 * attempt)
    raise SetupError("The server cut the answer off six times. Look at its log.")


async def _events(
    client: httpx2.AsyncClient, session: str, content: str, headers: dict[str, str]
) -> AsyncGenerator[tuple[str, str, dict[str, Any]]]:
    import httpx2

    body = {"content": content, "stream": True}
    try:
        async with client.stream("POST", f"/v1/sessions/{session}/messages", json=body, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                raise _refusal(response)
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    yield fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"])
                    fields = {}
    except httpx2.TransportError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error


def _print_facts(done: dict[str, Any]) -> None:
    message: dict[str, Any] = done.get("message") or {}
    facts = [
        f"{message['tokens_used']} tokens" if message.get("tokens_used") else "",
        f"{message['latency_ms']} ms" if message.get("latency_ms") else "",
        str(message.get("model_used") or ""),
        "stopped" if done.get("status") == "cancelled" else "",
    ]
    out.print()
    out.print("  " + " · ".join(fact for fact in facts if fact), style="dim")


def _greet(started: dict[str, Any], session: str) -> None:
    progress.print(f"[dim]session {session} with {started['agent']['name']}; an empty line ends[/]")
    if started["agent"].get("first_message"):
        out.print(f"[bold]agent>[/] {started['agent']['first_message']}")


def _server(url: str | None, key: str | None) -> tuple[str, str, list[dict[str, Any]]]:
    """Address, key, and the agents with their websites as the demo wrote them down."""
    facts: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        facts = json.loads((load_settings().data_dir / "demo.json").read_text(encoding="utf-8"))
    base, token = url or facts.get("base_url"), key or facts.get("api_key")
    if not base or not token:
        raise SetupError("No server is known. Start `make demo` in another terminal, or give --url and --key.")
    return base, token, facts.get("agents", [])


async def _find_agent(client: httpx2.AsyncClient, name: str | None, known: list[dict[str, Any]]) -> Target:
    listed = (await _call(client, "GET", "/v1/agents?limit=200"))["data"]
    wanted = name or (known[0]["slug"] if known else "")
    for agent in listed:
        if wanted in ("", agent["slug"], agent["id"]):
            sites = agent["allowed_domains"]
            return Target(str(client.base_url), "", agent["id"], sites[0] if sites else None)
    slugs = ", ".join(agent["slug"] for agent in listed) or "none yet"
    raise SetupError(f"There is no agent {wanted!r} here. There are: {slugs}.")


async def _start(client: httpx2.AsyncClient, target: Target) -> dict[str, Any]:
    body: dict[str, Any] = {"agent_id": target.agent_id, "website_domain": target.website}
    if target.website is None:
        body["channel"] = "api"
    return await _call(client, "POST", "/v1/sessions", json=body)


async def _call(client: httpx2.AsyncClient, method: str, path: str, **more: Any) -> dict[str, Any]:
    import httpx2

    try:
        response = await client.request(method, path, **more)
    except httpx2.TransportError:
        raise SetupError(f"No server answers at {client.base_url}. Start it with `make demo`.") from None
    if response.status_code >= 400:
        raise _refusal(response)
    return response.json()


def _refusal(response: httpx2.Response) -> TrunklineError:
    try:
        return TrunklineError(str(response.json()["detail"]))
    except (ValueError, KeyError):
        return TrunklineError(f"The server answered {response.status_code}.")
