"""Rules of agents: what may be set, and what publishing means.

SlugTaken, NotPublished, Unreadable ⊂ Conflict; UnknownAgent ⊂ NotFound; WrongWebsite ⊂ NotAllowed

What is set through the API may have no unknown keys. What is stored may: a newer server's, or what a member wrote past
our API. Reading leaves such keys out, and says what else it can't read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from psycopg.errors import CheckViolation
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import IntegrityError

from trunkline.agents import repository
from trunkline.agents.models import Agent, AgentVersion
from trunkline.agents.schemas import AgentView, NewAgent, PublicAgent
from trunkline.agents.settings import AgentSettings
from trunkline.agents.websites import website
from trunkline.api import actor_id
from trunkline.db.base import new_id
from trunkline.db.tenant import TenantSession
from trunkline.errors import Conflict, InvalidInput, NotAllowed, NotFound


class SlugTaken(Conflict):
    """The organization has an agent of this slug."""

    code: ClassVar[str] = "slug_taken"


class UnknownAgent(NotFound):
    """There is no such agent for the caller."""

    code: ClassVar[str] = "unknown_agent"


class NotPublished(Conflict):
    """The agent has no published version, or is switched off."""

    code: ClassVar[str] = "agent_not_published"


class Unreadable(Conflict):
    """A stored setting isn't what the schema allows; it must be set anew."""

    code: ClassVar[str] = "unreadable_settings"


class WrongWebsite(NotAllowed):
    """The agent does not serve this website."""

    code: ClassVar[str] = "wrong_website"


async def create(session: TenantSession, organization_id: UUID, new: NewAgent) -> Agent:
    """Make an agent, as a draft.

    Raises:
        SlugTaken: the slug is in use.
        InvalidInput: a credential, knowledge base or tool that the organization does not have, or a credential that is
            for another provider or address than the agent names.
    """
    values = _columns(AgentSettings.model_validate(new.model_dump(exclude={"organization_id"})))
    agent = Agent(id=new_id(), organization_id=organization_id, created_by=actor_id(session.principal), **values)
    await _write(session, agent)
    return agent


async def get(session: TenantSession, agent_id: UUID) -> Agent:
    """One agent.

    Raises:
        UnknownAgent: there is none of this id for the caller.
    """
    agent = await repository.get(session, agent_id)
    if agent is None:
        raise UnknownAgent(f"There is no agent {agent_id}.", field="agent_id")
    return agent


async def find(session: TenantSession, name: str) -> Agent:
    """One agent by id or slug.

    Raises:
        UnknownAgent: there is none, or there are several of this slug in the caller's organizations.
    """
    try:
        return await get(session, UUID(name))
    except ValueError:
        found = await repository.by_slug(session, name)
    if len(found) != 1:
        raise UnknownAgent(
            f"There is no agent {name!r}." if not found else f"There are several agents {name!r}: use the id."
        )
    return found[0]


async def page(session: TenantSession, limit: int, after: UUID | None) -> Sequence[Agent]:
    """Agents by id."""
    return await repository.page(session, limit, after)


async def change(session: TenantSession, agent_id: UUID, changes: Mapping[str, Any]) -> Agent:
    """Change settings of the draft; what is published stays until the next publishing.

    Raises:
        UnknownAgent: there is none of this id for the caller.
        SlugTaken: the slug is in use.
        InvalidInput: a credential, knowledge base or tool that the organization does not have, or a credential that is
            for another provider or address than the agent names.
    """
    agent = await _locked(session, agent_id)
    wanted = dict(changes)
    active = wanted.pop("is_active", None)
    stored, _ = _stored(agent)  # what can't be read may be what is being mended
    settings = AgentSettings.model_validate({**stored.model_dump(), **wanted})
    for name, value in _columns(settings).items():
        if name in wanted:
            setattr(agent, name, value)
    if active is not None:
        agent.is_active = active
    await _write(session, agent)
    await session.refresh(agent)
    return agent


