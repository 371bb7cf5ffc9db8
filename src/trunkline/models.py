"""Every mapped class in one place, for Alembic, the readiness analyser and the migration."""

from __future__ import annotations

from trunkline.agents.models import Agent, AgentVersion, Tool
from trunkline.db.base import Base
from trunkline.knowledge.models import KnowledgeBase, KnowledgeChunk, KnowledgeSource
from trunkline.organizations.models import ApiKeyRow, AuditLog, Credential, Organization, OrganizationMember, Profile
from trunkline.sessions.models import AgentMessage, AgentSession, AgentTurn, TurnState
from trunkline.usage.models import UsageLog

__all__ = [
    "Agent",
    "AgentMessage",
    "AgentSession",
    "AgentTurn",
    "AgentVersion",
    "ApiKeyRow",
    "AuditLog",
    "Base",
    "Credential",
    "KnowledgeBase",
    "KnowledgeChunk",
    "KnowledgeSource",
    "Organization",
    "OrganizationMember",
    "Profile",
    "Tool",
    "TurnState",
    "UsageLog",
]
