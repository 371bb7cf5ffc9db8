"""Somebody who writes without a pause to the tables that are analysed, and how long each statement took."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

PAUSE_S = 0.002
"""Between transactions: with none, the writer and the analysis would compete for the machine alone."""


@dataclass(frozen=True, slots=True)
class Waits:
    """How long statements took."""

    statements: int
    median_ms: float
    p99_ms: float
    longest_ms: float
    lock_waits: int
    """Statements that were seen waiting for a lock by whoever watched."""


@dataclass
class Writer:
    """What a writer has seen so far."""

    milliseconds: list[float] = field(default_factory=list[float])
    lock_waits: int = 0

    def waits(self) -> Waits:
        """In a few numbers."""
        ordered = sorted(self.milliseconds)
        return Waits(
            statements=len(ordered),
            median_ms=statistics.median(ordered),
            p99_ms=ordered[len(ordered) * 99 // 100],
            longest_ms=ordered[-1],
            lock_waits=self.lock_waits,
        )


@contextmanager
def writing(url: str) -> Generator[Writer]:
    """Write, in a thread, until the end; another thread watches whether the writer waits for a lock."""
    writer, stop = Writer(), threading.Event()
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url, autocommit=True) as watching:
        threads = [
            threading.Thread(target=_write, args=(connection, writer, stop)),
            threading.Thread(target=_watch, args=(watching, connection.info.backend_pid, writer, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield writer
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _write(connection: psycopg.Connection, writer: Writer, stop: threading.Event) -> None:
    found = connection.execute("select id from public.bots limit 1").fetchone()
    if found is None:
        raise AssertionError("There is no bot to write for.")
    while not stop.is_set():
        _turn(connection, writer, found[0])
        time.sleep(PAUSE_S)


def _turn(connection: psycopg.Connection, writer: Writer, bot: UUID) -> None:
    with connection.transaction():
        made = _timed(connection, writer, "insert into public.chat_sessions (bot_id) values (%s) returning id", bot)
        for role in ("user", "model"):
            add = "insert into public.chat_messages (session_id, role, text) values (%s, %s, 'Hello') returning id"
            _timed(connection, writer, add, made, role)
        _timed(connection, writer, "update public.bots set updated_at = now() where id = %s returning id", bot)


def _timed(connection: psycopg.Connection, writer: Writer, statement: str, *values: object) -> object:
    began = time.perf_counter()
    row = connection.execute(statement.encode(), values).fetchone()
    writer.milliseconds.append((time.perf_counter() - began) * 1000)
    return row[0] if row else None


def _watch(connection: psycopg.Connection, pid: int, writer: Writer, stop: threading.Event) -> None:
    query = "select count(*) from pg_catalog.pg_locks where pid = %s and not granted"
    while not stop.is_set():
        found = connection.execute(query, (pid,)).fetchone()
        writer.lock_waits += int(found[0]) if found else 0
        time.sleep(0.005)
