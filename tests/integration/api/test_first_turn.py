"""From nothing to an answer over plain HTTP, and what then stands in the tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.factories import rows
from tests.factories.server import ORIGIN, WEBSITE, Caller, Served, Shop, member_token

from trunkline.db.base import new_id


async def test_an_organization_is_made_and_its_agent_answers(served: Served, owner_url: str) -> None:
    nobody = served.caller(member_token(new_id(), email="nobody@example.com"))
    refused = await nobody.call("POST", "/v1/organizations", {"name": "Bakery", "slug": "bakery"})
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    with psycopg.connect(owner_url) as connection:
        ada = rows.person(connection, "ada@example.com")
    member = served.caller(member_token(ada, email="ada@example.com"))
    organization = await member.ask("POST", "/v1/organizations", {"name": "Bakery", "slug": "bakery"})
    wanted: dict[str, Any] = {"name": "site", "organization_id": organization["id"]}
    key = await member.ask("POST", "/v1/keys", wanted)
    program = served.caller(key["key"])
    agent = await program.ask(
        "POST",
        "/v1/agents",
        {"name": "Ada", "llm_provider": "scripted", "llm_model": "echo", "allowed_domains": [WEBSITE]},
    )
    draft = await program.call("POST", "/v1/sessions", {"agent_id": agent["id"], "website_domain": WEBSITE})
    assert (draft.status_code, draft.json()["code"]) == (409, "agent_not_published")
    assert (await program.ask("POST", f"/v1/agents/{agent['id']}/publish"))["version"] == 1

    session = await program.start(agent["id"])
    answer = (await program.say(session["session_id"], "Good morning")).json()
    assert answer["message"]["content"] == "Good morning"
    visitor = await served.caller(Origin=ORIGIN).start(agent["id"])
    told = served.caller(visitor["token"], Origin=ORIGIN)
    assert (await told.say(visitor["session_id"], "Hello")).json()["message"]["content"] == "Hello"

    shop = Shop(owner_url, UUID(organization["id"]), ada, key["key"])
    assert shop.messages(session["session_id"]) == [
        ("user", "Good morning", "complete"),
        ("assistant", "Good morning", "complete"),
    ]
    assert {row["session_id"] for row in (await program.ask("GET", "/v1/sessions"))["data"]} == {
        session["session_id"],
        visitor["session_id"],
    }


async def test_a_turn_leaves_its_rows(program: Caller, shop: Shop) -> None:
    agent = shop.agent("lorem-6")
    session = (await program.start(agent))["session_id"]
    (before,) = shop.sql("select last_activity_at from public.agent_sessions where session_id = %s", session)
    answer = (await program.say(session, "How are you today?")).json()

    said = answer["message"]
    assert (said["role"], said["status"], said["tokens_used"], said["model_used"]) == (
        "assistant",
        "complete",
        6,
        "lorem-6",
    )
    assert answer["usage"]["output_tokens"] == 6
    assert answer["usage"]["input_tokens"] > 0
    ((count, after, history, row),) = shop.sql(
        "select message_count, last_activity_at, conversation_history, id from public.agent_sessions"
        " where session_id = %s",
        session,
    )
    assert count == 2
    assert after > before[0]
    assert history == [
        {"role": "user", "content": "How are you today?"},
        {"role": "assistant", "content": said["content"]},
    ]
    (question, reply) = shop.sql(
        "select sequence, turn_id, role, content, tokens_used, latency_ms, model_used from public.agent_messages"
        " where session_id = %s order by sequence",
        row,
    )
    assert question[0] < reply[0]
    assert str(question[1]) == str(reply[1]) == answer["turn_id"]
    assert question[2:] == ("user", "How are you today?", None, None, None)
    assert reply[2:5] == ("assistant", said["content"], 6)
    assert reply[5] >= 0
    assert reply[6] == "lorem-6"
    assert shop.sql(
        "select kind, provider, model, output_tokens, tokens_used = input_tokens + output_tokens, message_id::text"
        " from public.usage_logs where session_id = %s",
        row,
    ) == [("llm", "scripted", "lorem-6", 6, True, said["id"])]
    assert shop.sql(
        "select status, attempt, lease_until, partial_text, error, ended_at is not null from public.agent_turns"
        " where session_id = %s",
        row,
    ) == [("complete", 1, None, "", None, True)]


async def test_a_stream_says_the_same_as_the_stored_answer(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-5")))["session_id"]
    events = [event async for event in program.stream(session, "Go on")]
    turn = events[0].data["turn_id"]
    assert [event.name for event in events] == ["turn", *["delta"] * 5, "done"]
    assert events[0].data["user_message"]["content"] == "Go on"
    assert [event.id for event in events] == [f"{turn}:{at}" for at in (0, 6, 12, 18, 22, 27, "done")]
    text = "".join(event.data["text"] for event in events if event.name == "delta")
    assert text == events[-1].data["message"]["content"]
    page = await program.ask("GET", f"/v1/sessions/{session}/messages")
    assert page["data"] == [events[0].data["user_message"], events[-1].data["message"]]
    assert page["next_cursor"] is None


async def test_the_window_stays_small_and_the_record_whole(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("echo", history_max_messages=4)))["session_id"]
    for number in range(6):
        assert (await program.say(session, f"{number} " + "word " * 60)).status_code == 200
    ((history, count),) = shop.sql(
        "select conversation_history, message_count from public.agent_sessions where session_id = %s", session
    )
    assert count == 12
    assert 0 < sum(len(message["content"]) for message in history) <= 1024
    assert history[-1]["content"].startswith("5 ")
    assert len(shop.messages(session)) == 12


async def test_the_model_is_given_the_newest_messages_within_the_agents_limits(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("transcript", history_max_messages=3, system_prompt="")))["session_id"]
    for word in ("one", "two"):
        await program.say(session, word)
    answer = (await program.say(session, "three")).json()["message"]["content"]
    assert answer.startswith("human: two\nai: ")
    assert answer.endswith("human: three")
    assert "one" not in answer.split("\nai: ")[0]


async def test_pages_are_oldest_first_and_end(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent()))["session_id"]
    for number in range(3):
        await program.say(session, str(number))
    path = f"/v1/sessions/{session}/messages?limit=4"
    first = await program.ask("GET", path)
    second = await program.ask("GET", f"{path}&cursor={first['next_cursor']}")
    contents = [message["content"] for page in (first, second) for message in page["data"]]
    assert contents == ["0", "0", "1", "1", "2", "2"]
    assert second["next_cursor"] is None


async def test_sessions_are_listed_newest_first(program: Caller, shop: Shop) -> None:
    agent, other = shop.agent(), shop.agent()
    made = [(await program.start(agent))["session_id"] for _ in range(3)]
    await program.start(other)
    first = await program.ask("GET", f"/v1/sessions?limit=2&agent_id={agent}")
    rest = await program.ask("GET", f"/v1/sessions?limit=2&agent_id={agent}&cursor={first['next_cursor']}")
    assert [row["session_id"] for row in first["data"] + rest["data"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_a_running_session_keeps_the_version_it_started_with(program: Caller, shop: Shop) -> None:
    agent = shop.agent("echo", slug="ada")
    old = (await program.start(agent))["session_id"]
    await program.ask("PATCH", f"/v1/agents/{agent}", {"llm_model": "lorem-2"})
    await program.ask("POST", f"/v1/agents/{agent}/publish")
    new = (await program.start(agent))["session_id"]
    assert (await program.say(old, "Hello")).json()["message"]["content"] == "Hello"
    assert (await program.say(new, "Hello")).json()["message"]["content"] == "lorem ipsum "


async def test_a_session_that_runs_names_its_turn(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("hang-after-1")))["session_id"]
    stream = program.stream(session, "Hello")
    turn = (await anext(stream)).data["turn_id"]
    assert (await program.ask("GET", f"/v1/sessions/{session}"))["running_turn_id"] == turn
    await program.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel")
    assert (await program.ask("GET", f"/v1/sessions/{session}"))["running_turn_id"] is None
    await stream.aclose()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/"])
async def test_pages_without_a_credential(served: Served, path: str) -> None:
    response = await served.http.get(path)
    assert response.status_code in (200, 503)  # /readyz: the runtime may still be loading
    assert response.headers["X-Request-Id"]
