"""Who did what to members, keys and credentials stays on record."""

from __future__ import annotations

from typing import Any

import psycopg
from tests.factories import rows
from tests.factories.problems import assert_problem
from tests.factories.server import Caller, Served, Shop, member_token


def records(shop: Shop) -> list[tuple[Any, ...]]:
    """Who, what, about which row, and the details; oldest first."""
    return shop.sql("select actor_kind, actor_id, action, object_id::text, details from public.audit_logs order by id")


async def test_changes_of_members_are_recorded(served: Served, shop: Shop) -> None:
    with psycopg.connect(shop.owner_url) as connection:
        person = rows.person(connection, "bob@shop.example")
        values = {"organization_id": shop.organization_id, "user_id": person, "role": "viewer"}
        place = rows.insert(connection, "organization_members", **values)
    owner, bob = served.caller(member_token(shop.owner)), served.caller(member_token(person))
    path = f"/v1/organizations/{shop.organization_id}/members"
    assert_problem(await bob.call("DELETE", f"{path}/{shop.owner}"), 404)
    assert_problem(await bob.call("PUT", f"{path}/{shop.owner}/role?role=viewer"), 404)
    assert_problem(await owner.call("DELETE", f"{path}/{shop.owner}"), 409)
    assert records(shop) == []  # what was refused did not happen
    assert (await owner.call("PUT", f"{path}/{person}/role?role=member")).status_code == 204
    assert (await bob.call("DELETE", f"{path}/{person}")).status_code == 204
    again = await owner.ask("POST", path, {"user_id": str(person), "role": "admin"})
    assert (await owner.call("DELETE", f"{path}/{person}")).status_code == 204
    who = str(person)
    assert records(shop) == [
        (
            "member",
            shop.owner,
            "member.role_changed",
            str(place),
            {"user_id": who, "before": "viewer", "role": "member"},
        ),
        ("member", person, "member.removed", str(place), {"user_id": who, "role": "member"}),
        ("member", shop.owner, "member.added", again["id"], {"user_id": who, "role": "admin"}),
        ("member", shop.owner, "member.removed", again["id"], {"user_id": who, "role": "admin"}),
    ]


async def test_keys_and_credentials_are_recorded(program: Caller, shop: Shop) -> None:
    credential = await program.ask("POST", "/v1/credentials", {"name": "c", "provider": "openai", "secret": "sk-1"})
    assert (await program.call("DELETE", f"/v1/credentials/{credential['id']}")).status_code == 204
    key = await program.ask("POST", "/v1/keys", {"name": "k"})
    await program.ask("DELETE", f"/v1/keys/{key['id']}")
    assert_problem(await program.call("DELETE", f"/v1/credentials/{credential['id']}"), 404)
    own = shop.sql("select id from public.api_keys where name = 'test'")[0][0]
    assert records(shop) == [
        ("api_key", own, "credential.stored", credential["id"], {}),
        ("api_key", own, "credential.deleted", credential["id"], {}),
        ("api_key", own, "key.created", key["id"], {}),
        ("api_key", own, "key.revoked", key["id"], {}),
    ]
