"""Settings that were stored past our API, or by another version of it: told in a sentence, and in nobody's way."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import text
from tests.factories import rows
from tests.factories.problems import assert_problem
from tests.factories.server import Caller, Shop

from trunkline.db.principals import Member
from trunkline.db.tenant import Database

UNREADABLE: dict[str, tuple[str, Any, str]] = {
    "a wrong type": ("voice_settings", {"speed": "fast"}, "voice_settings.speed"),
    "out of range": ("retrieval", {"top_k": 0}, "retrieval.top_k"),
    "no object": ("security", [], "security"),
    "null": ("widget_config", None, "widget_config"),
    "a later schema": ("handoff", {"schema_version": 2}, "handoff.schema_version"),
    "in a list": ("webhooks", [{"url": "https://a.example"}, 7], "webhooks.1"),
}


@pytest.fixture
def member(shop: Shop) -> UUID:
    """Somebody who may edit agents, with supabase-js too."""
    with psycopg.connect(shop.owner_url) as connection:
        person = rows.person(connection, "member@shop.example")
        values = {"organization_id": shop.organization_id, "user_id": person, "role": "member"}
        rows.insert(connection, "organization_members", **values)
    return person


async def write(login_url: str, member: UUID, agent: UUID, field: str, value: Any) -> None:
    """What a member may write past our API."""
    database = Database(login_url, pool_size=1)
    async with database.tenant(Member(member)) as session:
        statement = text(f"update public.agents set {field} = cast(:value as jsonb) where id = :id returning id")
        (await session.execute(statement, {"value": json.dumps(value), "id": agent})).one()
    await database.close()


async def test_unknown_keys_are_left_out(login_url: str, program: Caller, shop: Shop, member: UUID) -> None:
    agent = shop.agent()
    odd = {"speed": 1.5, "from_the_future": {"a": [1]}}
    await write(login_url, member, agent, "voice_settings", odd)
    await write(login_url, member, agent, "speech_processing", {"interruption": {"new": 1, "min_words": 3}})
    shown = (await program.ask("GET", "/v1/agents"))["data"][0]
    assert (shown["voice_settings"]["speed"], shown["problem"]) == (1.5, None)
    assert shown["speech_processing"]["interruption"]["min_words"] == 3
    assert "from_the_future" not in json.dumps(shown)
    changed = await program.ask("PATCH", f"/v1/agents/{agent}", {"name": "Ada"})
    assert (changed["name"], changed["voice_settings"]["speed"]) == ("Ada", 1.5)
    assert shop.sql("select voice_settings from public.agents") == [(odd,)]  # what wasn't changed stays
    await program.ask("POST", f"/v1/agents/{agent}/publish")
    refused = await program.call("PATCH", f"/v1/agents/{agent}", {"voice_settings": odd})
    assert_problem(refused, 422, field="voice_settings.from_the_future")


@pytest.mark.parametrize("case", UNREADABLE)
async def test_what_can_not_be_read_is_told_for_its_agent_alone(
    login_url: str, program: Caller, shop: Shop, member: UUID, case: str
) -> None:
    field, value, place = UNREADABLE[case]
    odd, other = shop.agent(slug="odd"), shop.agent(slug="other")
    await write(login_url, member, odd, field, value)
    listed = {each["slug"]: each for each in (await program.ask("GET", "/v1/agents"))["data"]}
    assert listed["other"]["problem"] is None
    assert listed["other"]["id"] == str(other)
    problem = listed["odd"]["problem"]
    assert "'odd'" in problem
    assert f"in {place}: " in problem
    assert (await program.ask("GET", f"/v1/agents/{odd}"))["problem"] == problem
    refused = await program.call("POST", f"/v1/agents/{odd}/publish")
    assert assert_problem(refused, 409, "unreadable_settings")["detail"] == problem
    mended = await program.ask("PATCH", f"/v1/agents/{odd}", {field: listed["other"][field]})
    assert mended["problem"] is None
    await program.ask("POST", f"/v1/agents/{odd}/publish")


async def test_a_version_of_another_release_answers(program: Caller, shop: Shop) -> None:
    """While servers are replaced one by one, the older ones meet what the newer ones have published."""
    agent = shop.agent()
    shape(shop, {"voice_settings": {"from_the_future": 1}, "setting_of_tomorrow": True})
    session = (await program.start(agent))["session_id"]
    assert (await program.say(session, "Hello")).status_code == 200


async def test_a_version_that_can_not_be_read_is_told(program: Caller, shop: Shop) -> None:
    agent = shop.agent()
    session = (await program.start(agent))["session_id"]
    shape(shop, {"timezone": "Nowhere/Atall"})
    refused = await program.say(session, "Hello")
    problem = assert_problem(refused, 409, "unreadable_settings", says="timezone")
    assert str(agent) in problem["detail"]
    assert shop.messages(session) == []


def shape(shop: Shop, more: dict[str, Any]) -> None:
    """Change every published version, which only the tables' owner can."""
    with psycopg.connect(shop.owner_url) as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute("update public.agent_versions set snapshot = snapshot || %s", (Jsonb(more),))
