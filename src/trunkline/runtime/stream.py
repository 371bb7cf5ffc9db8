"""A turn as server-sent events (WHATWG HTML, 9.2), numbered so that a cut stream goes on where it was cut.

An event's id is the turn's id and how much of the answer the client has after it: `<turn>:<characters>`, then
`<turn>:done` or `<turn>:error`. A stream that starts behind an offset equals the rest of the uncut one, on whichever
server it is asked for: there the turn's row is followed instead of its memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_json

from trunkline.db.principals import Service
from trunkline.db.tenant import Database
from trunkline.errors import TrunklineError
from trunkline.runtime.live import LiveTurn
from trunkline.sessions import service
from trunkline.sessions.schemas import TurnView

POLL_S = 0.25
"""How often a turn that runs elsewhere is looked at, in seconds."""

HEARTBEAT_S = 15.0
"""Longest silence on a stream, in seconds: proxies cut what they think is dead."""

HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a client was cut off: behind which character, or behind the end."""

    turn_id: UUID
    offset: int = 0
    ended: bool = False
    begun: bool = False

    @staticmethod
    def read(event_id: str | None) -> Resume | None:
        """The place that a `Last-Event-ID` header names; None where it isn't one of ours."""
        turn, _, place = (event_id or "").partition(":")
        try:
            turn_id = UUID(turn)
        except ValueError:
            return None
        if place in ("done", "error"):
            return Resume(turn_id, ended=True, begun=True)
        if place.isascii() and place.isdecimal() and len(place) < 10:
            return Resume(turn_id, int(place), begun=True)
        return None


def encode(event_id: str, name: str, data: BaseModel | Mapping[str, Any]) -> bytes:
    """One event on the wire."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), to_json(data))


async def stream_live(live: LiveTurn, resume: Resume) -> AsyncGenerator[bytes]:
    """A turn that runs in this process."""
    if resume.ended:
        return
    turn = str(live.turn_id)
    if not resume.begun:
        yield _opening(live.turn_id, live.handle, live.user_message)
    offset = min(resume.offset, live.length)
    async for piece in live.pieces(offset):
        offset += len(piece)
        yield encode(f"{turn}:{offset}", "delta", {"text": piece})
    if isinstance(live.outcome, TrunklineError):
        yield encode(f"{turn}:error", "error", live.outcome.problem())
    elif live.outcome is not None:
        yield encode(f"{turn}:done", "done", live.outcome)


async def stream_stored(database: Database, principal: Service, handle: str, resume: Resume) -> AsyncGenerator[bytes]:
    """A turn that runs on another server, or has ended: followed in its row."""
    if resume.ended:
        return
    turn, offset = resume.turn_id, resume.offset
    if not resume.begun:
        async with database.tenant(principal) as session:
            message = await service.user_message(session, handle, turn)
        yield _opening(turn, handle, message)
    try:
        async for piece in follow(database, principal, handle, turn, offset):
            offset += len(piece)
            yield encode(f"{turn}:{offset}", "delta", {"text": piece})
        outcome = await outcome_of(database, principal, handle, turn)
        if outcome.message is not None and (rest := outcome.message.content[offset:]):
            yield encode(f"{turn}:{offset + len(rest)}", "delta", {"text": rest})
        yield encode(f"{turn}:done", "done", outcome)
    except TrunklineError as error:
        yield encode(f"{turn}:error", "error", error.problem())


async def follow(
    database: Database, principal: Service, handle: str, turn: UUID, offset: int = 0
) -> AsyncGenerator[str]:
    """What is said behind `offset` of a turn that runs elsewhere, until it has ended.

    Raises:
        ProviderFailed: the turn failed, or its server died.
    """
    while True:
        async with database.tenant(principal) as session:
            piece, has_ended = await service.watch_turn(session, handle, turn, offset)
        if has_ended:
            return
        if piece:
            offset += len(piece)
            yield piece
        await asyncio.sleep(POLL_S)


async def outcome_of(database: Database, principal: Service, handle: str, turn: UUID) -> TurnView:
    """The end of a turn.

    Raises:
        TrunklineError: as `sessions.service.outcome`.
    """
    async with database.tenant(principal) as session:
        return await service.outcome(session, handle, turn)


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


def _opening(turn_id: UUID, handle: str, message: BaseModel) -> bytes:
    data = {"turn_id": turn_id, "session_id": handle, "user_message": message}
    return encode(f"{turn_id}:0", "turn", data)
