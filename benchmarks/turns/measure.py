"""The measurements of a turn: CPU of the server, turns a second, statements and round trips, bytes of WAL."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
from benchmarks.turns.counting import Counts
from benchmarks.turns.subjects import Conversation, Subject


@dataclass(frozen=True, slots=True)
class Load:
    """What one batch of turns took."""

    cpu_ms: float
    """CPU time of the server per turn, in milliseconds."""
    turns_per_s: float


async def measure_load(subject: Subject, concurrency: int, turns: int, *, paced: bool = False) -> Load:
    """Take `turns` turns, spread over `concurrency` fresh sessions that each take one at a time."""
    each = max(1, turns // concurrency)
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(subject.session(paced=paced)) for _ in range(concurrency)]
        cpu_s, started = subject.cpu_s(), time.perf_counter()
        await asyncio.gather(*(_take(session, each) for session in sessions))
        wall_s, cpu_s = time.perf_counter() - started, subject.cpu_s() - cpu_s
    return Load(1000 * cpu_s / (each * concurrency), each * concurrency / wall_s)


async def measure_counts(subject: Subject, counts: Counts, turns: int) -> Counts:
    """Statements and round trips of one turn: the median over `turns` turns of one session."""
    seen: list[Counts] = []
    async with subject.session() as session:
        await _take(session, 3)  # connections are made, statements prepared, the agent's version is read
        for _ in range(turns):
            before = counts.copy()
            await session.take_turn()
            seen.append(counts.since(before))
    return Counts(
        round(statistics.median(each.statements for each in seen)),
        round(statistics.median(each.round_trips for each in seen)),
    )


async def measure_wal(subject: Subject, owner_url: str, at: Sequence[int], sessions: int) -> dict[int, int]:
    """Bytes of WAL that the turns numbered `at` write, each the median over `sessions` sessions.

    The turns between those run on all sessions at once; those measured run alone.
    """
    found: dict[int, int] = {}
    async with AsyncExitStack() as stack:
        async with subject.session() as warming:
            await warming.take_turn()  # sequences and caches write their first bytes now
        opened = [await stack.enter_async_context(subject.session()) for _ in range(sessions)]
        connection = await stack.enter_async_context(await psycopg.AsyncConnection.connect(owner_url, autocommit=True))
        taken = 0
        for number in at:
            await asyncio.gather(*(_take(session, number - 1 - taken) for session in opened))
            taken = number
            found[number] = round(statistics.median([await _wal_of_turn(session, connection) for session in opened]))
    return found


async def _take(session: Conversation, turns: int) -> None:
    for _ in range(turns):
        await session.take_turn()


async def _wal_of_turn(session: Conversation, connection: psycopg.AsyncConnection) -> int:
    before = await _written(connection)
    await session.take_turn()
    return await _written(connection) - before


async def _written(connection: psycopg.AsyncConnection) -> int:
    row = await (await connection.execute("select (pg_current_wal_insert_lsn() - '0/0')::bigint")).fetchone()
    if row is None:
        raise AssertionError("a select of one value gives one row")
    return row[0]
