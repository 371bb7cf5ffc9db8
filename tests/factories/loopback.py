"""A small HTTP server on a free loopback port, whose answers a test writes byte by byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
"""Writes a whole response. The connection is closed when it returns."""


@dataclass(slots=True)
class Loopback:
    """A running server and what it was asked."""

    port: int
    requests: list[Request] = field(default_factory=list[Request])
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has gone away."""


@asynccontextmanager
async def serve(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Loopback]:
    """Serve until the block ends."""

    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(_serve_one(handler, loopback, reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)
        await asyncio.wait({connection})

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    loopback = Loopback(server.sockets[0].getsockname()[1])
    try:
        yield loopback
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)


async def respond(
    writer: asyncio.StreamWriter, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> None:
    """A whole response of known length."""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


async def _serve_one(
    handler: Handler, loopback: Loopback, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        request = await _read(reader)
        loopback.requests.append(request)
        answering = asyncio.ensure_future(handler(request, writer))
        gone = asyncio.create_task(reader.read())
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                loopback.disconnected.set()
        finally:
            gone.cancel()
            answering.cancel()
            await asyncio.wait({answering, gone})
        if not answering.cancelled():
            answering.result()
    except (ConnectionError, asyncio.IncompleteReadError):
        loopback.disconnected.set()
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
