"""A turn as server-sent events (WHATWG HTML, 9.2), numbered so that a cut stream goes on where it was cut.

An event's id is the turn's id and how much of the answer the client has after it: `<turn>:<characters>`, then
`<turn>:done` or `<turn>:error`. A turn that failed and was asked for again is another attempt, whose ids end in its
number (`<turn>:<characters>.2`): whoever was cut off in the attempt before starts anew, with the event `turn`.
A stream that starts behind an offset equals the rest of the uncut one, on whichever server it is asked for: there the
turn's row is followed instead of its memory. One that ends without `done` or `error` was cut.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_json

from trunkline.db.principals import Service
from trunkline.db.tenant import Database
from trunkline.errors import DatabaseUnavailable, TrunklineError
from trunkline.runtime.live import LiveTurn
from trunkline.sessions import turns
from trunkline.sessions.schemas import TurnView

POLL_S = 0.25
"""How often a turn that runs elsewhere is looked at, in seconds."""

HEARTBEAT_S = 15.0
"""Longest silence on a stream, in seconds: proxies cut what they think is dead."""

HEARTBEAT = b": still here\n\n"


Tell = Callable[[TrunklineError], Awaitable[TrunklineError]]
"""Turns a failure into the one that the client is told."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a client was cut off: behind which character of which attempt, or behind the end."""

    turn_id: UUID
    offset: int = 0
    attempt: int = 1
    ended: bool = False
    begun: bool = False

    @staticmethod
    def read(event_id: str | None, turn_id: UUID) -> Resume:
        """The place that a `Last-Event-ID` header names; the beginning where it isn't one of this turn's."""
        turn, _, place = (event_id or "").partition(":")
        match = _PLACE.fullmatch(place)
        if match is None or turn != str(turn_id):
            return Resume(turn_id)
        ended = match["end"] is not None
        return Resume(turn_id, int(match["offset"] or 0), int(match["attempt"] or 1), ended, begun=True)

    def within(self, attempt: int) -> Resume:
        """The same place if it is one of this attempt; else the beginning of it."""
        return self if self.attempt == attempt else Resume(self.turn_id, attempt=attempt)


_PLACE = re.compile(r"(?:(?P<offset>[0-9]{1,9})|(?P<end>done|error))(?:\.(?P<attempt>[0-9]{1,9}))?")


def encode(resume: Resume, place: int | str, name: str, data: BaseModel | Mapping[str, Any]) -> bytes:
    """One event on the wire, behind which the client is at `place`."""
    event_id = f"{resume.turn_id}:{place}" if resume.attempt == 1 else f"{resume.turn_id}:{place}.{resume.attempt}"
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), to_json(data))


async def stream_live(live: LiveTurn, resume: Resume, tell: Tell) -> AsyncGenerator[bytes]:
    """A turn that runs in this process."""
    resume = resume.within(live.attempt)
    if resume.ended:
        return
    if not resume.begun:
        yield _opening(resume, live.handle, live.user_message)
    offset = min(resume.offset, live.length)
    async for piece in live.pieces(offset):
        offset += len(piece)
        yield encode(resume, offset, "delta", {"text": piece})
    if isinstance(live.outcome, TrunklineError):
        yield encode(resume, "error", "error", (await tell(live.outcome)).problem())
    elif live.outcome is not None:
        yield encode(resume, "done", "done", live.outcome)


async def stream_stored(
    database: Database, principal: Service, handle: str, resume: Resume, tell: Tell
) -> AsyncGenerator[bytes]:
    """A turn that runs on another server, or has ended: followed in its row. Without the database it is cut."""
    with suppress(DatabaseUnavailable):
        async with database.tenant(principal) as session:
            message = await turns.user_message(session, handle, resume.turn_id)
            attempt = (await turns.watch_turn(session, handle, resume.turn_id, 0)).attempt
        resume = resume.within(attempt)
        if resume.ended:
            return
        if not resume.begun:
            yield _opening(resume, handle, message)
        offset = resume.offset
        try:
            async for piece in follow(database, principal, handle, resume):
                offset += len(piece)
                yield encode(resume, offset, "delta", {"text": piece})
            outcome = await outcome_of(database, principal, handle, resume.turn_id)
            if outcome.message is not None and (rest := outcome.message.content[offset:]):
                yield encode(resume, offset + len(rest), "delta", {"text": rest})
            yield encode(resume, "done", "done", outcome)
        except DatabaseUnavailable:
            raise
        except TrunklineError as error:
            yield encode(resume, "error", "error", (await tell(error)).problem())


async def follow(database: Database, principal: Service, handle: str, place: Resume) -> AsyncGenerator[str]:
    """What is said behind `place` in a turn that runs elsewhere, until it has ended.

    Raises:
        ProviderFailed: the turn failed.
        TurnDied: its server stopped, or it is in another attempt by now.
    """
    offset = place.offset
    while True:
        async with database.tenant(principal) as session:
            progress = await turns.watch_turn(session, handle, place.turn_id, offset)
        if progress.failure is not None:
            raise progress.failure
        if progress.attempt != place.attempt:
            raise turns.TurnDied(turns.TURN_DIED, retry_after_s=1)
        if progress.has_ended:
            return
        if progress.piece:
            offset += len(progress.piece)
            yield progress.piece
        await asyncio.sleep(POLL_S)


async def wait_for_end(database: Database, principal: Service, handle: str, turn_id: UUID) -> TurnView:
    """The answer of a turn that runs elsewhere or ended before.

    Raises:
        TrunklineError: as `follow`.
    """
    async with database.tenant(principal) as session:
        attempt = (await turns.watch_turn(session, handle, turn_id, 0)).attempt
    async for _ in follow(database, principal, handle, Resume(turn_id, attempt=attempt)):
        pass
    return await outcome_of(database, principal, handle, turn_id)


async def outcome_of(database: Database, principal: Service, handle: str, turn: UUID) -> TurnView:
    """The end of a turn.

    Raises:
        TrunklineError: as `sessions.turns.outcome`.
    """
    async with database.tenant(principal) as session:
        return await turns.outcome(session, handle, turn)


async def with_heartbeat(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same events, with a comment whenever there was none for a while."""
    pending: asyncio.Future[bytes] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([pending], timeout=HEARTBEAT_S)
            if not done:
                yield HEARTBEAT
                continue
            try:
                event = pending.result()
            except StopAsyncIteration:
                return
            pending = None
            yield event
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.wait([pending])
        await events.aclose()


def _opening(resume: Resume, handle: str, message: BaseModel) -> bytes:
    data = {"turn_id": resume.turn_id, "session_id": handle, "user_message": message}
    return encode(resume, 0, "turn", data)
