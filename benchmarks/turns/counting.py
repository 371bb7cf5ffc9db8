"""A proxy before PostgreSQL that counts statements and round trips (PostgreSQL 18, chapter 54, message formats)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.engine import make_url

_COMMAND_COMPLETE = ord("C")


@dataclass(slots=True)
class Counts:
    """What went over all connections so far."""

    statements: int = 0
    """Statements that the server completed, BEGIN and COMMIT included."""
    round_trips: int = 0
    """Times that the client spoke after the server had: it has waited once for each."""

    def since(self, before: Counts) -> Counts:
        """What was added to `before`."""
        return Counts(self.statements - before.statements, self.round_trips - before.round_trips)

    def copy(self) -> Counts:
        """The counts as they are now."""
        return Counts(self.statements, self.round_trips)


class _Connection:
    """One client's connection, passed on unchanged."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._server_spoke = True
        self._buffer = b""

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        """Copy one direction until it ends."""
        while data := await reader.read(65536):
            if from_server:
                self._count_statements(data)
            elif self._server_spoke:
                self._counts.round_trips += 1
            self._server_spoke = from_server
            writer.write(data)
            await writer.drain()
        writer.close()

    def _count_statements(self, data: bytes) -> None:
        """Every message of the server is a type byte, then its length without that byte."""
        self._buffer += data
        while len(self._buffer) >= 5:
            size = 1 + int.from_bytes(self._buffer[1:5])
            if len(self._buffer) < size:
                return
            self._counts.statements += self._buffer[0] == _COMMAND_COMPLETE
            self._buffer = self._buffer[size:]


@asynccontextmanager
async def counted(url: str) -> AsyncGenerator[tuple[str, Counts]]:
    """The URL of the same database through the proxy, and what it counts."""
    target = make_url(url)
    counts = Counts()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(counts)
        there, back = await asyncio.open_connection(target.host, target.port)
        await asyncio.gather(
            connection.pass_on(reader, back, from_server=False),
            connection.pass_on(there, writer, from_server=True),
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    # Unencrypted, so that every message of the server has the plain form.
    plain = target.set(port=port, query={"sslmode": "disable", "gssencmode": "disable"})
    try:
        yield plain.render_as_string(hide_password=False), counts
    finally:
        server.close()
