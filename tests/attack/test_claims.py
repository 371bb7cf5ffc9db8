"""Claims that are missing, broken, swapped or made up (attacks 18, 19, 26, 27, 28).

Whatever stands in `request.jwt.claims`, a role sees what good claims of its own kind give it, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.attack.expected import HIDDEN_COLUMNS, SHOWN_COLUMNS, TABLES
from tests.attack.scene import Connection, Scene, qualified, raw

from trunkline.db.base import new_id
from trunkline.db.principals import ApiKey, Member, Service, Visitor

ROLES = ("anon", "authenticated", "trunkline_service")

BROKEN = (
    "", "''", " ", "null", "[]", "{}", '""', "0", "true", "{", "not json", "[[[]]]", '{"trunkline": null}',
    '{"trunkline": []}', '{"trunkline": "service"}', '{"trunkline": {"kind": null}}', '{"sub": null}', '{"sub": ""}',
    '{"sub": []}', '{"sub": {}}', '{"sub": "not-a-uuid"}', '{"sub": "00000000-0000-0000-0000-000000000000"}',
    "[" * 2000, '{"trunkline": {"kind": "service"}}', '{"trunkline": {"kind": "visitor"}}',
    '{"trunkline": {"kind": "service", "organization_id": null}}',
    '{"trunkline": {"kind": "service", "organization_id": ""}}',
    '{"trunkline": {"kind": "service", "organization_id": "*"}}',
)  # fmt: skip
"""Claims in which nobody is named."""


def visible(connection: Connection, role: str, claims: str) -> dict[str, int]:
    """How many rows of each table somebody sees; an error is none."""
    found: dict[str, int] = {}
    for table in TABLES:
        connection.execute("savepoint look")
        try:
            connection.execute(
                "select set_config('request.jwt.claims', %s, true), set_config('role', %s, true)", (claims, role)
            )
            rows = len(connection.execute(raw(f"select id from {qualified(table)}")).fetchall())
        except psycopg.Error:
            rows = 0
        connection.execute("rollback to savepoint look")
        if rows:
            found[table] = rows
    return found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("claims", BROKEN)
def test_broken_claims_show_nothing(role: str, claims: str, owner: Connection) -> None:
    assert visible(owner, role, claims) == {}


@pytest.mark.parametrize("role", ROLES)
def test_no_claims_at_all_show_nothing(role: str, attacked_url: str, scene: Scene) -> None:
    """In a session that never had any: the setting doesn't even exist there."""
    assert scene.world
    with psycopg.connect(attacked_url) as fresh:
        fresh.execute(raw(f"set local role {role}"))
        for table in ("agents", "agent_messages", "profiles", "organizations"):
            try:
                assert fresh.execute(raw(f"select id from public.{table}")).fetchall() == []
            except psycopg.errors.InsufficientPrivilege:
                fresh.rollback()
                fresh.execute(raw(f"set local role {role}"))
        fresh.rollback()


def test_each_kind_counts_under_its_own_role_only(owner: Connection, scene: Scene) -> None:
    ours = scene.world.ours
    good = {
        "anon": ours.visitor,
        "authenticated": ours.member("owner"),
        "trunkline_service": ours.service,
    }
    for role in ROLES:
        for kind, principal in good.items():
            found = visible(owner, role, principal.claims())
            assert bool(found) == (role == kind), f"{kind}'s claims as {role}: {found}"


