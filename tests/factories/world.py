"""A small world of two tenants that must not see each other, each with one row in every table."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from tests.factories import rows

from trunkline.db.base import new_id
from trunkline.db.principals import ApiKey, Member, Service, Visitor


@dataclass(frozen=True)
class Tenant:
    """One organization and the ids of its one row in every table."""

    slug: str
    website: str
    organization_id: UUID
    people: dict[str, UUID]
    """User ids by role: owner, admin, member, viewer."""
    ids: dict[str, UUID] = field(repr=False)
    """Row ids by table."""
    session_handle: str

    def member(self, role: str) -> Member:
        """The person of this role."""
        return Member(self.people[role], f"{role}@{self.slug}.example")

    @property
    def visitor(self) -> Visitor:
        """The visitor of the one session."""
        return Visitor(self.ids["agents"], self.website, self.organization_id, self.session_handle)

    @property
    def api_key(self) -> ApiKey:
        """The one API key."""
        return ApiKey(self.organization_id, self.ids["api_keys"])

    @property
    def service(self) -> Service:
        """Background work."""
        return Service(self.organization_id)

    @property
    def turn(self) -> Service:
        """The work of a turn in the one session."""
        return Service(self.organization_id, self.session_handle)


@dataclass(frozen=True)
class World:
    """Two tenants that know nothing of each other, and a person of neither."""

    ours: Tenant
    theirs: Tenant
    stranger: Member


def make_world(owner_url: str) -> World:
    """Fill an empty schema with the world."""
    with psycopg.connect(owner_url, autocommit=False) as connection:
        ours = _tenant(connection, "bakery")
        theirs = _tenant(connection, "clinic")
        stranger = Member(rows.person(connection, "stranger@nowhere.example"), "stranger@nowhere.example")
    return World(ours, theirs, stranger)


def _tenant(connection: psycopg.Connection, slug: str) -> Tenant:
    website = f"{slug}.example"
    people = {
        role: rows.person(connection, f"{role}@{slug}.example") for role in ("owner", "admin", "member", "viewer")
    }
    org = rows.organization(connection, slug, people["owner"])
    ids: dict[str, UUID] = {"organizations": org, "profiles": people["owner"]}
    for role in ("admin", "member", "viewer"):
        ids["organization_members"] = rows.insert(
            connection, "organization_members", organization_id=org, user_id=people[role], role=role
        )
    ids["agents"] = rows.agent(connection, org, f"{slug}-agent", website)
    version = connection.execute("select id from agent_versions where agent_id = %s", (ids["agents"],)).fetchone()
    assert version is not None
    ids["agent_versions"] = version[0]
    ids["api_keys"] = rows.insert(
        connection, "api_keys", organization_id=org, name="k", prefix="tl_test", key_hash=new_id().bytes * 2
    )
    ids["credentials"] = rows.insert(
        connection, "credentials", organization_id=org, name="openai", provider="openai", ciphertext=b"\x00"
    )
    ids["audit_logs"] = rows.insert(
        connection,
        "audit_logs",
        organization_id=org,
        actor_kind="member",
        actor_id=people["owner"],
        action="a",
        object_type="agents",
    )
    ids["tools"] = rows.insert(
        connection, "tools", organization_id=org, name="lookup", method="GET", url="https://api.example/x"
    )
    ids |= _knowledge(connection, org) | _conversation(connection, org, slug, website, ids["agents"], version[0])
    return Tenant(slug, website, org, people, ids, f"handle-of-{slug}")


def _knowledge(connection: psycopg.Connection, org: UUID) -> dict[str, UUID]:
    base = rows.insert(connection, "knowledge_bases", organization_id=org, name="faq", embedding_model="minilm")
    source = rows.insert(
        connection, "knowledge_sources", organization_id=org, knowledge_base_id=base, kind="text", name="hours"
    )
    chunk = rows.insert(
        connection, "knowledge_chunks", organization_id=org, source_id=source, position=0, text="open at nine"
    )
    return {"knowledge_bases": base, "knowledge_sources": source, "knowledge_chunks": chunk}


def _conversation(
    connection: psycopg.Connection, org: UUID, slug: str, website: str, agent: UUID, version: UUID
) -> dict[str, UUID]:
    session = rows.insert(
        connection,
        "agent_sessions",
        organization_id=org,
        session_id=f"handle-of-{slug}",
        agent_id=agent,
        agent_version_id=version,
        website_domain=website,
    )
    turn = rows.insert(
        connection, "agent_turns", organization_id=org, session_id=session, idempotency_key="first", status="complete"
    )
    message = rows.insert(
        connection,
        "agent_messages",
        organization_id=org,
        session_id=session,
        turn_id=turn,
        role="user",
        content=f"secret of {slug}",
    )
    usage = rows.insert(
        connection,
        "usage_logs",
        organization_id=org,
        agent_id=agent,
        session_id=session,
        message_id=message,
        kind="llm",
        provider="scripted",
        model="echo",
        tokens_used=1,
    )
    state = rows.insert(connection, "trunkline_runtime.turn_states", organization_id=org, turn_id=turn, state=b"\x00")
    return {
        "agent_sessions": session,
        "agent_turns": turn,
        "agent_messages": message,
        "usage_logs": usage,
        "turn_states": state,
    }
