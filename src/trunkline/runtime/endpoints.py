"""Routes of turns: sending a message, following its answer, stopping it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from trunkline.api import Caller, Db, need
from trunkline.db.principals import ApiKey, Principal, Service
from trunkline.db.tenant import Database
from trunkline.errors import InvalidInput
from trunkline.runtime.live import LiveTurn
from trunkline.runtime.stream import Resume, follow, outcome_of, stream_live, stream_stored, with_heartbeat
from trunkline.runtime.turns import Turns
from trunkline.sessions import service
from trunkline.sessions.schemas import NewMessage, TurnStatus, TurnView

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["turns"])


def _turns(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


Running = Annotated[Turns, Depends(_turns)]
IdempotencyKey = Annotated[
    str | None,
    Header(max_length=255, description="The same key and message again give the same one answer, however often sent"),
]
LastEventId = Annotated[str | None, Header(max_length=100, description="Id of the last event that was received")]

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The answer"}
}


@router.post("/messages", response_model=TurnView, responses=_STREAM)
async def send_message(
    session_id: str,
    new: NewMessage,
    caller: Caller,
    database: Db,
    turns: Running,
    idempotency_key: IdempotencyKey = None,
    last_event_id: LastEventId = None,
) -> TurnView | StreamingResponse:
    """Send a message and get the agent's answer, whole or as server-sent events (`stream: true`)."""
    principal = _acting(caller, session_id)
    key = idempotency_key or str(uuid4())
    if not key.isprintable():
        raise InvalidInput("The Idempotency-Key has characters that can't be printed.", field="Idempotency-Key")
    turn_id, live = await turns.take(principal, session_id, new.content, key)
    if new.stream:
        resume = Resume.read(last_event_id)
        if resume is None or resume.turn_id != turn_id:
            resume = Resume(turn_id)
        return _respond(database, principal, session_id, live, resume)
    if live is not None:
        return await live.ended()
    return await _await_stored(database, principal, session_id, turn_id)


@router.get("/turns/{turn_id}/stream", response_class=StreamingResponse, responses=_STREAM)
async def follow_turn(
    session_id: str,
    turn_id: UUID,
    caller: Caller,
    database: Db,
    turns: Running,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Follow a turn from where `Last-Event-ID` says, on any replica, while it runs and after."""
    principal = _acting(caller, session_id)
    async with database.tenant(principal) as session:
        await service.turn_status(session, session_id, turn_id)
    resume = Resume.read(last_event_id)
    if resume is None or resume.turn_id != turn_id:
        resume = Resume(turn_id)
    return _respond(database, principal, session_id, turns.live(session_id, turn_id), resume)


@router.post("/turns/{turn_id}/cancel")
async def cancel_turn(session_id: str, turn_id: UUID, caller: Caller, turns: Running) -> TurnStatus:
    """Stop a turn. What was said stays, as an interrupted message."""
    principal = _acting(caller, session_id)
    return TurnStatus(turn_id=turn_id, status=await turns.cancel(principal, session_id, turn_id))


def _acting(caller: Principal, session_id: str) -> Service:
    if isinstance(caller, ApiKey):
        need(caller, "sessions:write")
    return service.acting_for(caller, session_id)


def _respond(
    database: Database, principal: Service, handle: str, live: LiveTurn | None, resume: Resume
) -> StreamingResponse:
    stored = stream_stored(database, principal, handle, resume)
    events = stored if live is None else stream_live(live, resume)
    return StreamingResponse(
        with_heartbeat(events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _await_stored(database: Database, principal: Service, handle: str, turn_id: UUID) -> TurnView:
    """The answer of a turn that runs elsewhere or ended before."""
    async for _ in follow(database, principal, handle, turn_id):
        pass
    return await outcome_of(database, principal, handle, turn_id)
