"""A client that costs little: it shares the processor with the server that is measured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit


class WrongAnswer(Exception):
    """The server said something else than a turn's answer: nothing measured on it would count."""


class Client:
    """One HTTP/1.1 connection that is kept (RFC 9112)."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, headers: dict[str, str]
    ) -> None:
        self._reader = reader
        self._writer = writer
        lines = {"Host": host, "Content-Type": "application/json", **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The body of the answer, read to its end.

        Raises:
            WrongAnswer: the status isn't 200 or 201.
        """
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        status, _, headers = (await self._reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")
        answer = await self._body(headers.lower())
        if status.split()[1] not in ("200", "201"):
            raise WrongAnswer(f"{path}: {status}: {answer[:500].decode(errors='replace')}")
        return answer

    async def _body(self, headers: str) -> bytes:
        if "transfer-encoding: chunked" not in headers:
            length = headers.partition("content-length:")[2].partition("\r\n")[0]
            return await self._reader.readexactly(int(length))
        pieces: list[bytes] = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(pieces)


@asynccontextmanager
async def connected(base_url: str, headers: dict[str, str]) -> AsyncGenerator[Client]:
    """A client of one server."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Client(reader, writer, parts.netloc, headers)
    finally:
        writer.close()
        await writer.wait_closed()
