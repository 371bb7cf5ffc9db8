"""The least that can be called a turn: FastAPI, plain tables, the minimal SQL, the same 40 words.

No policies, no authentication, no agent, no lease, no idempotency, no resuming; the same web server with the same
settings. Run as `python -m benchmarks.turns.floor` with the database's URL in FLOOR_DATABASE_URL. `?delay_ms=10`
on a message puts a pause before each word.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from uuid import UUID, uuid4

import psycopg
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from trunkline.web.listen import address_of, bind
from trunkline.web.serve import run

SCHEMA = """
create table floor_sessions (
  id uuid primary key, message_count integer not null default 0, last_activity_at timestamptz not null default now());
create table floor_messages (
  id uuid primary key, session_id uuid not null references floor_sessions, sequence bigint generated always as identity,
  role text not null, content text not null, created_at timestamptz not null default now(),
  unique (session_id, sequence));
"""

POOL_SIZE = 10
"""Connections, as many as Trunkline's default."""

_WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do", "eiusmod")
_INSERT = "insert into floor_messages (id, session_id, role, content) values (%s, %s, %s, %s)"
_HISTORY = "select role, content from floor_messages where session_id = %s order by sequence desc limit 20"
_TOUCH = "update floor_sessions set message_count = message_count + 2, last_activity_at = now() where id = %s"


class NewSession(BaseModel):
    """A session; what an agent's session needs is passed over."""


class NewMessage(BaseModel):
    """A message to be answered."""

    content: str


class Pool:
    """A fixed number of connections."""

    def __init__(self) -> None:
        self._free: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()

    async def open(self, url: str) -> None:
        """Connect all at once."""
        for _ in range(POOL_SIZE):
            self._free.put_nowait(await psycopg.AsyncConnection.connect(url, autocommit=True))

    async def close(self) -> None:
        """Close what is free; at the end that is all."""
        while not self._free.empty():
            await self._free.get_nowait().close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[psycopg.AsyncConnection]:
        """One transaction on a free connection."""
        connection = await self._free.get()
        try:
            async with connection.transaction():
                yield connection
        finally:
            self._free.put_nowait(connection)


def create_app(url: str) -> FastAPI:
    """The app over one database that has `SCHEMA`."""
    pool = Pool()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await pool.open(url)
        yield
        await pool.close()

    app = FastAPI(lifespan=lifespan)

    async def start(new: NewSession) -> dict[str, str]:  # noqa: ARG001  its validation is part of the floor
        session_id = uuid4()
        async with pool.transaction() as connection:
            await connection.execute("insert into floor_sessions (id) values (%s)", (session_id,))
        return {"session_id": str(session_id)}

    async def send(session_id: UUID, new: NewMessage, delay_ms: int = 0) -> StreamingResponse:
        async with pool.transaction() as connection:
            await connection.execute(_INSERT, (uuid4(), session_id, "user", new.content))
            await (await connection.execute(_HISTORY, (session_id,))).fetchall()
        return StreamingResponse(_answer(pool, session_id, delay_ms / 1000), media_type="text/event-stream")

    app.add_api_route("/v1/sessions", start, methods=["POST"])
    app.add_api_route("/v1/sessions/{session_id}/messages", send, methods=["POST"], response_model=None)
    return app


async def _answer(pool: Pool, session_id: UUID, delay_s: float) -> AsyncGenerator[bytes]:
    said: list[str] = []
    for word in islice(cycle(_WORDS), 40):
        await asyncio.sleep(delay_s)
        said.append(f"{word} ")
        yield b"event: delta\ndata: %b\n\n" % json.dumps({"text": said[-1]}).encode()
    async with pool.transaction() as connection:
        await connection.execute(_INSERT, (uuid4(), session_id, "assistant", "".join(said)))
        await connection.execute(_TOUCH, (session_id,))
    yield b"event: done\ndata: {}\n\n"


def main() -> None:
    """Serve until told to stop."""
    app = create_app(os.environ["FLOOR_DATABASE_URL"])
    listener = bind("127.0.0.1", 0)
    host, port = address_of(listener)
    run(app, listener, on_ready=lambda: print(f"ready http://{host}:{port}", flush=True))


if __name__ == "__main__":
    main()
