"""A TCP proxy before a server, whose wire a test can cut and mend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from trunkline.db.urls import sqlalchemy_url


class Wire:
    """Passes bytes on until it is cut; then connections break and new ones are refused.

    Frozen, it keeps connections and takes new ones, and passes nothing on: as a stopped server behind a live network.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._last_words: bytes | None = None
        self.port = 0
        self.replaces_key_data = False
        """Whether new connections are told another process id than that of their backend, as poolers do."""

    async def mend(self) -> None:
        """Listen (again), always on the same port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        await self.break_connections()

    def freeze(self, *, after: bytes | None = None) -> None:
        """Pass nothing on from now; with `after`, from when these bytes have gone to the server."""
        self._last_words = after
        if after is None:
            self._flows.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._flows.set()

    async def break_connections(self) -> None:
        """Break every connection; new ones are welcome."""
        broken = list(self._connections)
        for connection in broken:
            connection.cancel()
        if broken:
            await asyncio.wait(broken)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._relay(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        await asyncio.wait([task])

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            ends.append(there_writer)
            both = [
                asyncio.ensure_future(self._pump(reader, there_writer, is_to_server=True)),
                asyncio.ensure_future(self._pump_back(there_reader, writer)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in both:
                    pump.cancel()
                await asyncio.wait(both)
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Unencrypted, a message is a type byte, its length without that byte, and the rest (PostgreSQL 18, 54.7)."""
        replaces_key_data = self.replaces_key_data
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while replaces_key_data:
                kind = await reader.readexactly(1)
                length = await reader.readexactly(4)
                rest = await reader.readexactly(int.from_bytes(length) - 4)
                if kind == b"K":
                    rest = (1).to_bytes(4) + rest[4:]  # the pooler's own
                    replaces_key_data = False
                writer.write(kind + length + rest)
                await writer.drain()
            await self._pump(reader, writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_to_server: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._flows.wait()
                if is_to_server and self._last_words is not None and self._last_words in data:
                    self.freeze()
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def wire_to(url: str) -> AsyncGenerator[tuple[Wire, str]]:
    """A wire to a database's server, and the URL through it."""
    parsed = sqlalchemy_url(url)
    wire = Wire(parsed.host or "127.0.0.1", parsed.port or 5432)
    await wire.mend()
    through = parsed.set(drivername="postgresql", host="127.0.0.1", port=wire.port)
    through = through.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    try:
        yield wire, through.render_as_string(hide_password=False)
    finally:
        await wire.cut()
