"""SessionService: sessions isolated by organization, agent, website and channel.

SessionBusy, SessionEnded ⊂ Conflict; UnknownSession ⊂ NotFound; SessionFull ⊂ TooMany
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from trunkline.agents import service as agents
from trunkline.agents.schemas import PublicAgent
from trunkline.agents.settings import AgentSettings
from trunkline.agents.websites import website
from trunkline.db.base import new_id
from trunkline.db.principals import ApiKey, Member, Principal, Service, Visitor
from trunkline.db.tenant import Database, TenantSession
from trunkline.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    TooMany,
)
from trunkline.sessions import repository
from trunkline.sessions.models import AgentMessage, AgentSession
from trunkline.sessions.schemas import NewSession

RENEWAL_S = 86_400
"""How long after its end a visitor's token still gets a fresh one for the same open session, in seconds."""


STARTS = 5
"""How often a session is looked for by its client_reference while others close and make it. Twice is mostly enough."""


class UnknownSession(NotFound):
    """There is no such session for the caller."""

    code: ClassVar[str] = "unknown_session"


class SessionBusy(Conflict):
    """A turn is being answered."""

    code: ClassVar[str] = "session_busy"


class SessionEnded(Conflict):
    """The session is over."""

    code: ClassVar[str] = "session_ended"


class SessionFull(TooMany):
    """The session has as many messages as the agent allows."""

    code: ClassVar[str] = "max_messages_per_session"


@dataclass(frozen=True, slots=True)
class Started:
    """A session that was made or found, and what its visitor may know of the agent."""

    row: AgentSession
    agent: PublicAgent
    is_new: bool


async def start_as_visitor(database: Database, new: NewSession, origin: str) -> Started:
    """Start a session for whoever is on `origin`, the website that the browser attests.

    Raises:
        UnknownAgent: there is no published agent of this id.
        WrongWebsite: the agent doesn't serve the website, or the request names another one than the browser.
        InvalidInput: the channel isn't one of the agent's; a client_reference, which only a program may choose.
    """
    if new.client_reference is not None:
        raise InvalidInput(
            "A visitor can't choose a client_reference: it would find other visitors' sessions. Use an API key.",
            field="client_reference",
        )
    if new.website_domain is not None and _website(new.website_domain) != origin:
        raise agents.WrongWebsite(
            f"The request says {new.website_domain!r}, the browser says {origin!r}. Leave website_domain out.",
            field="website_domain",
        )
    async with database.tenant(Visitor(new.agent_id, origin)) as session:
        organization_id = (await agents.face(session, new.agent_id)).organization_id
    async with database.tenant(Service(organization_id)) as session:
        return await _start(session, new, origin)


async def start_as_program(database: Database, caller: ApiKey | Member, new: NewSession) -> Started:
    """Start or find a session on behalf of somebody; the website is as the program says.

    Raises:
        UnknownAgent, WrongWebsite, InvalidInput: as for visitors.
        NotPublished: the agent has no published version, or is switched off.
    """
    async with database.tenant(caller) as session:
        return await _start(session, new, None if new.website_domain is None else _website(new.website_domain))


async def get(session: TenantSession, handle: str) -> AgentSession:
    """A session by its public handle, as the caller may see it.

    Raises:
        UnknownSession: there is none for the caller.
    """
    is_visitor = isinstance(session.principal, Visitor)
    find = repository.find_session if is_visitor else repository.find_whole_session
    row = await find(session, handle)
    if row is None:
        raise UnknownSession("There is no such session. Start one with POST /v1/sessions.")
    return row


async def end(session: TenantSession, handle: str) -> AgentSession:
    """Close a session.

    Raises:
        UnknownSession: there is none for the caller.
        SessionBusy: a turn is being answered.
    """
    await repository.lock_session(session, handle)  # a turn that is just being admitted is seen
    row = await get(session, handle)
    if await repository.running_turn(session, row.id) is not None:
        raise SessionBusy("The session is answering a message. Cancel the turn, or wait for it.", retry_after_s=1)
    await repository.end_session(session, handle, "ended")
    await session.refresh(row, ["status", "ended_at"])
    return row


async def check_renewal(database: Database, visitor: Visitor, handle: str) -> None:
    """Refuse a visitor a fresh token for a session that takes no more messages.

    Raises:
        UnknownSession: there is none for the visitor.
        SessionEnded: it is over.
        NotPublished: its agent is switched off.
        WrongWebsite: its agent serves the visitor's website no longer.
    """
    async with database.tenant(visitor) as session:
        row = await get(session, handle)
    if row.status != "active":
        raise ended(row.status)
    async with database.tenant(acting_for(visitor, handle)) as session:
        _, settings = await agents.published(session, visitor.agent_id)
    agents.check_website(settings, visitor.website_domain)


