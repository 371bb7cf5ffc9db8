"""Who is calling. A principal is the one thing that opens a tenant-scoped session.

Each knows the database role that it acts as and the claims that the policies read. The claims' shape is PostgREST's
(`request.jwt.claims`, with `sub` and `role` at the top); what is ours sits under `trunkline`, so that a third party's
token can't carry it by accident.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from trunkline.db.access import ANON, AUTHENTICATED, SERVICE


@dataclass(frozen=True, slots=True)
class Member:
    """A person with a profile; sees the organizations that it is a member of."""

    role: ClassVar[str] = AUTHENTICATED
    kind: ClassVar[str] = "member"
    user_id: UUID
    email: str | None = None

    def claims(self) -> str:
        """Claims as JSON."""
        return _claims(self.role, {"kind": self.kind}, sub=str(self.user_id), email=self.email)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program of one organization; `scopes` limit which routes it may call."""

    role: ClassVar[str] = SERVICE
    kind: ClassVar[str] = "api_key"
    organization_id: UUID
    key_id: UUID
    scopes: frozenset[str] = frozenset()

    def claims(self) -> str:
        """Claims as JSON."""
        ours: dict[str, object] = {
            "kind": self.kind,
            "organization_id": str(self.organization_id),
            "scopes": sorted(self.scopes),
        }
        return _claims(self.role, ours)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody on a website. Before a session exists, only the agent's public face is visible to it."""

    role: ClassVar[str] = ANON
    kind: ClassVar[str] = "visitor"
    agent_id: UUID
    website_domain: str
    organization_id: UUID | None = None
    session_id: str | None = None

    def claims(self) -> str:
        """Claims as JSON."""
        ours: dict[str, object] = {
            "kind": self.kind,
            "agent_id": str(self.agent_id),
            "website_domain": self.website_domain,
        }
        if self.organization_id is not None:
            ours["organization_id"] = str(self.organization_id)
        if self.session_id is not None:
            ours["session_id"] = self.session_id
        return _claims(self.role, ours)


@dataclass(frozen=True, slots=True)
class Service:
    """Work of the server itself, always for one organization; a turn's work also for one session."""

    role: ClassVar[str] = SERVICE
    kind: ClassVar[str] = "service"
    organization_id: UUID
    session_id: str | None = None

    def claims(self) -> str:
        """Claims as JSON."""
        ours: dict[str, object] = {"kind": self.kind, "organization_id": str(self.organization_id)}
        if self.session_id is not None:
            ours["session_id"] = self.session_id
        return _claims(self.role, ours)


Principal = Member | ApiKey | Visitor | Service


def _claims(role: str, ours: dict[str, object], **top: str | None) -> str:
    claims: dict[str, object] = {key: value for key, value in top.items() if value is not None}
    return json.dumps({**claims, "role": role, "trunkline": ours}, separators=(",", ":"))