def mutations(claims: str) -> Iterator[tuple[str, str]]:
    """One member of our claims at a time: missing, empty, of another type, nested, padded."""
    whole: dict[str, Any] = json.loads(claims)
    for name, value in whole["trunkline"].items():
        for other in (
            None,
            "",
            [],
            {},
            [value],
            {"value": value},
            1,
            True,
            f"{value} ",
            f" {value}",
            str(value)[:-1],
            "%",
        ):
            yield f"{name}={other!r}", json.dumps(whole | {"trunkline": whole["trunkline"] | {name: other}})
        rest = {key: each for key, each in whole["trunkline"].items() if key != name}
        yield f"no {name}", json.dumps(whole | {"trunkline": rest})
        yield f"{name} at the top", json.dumps(whole | {name: value, "trunkline": rest})
        yield (
            f"{name} in app_metadata",
            json.dumps(whole | {"app_metadata": {"trunkline": whole["trunkline"]}, "trunkline": rest}),
        )
    yield "all in user_metadata", json.dumps({"user_metadata": whole, "role": whole["role"]})
    yield "all in an array", json.dumps([whole])
    yield "ours in an array", json.dumps(whole | {"trunkline": [whole["trunkline"]]})
    yield "as text", json.dumps(claims)


def test_a_visitor_with_one_claim_wrong_sees_no_session(owner: Connection, scene: Scene) -> None:
    ours = scene.world.ours
    assert visible(owner, "anon", ours.visitor.claims()) == {"agents": 1, "agent_sessions": 1, "agent_messages": 1}
    for what, claims in mutations(ours.visitor.claims()):
        found = visible(owner, "anon", claims)
        assert not found.keys() - {"agents"}, f"{what}: {found}"


def test_a_service_with_one_claim_wrong_sees_nothing(owner: Connection, scene: Scene) -> None:
    """But for white space around its id: that is the same uuid."""
    ours = scene.world.ours
    for what, claims in mutations(ours.service.claims()):
        padded = what.startswith("organization_id='") and json.loads(claims)["trunkline"][
            "organization_id"
        ].strip() == str(ours.organization_id)
        assert padded or visible(owner, "trunkline_service", claims) == {}, what


def test_a_turn_whose_session_claim_is_wrong_sees_no_session(owner: Connection, scene: Scene) -> None:
    for what, claims in mutations(scene.world.ours.turn.claims()):
        session = json.loads(claims)
        if not what.startswith("session_id=") or what == "session_id=None":
            continue  # without one it is the organization's service, which only the server can be
        found = visible(owner, "trunkline_service", json.dumps(session))
        assert not found.keys() & {"agent_sessions", "agent_messages", "agent_turns", "turn_states", "usage_logs"}, what


def test_the_same_handle_on_another_website_is_another_session(owner: Connection, scene: Scene) -> None:
    ours, theirs = scene.world.ours, scene.world.theirs
    agent, handle = ours.ids["agents"], ours.session_handle
    for website in (
        theirs.website,
        f"www.{ours.website}",
        f"{ours.website}.",
        ours.website.upper(),
        f"{ours.website}:8443",
        "",
        "null",
    ):
        claims = Visitor(agent, website, ours.organization_id, handle).claims()
        assert not visible(owner, "anon", claims).keys() - {"agents"}, website
    for wrong in (
        Visitor(theirs.ids["agents"], ours.website, ours.organization_id, handle),
        Visitor(scene.second_agent, ours.website, ours.organization_id, handle),
        Visitor(agent, ours.website, theirs.organization_id, handle),
        Visitor(agent, ours.website, ours.organization_id, theirs.session_handle),
        Visitor(agent, ours.website, ours.organization_id, str(ours.ids["agent_sessions"])),
    ):
        assert not visible(owner, "anon", wrong.claims()).keys() - {"agents"}, wrong


def test_an_agent_that_is_not_published_is_shown_to_nobody(owner: Connection, scene: Scene) -> None:
    arrival = Visitor(scene.world.ours.ids["agents"], scene.world.ours.website).claims()
    assert visible(owner, "anon", arrival) == {"agents": 1}
    for column in ("is_published", "is_active"):
        owner.execute("savepoint hidden")
        owner.execute(raw(f"update public.agents set {column} = false"))
        assert visible(owner, "anon", arrival) == {}
        owner.execute("rollback to savepoint hidden")