async def page(session: TenantSession, limit: int, after: UUID | None, agent_id: UUID | None) -> Sequence[AgentSession]:
    """Sessions, newest first."""
    return await repository.page_of_sessions(session, limit, after, agent_id)


async def running_turn(session: TenantSession, session_row: UUID) -> UUID | None:
    """The turn that is being answered."""
    return await repository.running_turn(session, session_row)


async def messages(session: TenantSession, handle: str, limit: int, after: UUID | None) -> Sequence[AgentMessage]:
    """Messages of a session, oldest first.

    Raises:
        UnknownSession: there is none for the caller.
    """
    row = await get(session, handle)
    return await repository.page_of_messages(session, row.id, limit, after)


def acting_for(caller: Principal, handle: str) -> Service:
    """The principal that runs a turn: bound to one organization and one session, whatever its code does.

    Raises:
        UnknownSession: a visitor asks for a session that isn't the one of its token.
        NotAllowed: members don't converse; their organization's keys do.
    """
    if isinstance(caller, Visitor):
        if caller.session_id != handle or caller.organization_id is None:
            raise UnknownSession("There is no such session. Start one with POST /v1/sessions.")
        return Service(caller.organization_id, handle)
    if isinstance(caller, Member):
        raise NotAllowed("Members read conversations. To take part, use an API key or a visitor's token.")
    return Service(caller.organization_id, handle)


async def _start(session: TenantSession, new: NewSession, domain: str | None) -> Started:
    agent, settings = await agents.published(session, new.agent_id)
    if domain is not None:
        agents.check_website(settings, domain)
    elif new.channel == "web":
        raise InvalidInput("A session of channel web needs a website_domain.", field="website_domain")
    if new.channel not in settings.channels:
        raise InvalidInput(
            f"This agent has no channel {new.channel!r}. Its channels: {', '.join(settings.channels)}.", field="channel"
        )
    face = agents.public_face(agent, settings)
    handle = f"ses_{secrets.token_urlsafe(24)}"
    values: dict[str, Any] = {
        "id": new_id(),
        "organization_id": agent.organization_id,
        "session_id": handle,
        "client_reference": new.client_reference,
        "agent_id": agent.id,
        "agent_version_id": agent.published_version_id,
        "website_domain": domain,
        "channel": new.channel,
    }
    for _ in range(STARTS):
        if await repository.add_session(session, values):
            return Started(await get(session, handle), face, is_new=True)
        found = await repository.open_session_by_reference(session, values)
        if found is not None:
            row, age, idle = found
            closing = await _closing(session, row, age.total_seconds(), idle.total_seconds())
            if closing is None:
                return Started(row, face, is_new=False)
            await repository.end_session(session, row.session_id, closing)
    raise SessionBusy("Others start and end sessions of this client_reference. Try again.", retry_after_s=1)


async def _closing(session: TenantSession, row: AgentSession, age_s: float, idle_s: float) -> str | None:
    """The status that an open session gets before another one takes its client_reference; None if it goes on."""
    if await repository.running_turn(session, row.id) is not None:
        return None
    if row.agent_version_id is None:
        return "ended"
    _, settings = await agents.published_settings(session, row.agent_version_id)
    passed = passed_limit(settings, age_s=age_s, idle_s=idle_s, messages=row.message_count)
    if passed is None:
        return None
    return "ended" if isinstance(passed, SessionFull) else "timeout"


def _website(value: str) -> str:
    try:
        return website(value)
    except ValueError as error:
        raise InvalidInput(f"{error}.", field="website_domain") from None


def ended(status: str) -> SessionEnded:
    """What is answered to a message for a session that is over."""
    return SessionEnded(f"This session is over ({status}). Start a new one.")


def passed_limit(
    settings: AgentSettings, *, age_s: float, idle_s: float, messages: int
) -> SessionEnded | SessionFull | None:
    """Why a session takes no further message."""
    limits = {
        "idle_timeout_seconds": (idle_s, settings.idle_timeout_seconds),
        "session_ttl_seconds": (age_s, settings.session_ttl_seconds),
        "max_session_seconds": (age_s, settings.max_session_seconds),
    }
    for name, (spent, limit) in limits.items():
        if spent > limit:
            return SessionEnded(f"This session is over: the agent's {name} of {limit} s has passed. Start a new one.")
    if messages >= settings.max_messages_per_session:
        return SessionFull(
            f"This session has reached its {settings.max_messages_per_session} messages. Start a new one."
        )
    return None
