"""Routes of agents."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response, status

from trunkline.agents import service
from trunkline.agents.schemas import AgentChange, AgentView, NewAgent, Publish, VersionView
from trunkline.api import Caller, Cursor, Db, Limit, Page, need, organization_for, page_of

router = APIRouter(prefix="/v1/agents", tags=["agents"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_agent(new: NewAgent, caller: Caller, database: Db) -> AgentView:
    """Make an agent, as a draft. Publish it to let it answer."""
    need(caller, "agents:write")
    organization_id = organization_for(caller, new.organization_id)
    async with database.tenant(caller) as session:
        return service.view_of(await service.create(session, organization_id, new))


@router.get("")
async def list_agents(caller: Caller, database: Db, limit: Limit = 50, cursor: Cursor = None) -> Page[AgentView]:
    """The organization's agents."""
    need(caller, "agents:read")
    async with database.tenant(caller) as session:
        rows = list(await service.page(session, limit + 1, cursor))
    return page_of([service.view_of(row) for row in rows], limit, AgentView)


@router.get("/{agent_id}")
async def get_agent(agent_id: UUID, caller: Caller, database: Db) -> AgentView:
    """One agent, as it is being edited."""
    need(caller, "agents:read")
    async with database.tenant(caller) as session:
        return service.view_of(await service.get(session, agent_id))


@router.patch("/{agent_id}")
async def change_agent(agent_id: UUID, change: AgentChange, caller: Caller, database: Db) -> AgentView:
    """Change settings of the draft."""
    need(caller, "agents:write")
    async with database.tenant(caller) as session:
        agent = await service.change(session, agent_id, change.model_dump(exclude_unset=True))
        return service.view_of(agent)


@router.delete("/{agent_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_agent(agent_id: UUID, caller: Caller, database: Db) -> Response:
    """Delete an agent with its sessions and messages."""
    need(caller, "agents:write")
    async with database.tenant(caller) as session:
        await service.remove(session, agent_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post("/{agent_id}/publish", status_code=status.HTTP_201_CREATED)
async def publish_agent(agent_id: UUID, caller: Caller, database: Db, what: Publish | None = None) -> VersionView:
    """Freeze the draft as a version; new sessions start with it, running ones keep theirs."""
    need(caller, "agents:write")
    async with database.tenant(caller) as session:
        return VersionView.model_validate(await service.publish(session, agent_id, what.notes if what else None))


@router.get("/{agent_id}/versions")
async def list_versions(agent_id: UUID, caller: Caller, database: Db) -> Page[VersionView]:
    """Published versions, newest first."""
    need(caller, "agents:read")
    async with database.tenant(caller) as session:
        rows = await service.versions(session, agent_id)
    return Page[VersionView](data=[VersionView.model_validate(row) for row in rows])