async def remove(session: TenantSession, agent_id: UUID) -> None:
    """Delete an agent, its sessions and their messages.

    Raises:
        UnknownAgent: there is none of this id that the caller may delete.
    """
    if not await repository.remove(session, agent_id):
        raise UnknownAgent(f"There is no agent {agent_id}.", field="agent_id")


async def publish(session: TenantSession, agent_id: UUID, notes: str | None = None) -> AgentVersion:
    """Freeze the draft as a new version, which new sessions start with.

    Raises:
        UnknownAgent: there is none of this id for the caller.
        Unreadable: a stored setting can't be read.
    """
    agent = await _locked(session, agent_id)
    settings, problem = _stored(agent)
    if problem is not None:
        raise Unreadable(problem)
    return await _freeze(session, agent, settings, notes if notes is not None else settings.version_notes)


async def _freeze(session: TenantSession, agent: Agent, settings: AgentSettings, notes: str | None) -> AgentVersion:
    version = AgentVersion(
        id=new_id(),
        organization_id=agent.organization_id,
        agent_id=agent.id,
        version=await repository.last_version(session, agent.id) + 1,
        snapshot=settings.model_dump(mode="json"),
        notes=notes,
        created_by=actor_id(session.principal),
    )
    await repository.add(session, version)
    agent.published_version_id = version.id
    agent.is_published = True
    agent.version = version.version
    await session.flush()
    return version


async def versions(session: TenantSession, agent_id: UUID) -> Sequence[AgentVersion]:
    """Versions, newest first.

    Raises:
        UnknownAgent: there is none of this id for the caller.
    """
    await get(session, agent_id)
    return await repository.versions(session, agent_id)


async def published_settings(session: TenantSession, version_id: UUID) -> tuple[int, AgentSettings]:
    """The number and the settings of a published version.

    Raises:
        NotPublished: the version is gone.
        Unreadable: a stored setting can't be read.
    """
    version = await repository.version(session, version_id)
    if version is None:
        raise NotPublished("The agent's version of this session no longer exists. Start a new session.")
    try:
        return version.version, AgentSettings.model_validate(version.snapshot, extra="ignore")
    except ValidationError as error:
        # Without the value: visitors read this too.
        raise Unreadable(
            f"Version {version.version} of agent {version.agent_id} has a setting that can't be read:"
            f" {_first(error)[0] or 'the snapshot itself'}. Publish the agent anew, and start a new session."
        ) from None


async def face(session: TenantSession, agent_id: UUID) -> Agent:
    """The public columns of an agent that is published and switched on.

    Raises:
        UnknownAgent: there is none, or it isn't published; a visitor is not told which.
    """
    agent = await repository.face(session, agent_id)
    if agent is None:
        raise UnknownAgent(f"There is no published agent {agent_id}.", field="agent_id")
    return agent


async def published(session: TenantSession, agent_id: UUID) -> tuple[Agent, AgentSettings]:
    """An agent that is published and switched on, and the settings that its visitors meet, whatever its draft says.

    Raises:
        UnknownAgent: there is none of this id for the caller.
        NotPublished: it has no published version, or is switched off.
    """
    agent = await get(session, agent_id)
    settings = await _published_of(session, agent)
    if not agent.is_active:
        raise NotPublished(f"Agent {agent.slug!r} is switched off. Set its is_active.", field="agent_id")
    return agent, settings


async def serve_websites(
    session: TenantSession, agent_id: UUID, websites: Sequence[str], *, most: int
) -> AgentSettings:
    """Let an agent serve these websites too: its published version and its draft, each as it is otherwise.

    `most` websites are kept, the given ones first. What is being edited is not published by this. Returns the
    published settings.

    Raises:
        UnknownAgent: there is none of this id for the caller.
        NotPublished: it has no published version.
    """
    agent = await _locked(session, agent_id)
    settings = await _published_of(session, agent)
    given = [website(site) for site in websites]
    agent.allowed_domains = _with(agent.allowed_domains, given, most)
    wanted = settings.model_copy(update={"allowed_domains": _with(settings.allowed_domains, given, most)})
    await session.flush()
    if wanted != settings:
        await _freeze(session, agent, wanted, "websites only")
    return wanted