def test_an_id_of_another_kind_names_nobody(owner: Connection, scene: Scene) -> None:
    ours = scene.world.ours
    ids = {**ours.ids, "user": ours.people["owner"], "nobody": new_id()}
    for what, found in ids.items():
        if what != "organizations":
            assert visible(owner, "trunkline_service", Service(found).claims()) == {}, what
            assert visible(owner, "trunkline_service", ApiKey(found, ours.ids["api_keys"]).claims()) == {}, what
        if what not in ("profiles", "user"):
            assert visible(owner, "authenticated", Member(found).claims()) == {}, what


def columns_shown(connection: Connection, role: str, table: str) -> set[str]:
    """Columns that a role may select."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
        " and has_column_privilege(%s, attrelid, attnum, 'select')",
        (qualified(table), role),
    ).fetchall()
    return {str(name) for (name,) in rows}


def test_columns_are_as_the_specification_says(owner: Connection) -> None:
    for table in TABLES:
        shown = SHOWN_COLUMNS.get(("anon", table), "")
        assert columns_shown(owner, "anon", table) == set(shown.split()), table
        for role in ("authenticated", "trunkline_service"):
            if reachable := columns_shown(owner, role, table):
                assert all_columns(owner, table) - reachable == set(HIDDEN_COLUMNS.get((role, table), "").split()), (
                    role,
                    table,
                )


def all_columns(connection: Connection, table: str) -> set[str]:
    """Every column of a table."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        (qualified(table),),
    ).fetchall()
    return {str(name) for (name,) in rows}


HIDDEN_READS = (
    ("owner", "select key_hash from public.api_keys"),
    ("owner", "select * from public.api_keys"),
    ("owner", "select id from public.api_keys where key_hash > '\\x00'"),
    ("owner", "update public.api_keys set name = 'x' returning key_hash"),
    ("owner", "update public.api_keys set name = encode(key_hash, 'hex')"),
    ("owner", "select id from public.api_keys order by key_hash"),
    ("owner", "select to_jsonb(k) from public.api_keys k"),
    ("service", "select key_hash from public.api_keys"),
    ("owner", "select ciphertext from public.credentials"),
    ("owner", "update public.credentials set hint = left(encode(ciphertext, 'hex'), 8)"),
    ("owner", "select c from public.credentials c"),
    ("visitor", "select system_prompt from public.agents"),
    ("visitor", "select id from public.agents where system_prompt ~ 'a'"),
    ("visitor", "select a from public.agents a"),
    ("visitor", "select count(*) from public.agents group by llm_model"),
    ("visitor", "select ip_address from public.agent_sessions"),
    ("visitor", "select tool_calls from public.agent_messages"),
)


@pytest.mark.parametrize(("who", "statement"), HIDDEN_READS)
def test_a_hidden_column_is_hidden_in_every_clause(who: str, statement: str, owner: Connection, scene: Scene) -> None:
    scene.attackers[who].become(owner)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(raw(statement))


def test_paths_into_json_find_nothing_foreign(owner: Connection, scene: Scene) -> None:
    secret = {"found": "canary"}
    owner.execute("update public.agent_sessions set context_data = %s", (json.dumps(secret),))
    filters = (
        'context_data @> \'{"found": "canary"}\'',
        "context_data @? '$.found'",
        "context_data @@ '$.found == \"canary\"'",
        "context_data ->> 'found' = 'canary'",
        "jsonb_path_exists(context_data, '$.** ? (@ == \"canary\")')",
        "context_data ? 'found'",
        "context_data #>> '{found}' like 'can%'",
    )
    for name, count in (("owner", 2), ("service", 2), ("turn", 1), ("stranger", 0), ("spoofer", 0)):
        for condition in filters:
            owner.execute("savepoint look")
            scene.attackers[name].become(owner)
            rows = owner.execute(raw(f"select id from public.agent_sessions where {condition}")).fetchall()
            owner.execute("rollback to savepoint look")
            assert len(rows) == count, (name, condition)
            assert all(isinstance(row, UUID) and row != scene.world.theirs.ids["agent_sessions"] for (row,) in rows)
