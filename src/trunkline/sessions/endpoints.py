"""Routes of sessions and their messages."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from trunkline.agents import service as agents
from trunkline.agents.websites import website_of_origin
from trunkline.api import Caller, Cursor, Db, Limit, Page, need, page_of
from trunkline.db.principals import ApiKey, Member, Principal, Visitor
from trunkline.db.tenant import Database
from trunkline.errors import NotAllowed, NotAuthenticated
from trunkline.sessions import service
from trunkline.sessions.models import AgentSession
from trunkline.sessions.schemas import Handle, MessageView, NewSession, SessionStarted, SessionView, TokenView
from trunkline.sessions.tokens import VisitorTokens

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def start_session(new: NewSession, request: Request, response: Response, database: Db) -> SessionStarted:
    """Start a session, or find the one of this `client_reference` (200 then).

    A visitor sends no credential: the browser's `Origin` says which website it is on, and the agent must list it.
    """
    if "authorization" in request.headers:
        caller = await request.app.state.authenticate(request)
        if isinstance(caller, Visitor):
            raise NotAllowed("A visitor's token belongs to one session. Leave Authorization out to start another one.")
        need(caller, "sessions:write")
        started = await service.start_as_program(database, caller, new)
        token = None
    else:
        started = await service.start_as_visitor(database, new, _origin(request))
        token = _token(request, _visitor(started.row))
    if not started.is_new:
        response.status_code = status.HTTP_200_OK
    return SessionStarted(
        **SessionView.model_validate(started.row).model_dump(),
        agent=started.agent,
        **(token.model_dump() if token else {}),
    )


@router.get("")
async def list_sessions(
    caller: Caller,
    database: Db,
    limit: Limit = 50,
    cursor: Cursor = None,
    agent_id: Annotated[UUID | None, Query(description="Only of this agent")] = None,
) -> Page[SessionView]:
    """Sessions of the organization, newest first."""
    need(caller, "sessions:read")
    async with database.tenant(caller) as session:
        rows = list(await service.page(session, limit + 1, cursor, agent_id))
    return page_of(rows, limit, SessionView)


@router.get("/{session_id}")
async def get_session(session_id: Handle, caller: Caller, database: Db) -> SessionView:
    """One session; `running_turn_id` names the turn that is being answered."""
    return await _view(database, _reading(caller), session_id)


@router.post("/{session_id}/token")
async def renew_token(session_id: Handle, request: Request, database: Db) -> TokenView:
    """A fresh token for the visitor of an open session, also when the old one has just expired."""
    tokens: VisitorTokens = request.app.state.tokens
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated("Send the visitor's token as `Authorization: Bearer TOKEN`.")
    visitor = tokens.verify(token.strip(), grace_s=service.RENEWAL_S)
    if visitor.session_id != session_id:
        raise service.UnknownSession("There is no such session. Start one with POST /v1/sessions.")
    check_origin(request, visitor)
    await service.check_renewal(database, visitor, session_id)
    return _token(request, visitor)


@router.post("/{session_id}/end")
async def end_session(session_id: Handle, caller: Caller, database: Db) -> SessionView:
    """Close a session; its messages stay."""
    async with database.tenant(service.acting_for(_writing(caller), session_id)) as session:
        await service.end(session, session_id)
    return await _view(database, caller, session_id)


@router.get("/{session_id}/messages")
async def list_messages(
    session_id: Handle, caller: Caller, database: Db, limit: Limit = 50, cursor: Cursor = None
) -> Page[MessageView]:
    """Messages of a session, oldest first."""
    async with database.tenant(_reading(caller)) as session:
        rows = list(await service.messages(session, session_id, limit + 1, cursor))
    return page_of(rows, limit, MessageView)


def check_origin(request: Request, visitor: Visitor) -> None:
    """Refuse a visitor's token that is used from another website than it was made on.

    Browsers leave `Origin` out of same-origin reads; where it is sent, it must be the token's website.

    Raises:
        WrongWebsite: says which website the token is for.
    """
    origin = request.headers.get("origin")
    if origin is not None and website_of_origin(origin) != visitor.website_domain:
        raise agents.WrongWebsite(
            f"This token is for the website {visitor.website_domain!r}, not for {origin[:100]!r}."
        )


async def _view(database: Database, caller: Principal, handle: str) -> SessionView:
    async with database.tenant(caller) as session:
        row = await service.get(session, handle)
        view = SessionView.model_validate(row)
    if isinstance(caller, Visitor):
        caller = service.acting_for(caller, handle)
    async with database.tenant(caller) as session:
        view.running_turn_id = await service.running_turn(session, row.id)
    return view


def _origin(request: Request) -> str:
    found = website_of_origin(request.headers.get("origin"))
    if found is None:
        raise NotAuthenticated(
            "Send `Authorization: Bearer KEY`, or call from a browser on one of the agent's websites (its Origin header"
            " is missing or not a website's)."
        )
    return found


def _visitor(row: AgentSession) -> Visitor:
    return Visitor(row.agent_id, row.website_domain or "", row.organization_id, row.session_id)


def _token(request: Request, visitor: Visitor) -> TokenView:
    tokens: VisitorTokens = request.app.state.tokens
    token, expires = tokens.sign(visitor)
    return TokenView(token=token, token_expires_at=expires)


def _reading(caller: Principal) -> Principal:
    if isinstance(caller, ApiKey | Member):
        need(caller, "sessions:read")
    return caller


def _writing(caller: Principal) -> Principal:
    if isinstance(caller, ApiKey | Member):
        need(caller, "sessions:write")
    return caller
