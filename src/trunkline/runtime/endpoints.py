"""Routes of turns: sending a message, following its answer, stopping it."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from trunkline.api import Caller, Db, need
from trunkline.db.principals import ApiKey, Principal, Service, Visitor
from trunkline.db.tenant import Database
from trunkline.errors import DatabaseUnavailable, InvalidInput, ProviderFailed, TrunklineError
from trunkline.runtime.live import LiveTurn
from trunkline.runtime.stream import Resume, Tell, stream_live, stream_stored, wait_for_end, with_heartbeat
from trunkline.runtime.turns import Turns
from trunkline.sessions import service
from trunkline.sessions.schemas import Handle, NewMessage, TurnStatus, TurnView
from trunkline.sessions.turns import TurnDied, fallback_message, turn_status

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["turns"])


async def _turns(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


Running = Annotated[Turns, Depends(_turns)]
IdempotencyKey = Annotated[
    str | None,
    Header(max_length=255, description="The same key and message again give the same one answer, however often sent"),
]
LastEventId = Annotated[str | None, Header(max_length=100, description="Id of the last event that was received")]

CANT_ANSWER = "The agent can't answer right now. Please try again later."
"""What a visitor is told of a provider's failure, unless the agent has a `fallback_message`."""

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The answer"}
}


@router.post("/messages", response_model=TurnView, responses=_STREAM)
async def send_message(
    session_id: Handle,
    new: NewMessage,
    caller: Caller,
    database: Db,
    turns: Running,
    idempotency_key: IdempotencyKey = None,
    last_event_id: LastEventId = None,
) -> TurnView | StreamingResponse:
    """Send a message and get the agent's answer, whole or as server-sent events (`stream: true`)."""
    principal = _acting(caller, session_id)
    tell = _teller(database, caller, principal, session_id)
    key = idempotency_key or str(uuid4())
    if not key.isprintable():
        raise InvalidInput("The Idempotency-Key has characters that can't be printed.", field="Idempotency-Key")
    try:
        turn_id, live = await turns.take(principal, session_id, new.content, key)
        if new.stream:
            return _respond(database, principal, session_id, live, Resume.read(last_event_id, turn_id), tell)
        if live is not None:
            return await live.ended()
        return await wait_for_end(database, principal, session_id, turn_id)
    except TrunklineError as error:
        raise await tell(error) from None


@router.get("/turns/{turn_id}/stream", response_class=StreamingResponse, responses=_STREAM)
async def follow_turn(
    session_id: Handle,
    turn_id: UUID,
    caller: Caller,
    database: Db,
    turns: Running,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Follow a turn from where `Last-Event-ID` says, on any replica, while it runs and after."""
    principal = _acting(caller, session_id)
    tell = _teller(database, caller, principal, session_id)
    async with database.tenant(principal) as session:
        await turn_status(session, session_id, turn_id)
    live = turns.live(session_id, turn_id)
    return _respond(database, principal, session_id, live, Resume.read(last_event_id, turn_id), tell)


@router.post("/turns/{turn_id}/cancel")
async def cancel_turn(session_id: Handle, turn_id: UUID, caller: Caller, turns: Running) -> TurnStatus:
    """Stop a turn. What was said stays, as an interrupted message."""
    principal = _acting(caller, session_id)
    return TurnStatus(turn_id=turn_id, status=await turns.cancel(principal, session_id, turn_id))


def _acting(caller: Principal, session_id: str) -> Service:
    if isinstance(caller, ApiKey):
        need(caller, "sessions:write")
    return service.acting_for(caller, session_id)


def _teller(database: Database, caller: Principal, principal: Service, handle: str) -> Tell:
    """Programs are told what failed; a visitor isn't told of the operator's keys, models and servers."""

    async def tell(error: TrunklineError) -> TrunklineError:
        passes = isinstance(error, TurnDied | DatabaseUnavailable) or error.status < 500
        if passes or not isinstance(caller, Visitor):
            return error
        message = None
        with suppress(TrunklineError):
            async with database.tenant(principal) as session:
                message = await fallback_message(session, handle)
        return ProviderFailed(message or CANT_ANSWER, retry_after_s=error.retry_after_s)

    return tell


def _respond(
    database: Database, principal: Service, handle: str, live: LiveTurn | None, resume: Resume, tell: Tell
) -> StreamingResponse:
    if live is None:
        events = stream_stored(database, principal, handle, resume, tell)
    else:
        events = stream_live(live, resume, tell)
    return StreamingResponse(
        with_heartbeat(events),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
