"""Queries of agents and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import load_only

from trunkline.agents.models import PUBLIC_FACE, Agent, AgentVersion
from trunkline.db.tenant import TenantSession

_FACE = load_only(*(getattr(Agent, name) for name in PUBLIC_FACE), raiseload=True)


async def add(session: TenantSession, row: Agent | AgentVersion) -> None:
    """Insert a row; policies and constraints speak at once."""
    session.add(row)
    await session.flush()


async def get(session: TenantSession, agent_id: UUID, *, lock: bool = False) -> Agent | None:
    """One agent, locked against other writers if so wished."""
    query = select(Agent).where(Agent.id == agent_id)
    return (await session.execute(query.with_for_update() if lock else query)).scalar_one_or_none()


async def by_slug(session: TenantSession, slug: str) -> Sequence[Agent]:
    """Agents of this slug; more than one only for a member of several organizations."""
    return (await session.execute(select(Agent).where(Agent.slug == slug))).scalars().all()


async def face(session: TenantSession, agent_id: UUID) -> Agent | None:
    """The public columns of one agent; the others can't be read from the result."""
    return (await session.execute(select(Agent).options(_FACE).where(Agent.id == agent_id))).scalar_one_or_none()


async def page(session: TenantSession, limit: int, after: UUID | None) -> Sequence[Agent]:
    """Agents by id."""
    query = select(Agent).order_by(Agent.id).limit(limit)
    if after is not None:
        query = query.where(Agent.id > after)
    return (await session.execute(query)).scalars().all()


async def remove(session: TenantSession, agent_id: UUID) -> int:
    """Delete an agent with its sessions and messages; returns 0 or 1."""
    return len((await session.execute(delete(Agent).where(Agent.id == agent_id).returning(Agent.id))).all())


async def last_version(session: TenantSession, agent_id: UUID) -> int:
    """The number of the newest version; 0 where nothing was published yet."""
    query = select(func.coalesce(func.max(AgentVersion.version), 0)).where(AgentVersion.agent_id == agent_id)
    return (await session.execute(query)).scalar_one()


async def versions(session: TenantSession, agent_id: UUID) -> Sequence[AgentVersion]:
    """Versions of an agent, newest first."""
    query = select(AgentVersion).where(AgentVersion.agent_id == agent_id).order_by(AgentVersion.version.desc())
    return (await session.execute(query.limit(200))).scalars().all()


async def version(session: TenantSession, version_id: UUID) -> AgentVersion | None:
    """One version."""
    return (await session.execute(select(AgentVersion).where(AgentVersion.id == version_id))).scalar_one_or_none()
