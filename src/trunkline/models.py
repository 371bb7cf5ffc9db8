"""Every mapped class in one place, for Alembic, the readiness analyser and the migration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.agents.models import Agent, AgentVersion, Tool
from trunkline.db.access import ANON, AUTHENTICATED, SERVICE
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


@dataclass(frozen=True, slots=True)
class ExamplePrincipal:
    """One kind of caller, for whoever tries the policies; the claims are those of `db.principals`.

    `{table.column}` stands for a value of a row that belongs to the caller's organization, `{person}` for its own id.
    `given` is what such rows must hold for the caller's rights to apply.
    """

    name: str
    role: str
    claims: Mapping[str, object]
    given: Mapping[str, str] = field(default_factory=dict[str, str])


Base.metadata.info["principals"] = (
    ExamplePrincipal(
        "a member of the row's organization",
        AUTHENTICATED,
        {"sub": "{person}", "role": AUTHENTICATED, "trunkline": {"kind": "member"}},
        # A member records only what itself has done.
        {"audit_logs.actor_kind": "member", "audit_logs.actor_id": "{person}"},
    ),
    ExamplePrincipal(
        "a visitor of the row's website",
        ANON,
        {
            "role": ANON,
            "trunkline": {
                "kind": "visitor",
                "organization_id": "{organizations.id}",
                "agent_id": "{agents.id}",
                "session_id": "{agent_sessions.session_id}",
                "website_domain": "{agent_sessions.website_domain}",
            },
        },
        {"agents.is_published": "true", "agents.is_active": "true", "agent_sessions.website_domain": "shop.example"},
    ),
    ExamplePrincipal(
        "a service of the row's organization",
        SERVICE,
        {"role": SERVICE, "trunkline": {"kind": "service", "organization_id": "{organizations.id}"}},
    ),
)
