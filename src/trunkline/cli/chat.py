"""`trunkline chat`: talk to an agent in the terminal, through the API of a server that runs."""

from __future__ import annotations

import asyncio
import json
import sys
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

import typer
from rich.markup import escape

from trunkline.cli.console import out, progress
from trunkline.errors import SetupError, TrunklineError
from trunkline.settings import load_settings

if TYPE_CHECKING:
    import httpx2


PAUSES_S = (0, 0, 0.5, 1, 2, 4)
"""Before each attempt to get an answer from a server that was cut off, in seconds."""


@dataclass(frozen=True)
class Target:
    """An agent on one of its websites."""

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
    with asyncio.Runner() as runner:
        talk = runner.run(_open(agent, url, key, session))
        try:
            if message is None:
                _converse(runner, talk)
            else:
                runner.run(_turn(talk, message))
        finally:
            runner.run(talk.client.aclose())


@dataclass(frozen=True)
class Talk:
    """A session on a server."""

    client: httpx2.AsyncClient
    session: str


async def _open(agent: str | None, url: str | None, key: str | None, session: str | None) -> Talk:
    from trunkline.outgoing import OutgoingPolicy, guarded_client

    base, token, known = _server(url, key)
    # The person at the terminal chose this address, private or not.
    policy = OutgoingPolicy(allow=frozenset({urlsplit(base).hostname or ""}), read_timeout_s=130)
    client = guarded_client(policy)
    client.base_url = base
    client.headers["Authorization"] = f"Bearer {token}"
    try:
        if session is None:
            started = await _start(client, await _find_agent(client, agent, known))
            session = str(started["session_id"])
            _greet(started, session)
    except BaseException:
        await client.aclose()
        raise
    return Talk(client, session)


def _converse(runner: asyncio.Runner, talk: Talk) -> None:
    while True:
        try:
            line = input("you> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            out.print()
            return
        if not line:
            return
        try:
            runner.run(_turn(talk, line))
        except TrunklineError as error:
            progress.print(f"[red]{escape(error.detail)}[/]")


async def _turn(talk: Talk, content: str) -> None:
    """One message and its answer, printed as it comes; a cut stream goes on where it was cut."""
    turn = ""
    try:
        async for name, data in _resumed(talk, content, str(uuid4())):
            if name == "turn":
                if turn:
                    out.print("\n  the server stopped; another one answers", style="dim")
                out.print("agent> ", end="", style="bold")
                turn = str(data["turn_id"])
            elif name == "delta":
                out.print(_visible(data["text"]), end="", markup=False, soft_wrap=True)
            elif name == "error":
                out.print()
                raise TrunklineError(str(data["detail"]))
            else:
                _print_facts(data)
    except asyncio.CancelledError:
        if turn:
            await _call(talk.client, "POST", f"/v1/sessions/{talk.session}/turns/{turn}/cancel")
        raise


def _visible(text: str) -> str:
    """Text without the control characters that a terminal would obey."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")


async def _resumed(talk: Talk, content: str, key: str) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """The events of a turn, whole, however often the connection is cut."""
    last: str | None = None
    reason = ""
    for pause_s in PAUSES_S:
        await asyncio.sleep(pause_s)
        headers = {"Idempotency-Key": key, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        try:
            async for event_id, name, data in _events(talk.client, talk.session, content, headers):
                if name == "error" and data["status"] == 503:
                    raise ConnectionError(data["detail"])
                last = event_id
                yield name, data
                if name in ("done", "error"):
                    return
        except OSError as error:
            reason = str(error)
    raise SetupError(f"The server does not answer: {reason or 'it cut the answer off'}. Look at its log.")


async def _events(
    client: httpx2.AsyncClient, session: str, content: str, headers: dict[str, str]
) -> AsyncGenerator[tuple[str, str, dict[str, Any]]]:
    import httpx2

    body = {"content": content, "stream": True}
    try:
        async with client.stream("POST", f"/v1/sessions/{session}/messages", json=body, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                if response.status_code == 503:
                    raise ConnectionError(_refusal(response).detail)
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
    out.print("  " + " · ".join(fact for fact in facts if fact), style="dim", markup=False)


def _greet(started: dict[str, Any], session: str) -> None:
    progress.print(f"[dim]session {session} with {escape(started['agent']['name'])}; an empty line ends[/]")
    if started["agent"].get("first_message"):
        out.print(f"[bold]agent>[/] {escape(started['agent']['first_message'])}", soft_wrap=True)


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
            return Target(agent["id"], sites[0] if sites else None)
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
