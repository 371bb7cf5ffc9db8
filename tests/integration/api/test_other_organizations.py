"""Every route, asked by another organization for what is not its own."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.factories import rows
from tests.factories.problems import assert_problem
from tests.factories.server import WEBSITE, Caller, Served, Shop, member_token, open_shop

BODIES: dict[str, dict[str, Any]] = {
    "post /v1/organizations/{organization_id}/members": {"user_id": "{user_id}", "role": "admin"},
    "patch /v1/agents/{agent_id}": {"name": "Mine"},
    "post /v1/sessions/{session_id}/messages": {"content": "Hello"},
}
MEMBERS_ONLY = "/v1/organizations/{organization_id}/members"
SPECIAL = {
    "post /v1/sessions/{session_id}/token": 401,  # for visitors
}


async def ids_of(program: Caller, shop: Shop) -> dict[str, str]:
    """One of everything that an address can name, all of one organization."""
    agent = shop.agent()
    session = (await program.start(agent))["session_id"]
    turn = (await program.say(session, "Hello")).json()["turn_id"]
    credential = await program.ask("POST", "/v1/credentials", {"name": "c", "provider": "p", "secret": "s"})
    key = await program.ask("POST", "/v1/keys", {"name": "k"})
    return {
        "organization_id": str(shop.organization_id),
        "user_id": str(shop.owner),
        "key_id": key["id"],
        "credential_id": credential["id"],
        "agent_id": str(agent),
        "session_id": session,
        "turn_id": turn,
    }


def routes(served: Served) -> list[tuple[str, str]]:
    """Every operation whose address names something."""
    assert served.app is not None
    paths: dict[str, dict[str, Any]] = served.app.openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods if "{" in path]


def snapshot(shop: Shop) -> list[tuple[Any, ...]]:
    """All rows of the organization, as one text each."""
    tables = ("agents", "agent_versions", "agent_sessions", "agent_messages", "agent_turns", "api_keys", "credentials")
    found: list[tuple[Any, ...]] = []
    with psycopg.connect(shop.owner_url) as connection:
        for table in (*tables, "organization_members", "usage_logs", "audit_logs"):
            query = sql.SQL("select t::text from {} t where organization_id = %s order by id").format(
                sql.Identifier("public", table)
            )
            found += connection.execute(query, (shop.organization_id,)).fetchall()
    return found


@pytest.mark.parametrize("kind", ["api_key", "member"])
async def test_every_route_hides_what_is_another_organizations(
    served: Served, program: Caller, shop: Shop, owner_url: str, kind: str
) -> None:
    ids = await ids_of(program, shop)
    neighbor = open_shop(owner_url, "neighbor")
    caller = served.caller(neighbor.key if kind == "api_key" else member_token(neighbor.owner))
    before = snapshot(shop)
    asked = routes(served)
    assert len(asked) >= 16
    for method, path in asked:
        name = f"{method} {path}"
        body = {key: str(value).format(**ids) for key, value in BODIES.get(name, {}).items()} or None
        address = path.format(**ids) + ("?role=viewer" if path.endswith("/role") else "")
        response = await caller.call(method.upper(), address, body)
        expected = SPECIAL.get(name, 404)
        if kind == "api_key" and path.startswith(MEMBERS_ONLY) and method != "get":
            expected = 403  # no key manages members, whosever they are
        if kind == "member" and re.search("^post /v1/sessions/|/stream$", name) and expected == 404:
            expected = 403  # members read conversations and take no part, whosever they are
        assert response.status_code == expected, (name, response.text)
        assert_problem(response, expected)
    assert snapshot(shop) == before


async def test_lists_show_the_callers_organization_only(
    served: Served, program: Caller, shop: Shop, owner_url: str
) -> None:
    ids = await ids_of(program, shop)
    neighbor = open_shop(owner_url, "neighbor")
    for credential in (neighbor.key, member_token(neighbor.owner)):
        caller = served.caller(credential)
        for noun in ("agents", "sessions", "keys", "credentials", "organizations"):
            shown = (await caller.call("GET", f"/v1/{noun}")).text
            assert not [value for name, value in ids.items() if name != "user_id" and value in shown], noun
    found = await served.caller(neighbor.key).call(
        "GET", f"/v1/sessions?agent_id={ids['agent_id']}&cursor=ffffffff-ffff-ffff-ffff-ffffffffffff"
    )
    assert found.json()["data"] == []


async def test_nothing_is_made_in_another_organization(served: Served, shop: Shop, owner_url: str) -> None:
    neighbor = open_shop(owner_url, "neighbor")
    theirs = {"organization_id": str(shop.organization_id)}
    before = snapshot(shop)
    for credential, status in ((neighbor.key, 403), (member_token(neighbor.owner), 403)):
        caller = served.caller(credential)
        for noun, body in (
            ("agents", {"name": "Ada"}),
            ("keys", {"name": "k"}),
            ("credentials", {"name": "c", "provider": "p", "secret": "s"}),
        ):
            assert_problem(await caller.call("POST", f"/v1/{noun}", body | theirs), status, "not_allowed")
        agent = str(shop.agent()) if credential == neighbor.key else None
        if agent is not None:
            started = await caller.call("POST", "/v1/sessions", {"agent_id": agent, "website_domain": WEBSITE})
            assert_problem(started, 404, "unknown_agent")
            shop.sql("delete from public.agents where id = %s", agent)
    assert snapshot(shop) == before


SCOPED = {
    "agents:read": [("GET", "/v1/agents", None)],
    "agents:write": [("POST", "/v1/agents", {"name": "Ada"})],
    "sessions:read": [("GET", "/v1/sessions", None)],
    "sessions:write": [("POST", "/v1/sessions", {"agent_id": "00000000-0000-7000-8000-000000000000"})],
    "credentials:write": [("GET", "/v1/credentials", None)],
    "keys:write": [("GET", "/v1/keys", None)],
    "organization:read": [("GET", "/v1/organizations", None)],
}


async def test_a_key_does_what_its_scopes_say(served: Served, program: Caller) -> None:
    for scope in SCOPED:
        key = await program.ask("POST", "/v1/keys", {"name": scope, "scopes": [scope]})
        caller = served.caller(key["key"])
        for needed, calls in SCOPED.items():
            for method, path, body in calls:
                response = await caller.call(method, path, body)
                if needed == scope:
                    assert response.status_code in (200, 201, 404), response.text
                else:
                    assert_problem(response, 403, "not_allowed", says=needed)
    limited = await program.ask("POST", "/v1/keys", {"name": "k", "scopes": ["keys:write"]})
    more = await served.caller(limited["key"]).call("POST", "/v1/keys", {"name": "more", "scopes": ["*"]})
    assert_problem(more, 422, "invalid_input", field="scopes")


async def test_a_key_gives_away_no_more_time_than_it_has(served: Served, program: Caller, shop: Shop) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    made = await program.ask("POST", "/v1/keys", {"name": "brief", "expires_at": end.isoformat()})
    brief = served.caller(made["key"])
    for wrong in ({}, {"expires_at": None}, {"expires_at": (end + timedelta(seconds=1)).isoformat()}):
        refused = await brief.call("POST", "/v1/keys", {"name": "longer", **wrong})
        assert_problem(refused, 422, "invalid_input", field="expires_at", says=end.strftime("%Y-%m-%dT%H:%M:%S"))
    child = await brief.ask("POST", "/v1/keys", {"name": "equal", "expires_at": made["expires_at"]})
    assert child["expires_at"] == made["expires_at"]
    grandchild = await served.caller(child["key"]).call("POST", "/v1/keys", {"name": "eternal"})
    assert_problem(grandchild, 422, field="expires_at")
    for caller in (program, served.caller(member_token(shop.owner))):
        past = {"name": "past", "expires_at": "2001-01-01T00:00:00Z", "organization_id": str(shop.organization_id)}
        assert_problem(await caller.call("POST", "/v1/keys", past), 422, field="expires_at", says="is over")
    assert shop.sql("select count(*) from public.api_keys where name in ('longer', 'eternal', 'past')") == [(0,)]


async def test_a_key_that_was_revoked_or_has_expired(served: Served, program: Caller, shop: Shop) -> None:
    made = await program.ask("POST", "/v1/keys", {"name": "k"})
    caller = served.caller(made["key"])
    await caller.ask("GET", "/v1/agents")
    revoked = await program.ask("DELETE", f"/v1/keys/{made['id']}")
    assert revoked["revoked_at"]
    assert_problem(await caller.call("GET", "/v1/agents"), 401, "not_authenticated", says="revoked")
    made = await program.ask("POST", "/v1/keys", {"name": "k", "expires_at": "2999-01-01T00:00:00Z"})
    shop.sql("update public.api_keys set expires_at = now() - interval '1 s' where id = %s", made["id"])
    assert_problem(await served.caller(made["key"]).call("GET", "/v1/agents"), 401, "not_authenticated")


async def test_what_members_may_is_their_role(served: Served, shop: Shop) -> None:
    with psycopg.connect(shop.owner_url) as connection:
        people = {role: rows.person(connection, f"{role}@shop.example") for role in ("admin", "member", "viewer")}
        for role, user_id in people.items():
            rows.insert(
                connection,
                "organization_members",
                organization_id=shop.organization_id,
                user_id=user_id,
                role=role,
            )
    body = {"organization_id": str(shop.organization_id)}
    for role, user_id in people.items():
        member = served.caller(member_token(user_id))
        assert (await member.call("GET", "/v1/agents")).status_code == 200
        made = await member.call("POST", "/v1/agents", {"name": f"of {role}", **body})
        assert made.status_code == (403 if role == "viewer" else 201), made.text
        key = await member.call("POST", "/v1/keys", {"name": role, **body})
        assert key.status_code == (201 if role == "admin" else 403), key.text
        listed = await member.call("GET", "/v1/keys")
        assert listed.status_code in (200, 403)
        assert (role == "admin") == ('"prefix"' in listed.text)
    missing = await served.caller(member_token(people["admin"])).call("POST", "/v1/agents", {"name": "Ada"})
    assert_problem(missing, 422, "invalid_input", field="organization_id")
    last = f"/v1/organizations/{shop.organization_id}/members/{shop.owner}"
    owner = served.caller(member_token(shop.owner))
    assert_problem(await owner.call("DELETE", last), 409, "conflict", says="last owner")
    assert_problem(await owner.call("PUT", f"{last}/role?role=viewer"), 409, "conflict", says="last owner")
    assert_problem(await owner.call("PUT", f"{last}/role?role=king"), 422, "invalid_input", field="role")
