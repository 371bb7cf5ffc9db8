"""Where the attacks happen: two tenants, a second session beside the first, and everybody who may try."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString, cast
from uuid import UUID

import psycopg
from psycopg import sql
from tests.factories import rows
from tests.factories.world import Tenant, World, make_world

from trunkline.db.base import new_id
from trunkline.db.principals import Member, Principal, Service, Visitor

LOGIN = "trunkline_test_login"

Connection = psycopg.Connection[tuple[object, ...]]


def raw(text: str) -> sql.SQL:
    """SQL that a test composed of its own constants."""
    return sql.SQL(cast("LiteralString", text))


def qualified(table: str) -> str:
    """The table's name with its schema."""
    return f"trunkline_runtime.{table}" if table == "turn_states" else f"public.{table}"


@dataclass(frozen=True)
class Attacker:
    """Whoever tries: a database role and the claims it comes with, as text."""

    name: str
    role: str
    claims: str
    user_id: UUID | None = None

    @classmethod
    def of(cls, name: str, principal: Principal) -> Attacker:
        """A principal of the server's own."""
        return cls(name, principal.role, principal.claims(), getattr(principal, "user_id", None))

    def become(self, connection: Connection) -> None:
        """Act as this one until the end of the transaction, or until `as_owner`."""
        connection.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('role', %s, true)", (self.claims, self.role)
        )


def as_owner(connection: Connection) -> None:
    """Be the owner again, whom no policy binds."""
    connection.execute("select set_config('role', 'none', true), set_config('request.jwt.claims', '', true)")


@dataclass(frozen=True)
class Scene:
    """The world, what was added to it, and the attackers by name."""

    world: World
    second: Mapping[str, UUID]
    """Rows of a second session of our own organization, by table."""
    spare_turns: Mapping[str, UUID]
    """Turns without a state: of our first session, of the second one, of theirs."""
    second_agent: UUID
    newcomer: UUID
    """Somebody who has signed up and has no profile yet."""
    both: Member
    """A member of our organization (as a viewer) and of theirs (as an admin)."""
    attackers: Mapping[str, Attacker]


def make_scene(owner_url: str) -> Scene:
    """Fill an empty schema."""
    world = make_world(owner_url)
    with psycopg.connect(owner_url) as connection:
        ours, theirs = world.ours, world.theirs
        second = _session(connection, ours)
        spare = {
            "first": _turn(connection, ours.organization_id, ours.ids["agent_sessions"], "spare"),
            "second": _turn(connection, ours.organization_id, second["agent_sessions"], "spare"),
            "theirs": _turn(connection, theirs.organization_id, theirs.ids["agent_sessions"], "spare"),
        }
        agent = rows.agent(connection, ours.organization_id, "second-agent", ours.website)
        newcomer = rows.insert(connection, "auth.users", email="newcomer@nowhere.example")
        both = Member(rows.person(connection, "both@nowhere.example"))
        for tenant, role in ((ours, "viewer"), (theirs, "admin")):
            rows.insert(
                connection,
                "organization_members",
                organization_id=tenant.organization_id,
                user_id=both.user_id,
                role=role,
            )
    return Scene(world, second, spare, agent, newcomer, both, _attackers(world, newcomer, both))


def _session(connection: Connection, tenant: Tenant) -> dict[str, UUID]:
    organization = tenant.organization_id
    session = rows.insert(
        connection,
        "agent_sessions",
        organization_id=organization,
        session_id=f"second-of-{tenant.slug}",
        agent_id=tenant.ids["agents"],
        website_domain=tenant.website,
    )
    turn = _turn(connection, organization, session, "first")
    message = rows.insert(
        connection,
        "agent_messages",
        organization_id=organization,
        session_id=session,
        turn_id=turn,
        role="user",
        content="beside",
    )
    usage = rows.insert(
        connection,
        "usage_logs",
        organization_id=organization,
        session_id=session,
        kind="llm",
        provider="p",
        model="m",
        tokens_used=1,
    )
    state = rows.insert(
        connection, "trunkline_runtime.turn_states", organization_id=organization, turn_id=turn, state=b"\x01"
    )
    return {
        "agent_sessions": session,
        "agent_turns": turn,
        "agent_messages": message,
        "usage_logs": usage,
        "turn_states": state,
    }


def _turn(connection: Connection, organization: UUID, session: UUID, key: str) -> UUID:
    return rows.insert(
        connection,
        "agent_turns",
        organization_id=organization,
        session_id=session,
        idempotency_key=key,
        status="complete",
    )


def _attackers(world: World, newcomer: UUID, both: Member) -> dict[str, Attacker]:
    ours = world.ours
    spoof = {"kind": "service", "organization_id": str(ours.organization_id)}
    everybody = [
        *(Attacker.of(role, ours.member(role)) for role in ("owner", "admin", "member", "viewer")),
        Attacker.of("key", ours.api_key),
        Attacker.of("service", ours.service),
        Attacker.of("turn", ours.turn),
        Attacker.of("visitor", ours.visitor),
        Attacker.of("arrival", Visitor(ours.ids["agents"], ours.website)),
        Attacker.of("stranger", world.stranger),
        Attacker.of("newcomer", Member(newcomer)),
        Attacker.of("both", both),
        Attacker("anonymous", "anon", ""),
        Attacker("login", LOGIN, ours.service.claims()),
        # A good claim under another role, and what a person can write into a token of its own.
        Attacker("visitor as a member", "authenticated", ours.visitor.claims()),
        Attacker("service as anon", "anon", ours.service.claims()),
        Attacker("member as anon", "anon", ours.member("owner").claims()),
        Attacker("member as service", "trunkline_service", ours.member("owner").claims()),
        Attacker("visitor as service", "trunkline_service", ours.visitor.claims()),
        Attacker("session without a visitor", "anon", _without_kind(ours.visitor.claims())),
        Attacker(
            "spoofer",
            "authenticated",
            json.dumps(
                {
                    "sub": str(world.stranger.user_id),
                    "role": "trunkline_service",
                    "organization_id": str(ours.organization_id),
                    "trunkline": spoof,
                    "user_metadata": {"trunkline": spoof, "sub": str(ours.people["owner"])},
                    "app_metadata": {"trunkline": spoof, "organization_id": str(ours.organization_id)},
                }
            ),
            world.stranger.user_id,
        ),
        Attacker.of("service of nobody", Service(new_id())),
    ]
    return {attacker.name: attacker for attacker in everybody}


def _without_kind(claims: str) -> str:
    parsed = json.loads(claims)
    del parsed["trunkline"]["kind"]
    return json.dumps(parsed)