def public_face(agent: Agent, settings: AgentSettings) -> PublicAgent:
    """What a visitor may know of an agent, as it is published."""
    return PublicAgent.model_validate({**settings.model_dump(), "id": agent.id})


def check_website(settings: AgentSettings, site: str) -> None:
    """Refuse a website that the published agent doesn't list; an empty list allows none.

    Raises:
        WrongWebsite: says which website was asked for.
    """
    if site not in settings.allowed_domains:
        raise WrongWebsite(
            f"This agent does not serve the website {site!r}. Add it to the agent's allowed_domains, and publish.",
            field="website_domain",
        )


async def _published_of(session: TenantSession, agent: Agent) -> AgentSettings:
    if not agent.is_published or agent.published_version_id is None:
        raise NotPublished(
            f"Agent {agent.slug!r} is not published. Publish it: POST /v1/agents/{agent.id}/publish.", field="agent_id"
        )
    return (await published_settings(session, agent.published_version_id))[1]


async def _locked(session: TenantSession, agent_id: UUID) -> Agent:
    agent = await repository.get(session, agent_id, lock=True)
    if agent is None:
        raise UnknownAgent(f"There is no agent {agent_id}.", field="agent_id")
    return agent


def _with(listed: Sequence[str], websites: Sequence[str], most: int) -> list[str]:
    return [*websites, *(site for site in listed if site not in websites)][:most]


def view_of(agent: Agent) -> AgentView:
    """An agent as the API shows it, also where some of it can't be read: `problem` then says what."""
    settings, problem = _stored(agent)
    own = set(AgentView.model_fields) - set(AgentSettings.model_fields) - {"problem"}
    return AgentView(**settings.model_dump(), **{name: getattr(agent, name) for name in own}, problem=problem)


def _stored(agent: Agent) -> tuple[AgentSettings, str | None]:
    """The settings of a row, bundles filled with their defaults; and a sentence about what can't be read, if any.

    Settings that can't be read have their defaults.
    """
    values = {name: getattr(agent, name) for name in AgentSettings.model_fields}
    try:
        return AgentSettings.model_validate(values, extra="ignore"), None
    except ValidationError as error:
        field, message = _first(error)
        broken = {str(item["loc"][0]) for item in error.errors()}
    readable = {name: value for name, value in values.items() if name not in broken}
    problem = (
        f"The agent {agent.slug!r} has a stored value that can't be read, in {field}: {message}."
        f" The default stands in its place. Set {field.partition('.')[0]} anew."
    )
    return AgentSettings.model_validate(readable, extra="ignore"), problem


def _first(error: ValidationError) -> tuple[str, str]:
    """Where the first fault is, and what it is."""
    first = error.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ").rstrip(".")


def _columns(settings: AgentSettings) -> dict[str, Any]:
    """Settings as the columns hold them: bundles and lists of bundles as JSON."""
    return {name: _plain(getattr(settings, name)) for name in AgentSettings.model_fields}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  any list of settings
    return value


async def _write(session: TenantSession, agent: Agent) -> None:
    try:
        await repository.add(session, agent)
    except IntegrityError as error:
        reason = str(error.orig)
        if refusal := _credential_refusal(error):
            raise InvalidInput(refusal, field="llm_credential_id") from None
        if "agents_organization_id_slug_key" in reason:
            raise SlugTaken(f"The slug {agent.slug!r} is in use. Choose another.", field="slug") from None
        if "llm_credential_id" in reason:
            raise InvalidInput("There is no such credential.", field="llm_credential_id") from None
        if "knowledge_base_ids" in reason or "tool_ids" in reason:
            field = "knowledge_base_ids" if "knowledge_base_ids" in reason else "tool_ids"
            raise InvalidInput(f"{field} names something that this organization does not have.", field=field) from None
        raise


def _credential_refusal(error: IntegrityError) -> str | None:
    """The database's sentence about a credential that is for another provider or address."""
    cause = error.orig
    if isinstance(cause, CheckViolation) and cause.diag.constraint_name == "agents_credential_fits":
        return cause.diag.message_primary
    return None
