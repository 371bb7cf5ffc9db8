"""What is wrong with a request is said, with its field and what to do; nothing of it is written."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

from tests.factories.problems import assert_problem
from tests.factories.server import WEBSITE, Caller, Served, Shop

from trunkline.web.middleware import MAX_BODY

JSON = {"Content-Type": "application/json"}


async def test_messages_that_are_none(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent()))["session_id"]
    path = f"/v1/sessions/{session}/messages"
    wrong: list[tuple[Any, str, str]] = [
        ({}, "content", "required"),
        ({"content": ""}, "content", "at least 1 character"),
        ({"content": " \n\t\u3000"}, "content", "only spaces"),
        ({"content": "x" * 8001}, "content", "at most 8000 characters"),
        ({"content": "a\x00b"}, "content", "NUL"),
        ({"content": None}, "content", "string"),
        ({"content": 5}, "content", "string"),
        ({"content": ["a"]}, "content", "string"),
        ({"content": "a", "stream": "perhaps"}, "stream", "boolean"),
        ({"content": "a", "role": "system"}, "role", "not permitted"),
        (None, "", "object"),
        ([], "", "object"),
        ("text", "", "object"),
    ]
    for body, field, says in wrong:
        response = await program.call("POST", path, headers=JSON, content=json.dumps(body))
        problem = assert_problem(response, 422, "invalid_input", says=says)
        assert problem.get("field", "") == field, body
        assert problem["errors"][0]["detail"]
    lone = await program.call("POST", path, headers=JSON, content=b'{"content": "\\ud800"}')
    assert_problem(lone, 422, "invalid_input", field="content", says="unicode")
    assert shop.sql("select count(*) from public.agent_turns") == [(0,)]
    assert (await program.say(session, "x" * 8000)).status_code == 200
    assert (await program.say(session, "😀" * 8000)).status_code == 200


async def test_bodies_that_are_no_json(program: Caller, shop: Shop) -> None:
    path = f"/v1/sessions/{(await program.start(shop.agent()))['session_id']}/messages"
    wrong: list[tuple[bytes, dict[str, str], int]] = [
        (b"", JSON, 422),
        (b"{", JSON, 422),
        (b'{"content": "a"', JSON, 422),
        (b'{"content": "\xff\xfe"}', JSON, 400),
        (b'{"content": "\xed\xa0\x80"}', JSON, 422),
        (b"[" * 10_000 + b"]" * 10_000, JSON, 400),
        (b'{"content":' * 10_000 + b"1" + b"}" * 10_000, JSON, 400),
        (b'{"content": "a"}', {"Content-Type": "text/plain"}, 422),
        (b'{"content": "a"}', {"Content-Type": "application/x-www-form-urlencoded"}, 422),
        (b'{"content": "a"}', {"Content-Type": "multipart/form-data"}, 422),
        (b'{"content": "a"}', {"Content-Type": "\xe9"}, 422),
        (b'{"content": ' + b"9" * 5000 + b"}", JSON, 400),
        (b'{"content": NaN}', JSON, 422),
    ]
    for body, headers, status in wrong:
        response = await program.call("POST", path, headers=headers, content=body)
        assert response.status_code == status, (body[:40], response.text)
        assert_problem(response, status)
    assert shop.sql("select count(*) from public.agent_messages") == [(0,)]


async def test_bodies_that_are_too_large(program: Caller, shop: Shop) -> None:
    path = f"/v1/sessions/{(await program.start(shop.agent()))['session_id']}/messages"
    large = b'{"content": "' + b"x" * MAX_BODY + b'"}'

    async def chunks() -> AsyncGenerator[bytes]:
        for at in range(0, len(large), 65536):
            yield large[at : at + 65536]

    assert_problem(await program.call("POST", path, headers=JSON, content=large), 413, "body_too_large", says="512 KiB")
    assert_problem(await program.call("POST", path, headers=JSON, content=chunks()), 413, "body_too_large")
    fitting = b'{"content": "x"' + b" " * (MAX_BODY - 16) + b"}"
    assert len(fitting) == MAX_BODY
    assert (await program.call("POST", path, headers=JSON, content=fitting)).status_code == 200


async def test_idempotency_keys_and_headers(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent()))["session_id"]
    path, body = f"/v1/sessions/{session}/messages", {"content": "Hello"}
    long = await program.call("POST", path, body, {"Idempotency-Key": "k" * 256})
    assert_problem(long, 422, "invalid_input", field="idempotency-key", says="255")
    for key in (b"a\x80b", b"a\tb", b"a\xadb"):
        response = await program.call("POST", path, body, {"Idempotency-Key": key})
        assert_problem(response, 422, "invalid_input", field="Idempotency-Key", says="printed")
    assert (await program.call("POST", path, body, {"Idempotency-Key": "k" * 255})).status_code == 200
    named = await program.call("GET", f"/v1/sessions/{session}", headers={"X-Request-Id": "abc-1"})
    assert named.headers["X-Request-Id"] == "abc-1"
    for request_id in ("x" * 65, "a b", "<script>"):
        answer = await program.call("GET", f"/v1/sessions/{session}", headers={"X-Request-Id": request_id})
        assert answer.headers["X-Request-Id"] != request_id


async def test_sessions_that_can_not_be_started(program: Caller, shop: Shop) -> None:
    agent = str(shop.agent(channels=["web"]))
    draft = await program.ask("POST", "/v1/agents", {"name": "Draft", "allowed_domains": [WEBSITE]})
    resting = await program.ask("PATCH", f"/v1/agents/{shop.agent()}", {"is_active": False})
    good = {"agent_id": agent, "website_domain": WEBSITE}
    wrong: list[tuple[dict[str, Any], int, str, str]] = [
        ({"agent_id": str(uuid4())}, 404, "unknown_agent", "agent_id"),
        ({"agent_id": "bakery"}, 422, "invalid_input", "agent_id"),
        ({"agent_id": None}, 422, "invalid_input", "agent_id"),
        ({"agent_id": draft["id"]}, 409, "agent_not_published", "agent_id"),
        ({"agent_id": resting["id"]}, 409, "agent_not_published", "agent_id"),
        ({"website_domain": "other.example"}, 403, "wrong_website", "website_domain"),
        ({"website_domain": f"www.{WEBSITE}"}, 403, "wrong_website", "website_domain"),
        ({"website_domain": f"{WEBSITE}:8443"}, 403, "wrong_website", "website_domain"),
        ({"website_domain": "a website"}, 422, "invalid_input", "website_domain"),
        ({"website_domain": "*"}, 422, "invalid_input", "website_domain"),
        ({"website_domain": "x" * 256}, 422, "invalid_input", "website_domain"),
        ({"website_domain": "a\x00b"}, 422, "invalid_input", "website_domain"),
        ({"website_domain": None}, 422, "invalid_input", "website_domain"),
        ({"channel": "telepathy"}, 422, "invalid_input", "channel"),
        ({"channel": ""}, 422, "invalid_input", "channel"),
        ({"channel": "x" * 33}, 422, "invalid_input", "channel"),
        ({"channel": "a\x00b"}, 422, "invalid_input", "channel"),
        ({"client_reference": ""}, 422, "invalid_input", "client_reference"),
        ({"client_reference": "x" * 256}, 422, "invalid_input", "client_reference"),
        ({"client_reference": "a\x00b"}, 422, "invalid_input", "client_reference"),
        ({"session_id": "ses_chosen"}, 422, "invalid_input", "session_id"),
    ]
    for change, status, code, field in wrong:
        response = await program.call("POST", "/v1/sessions", good | change)
        assert_problem(response, status, code, field=field)
    assert shop.sql("select count(*) from public.agent_sessions") == [(0,)]


async def test_addresses_and_bounds_of_lists(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent()))["session_id"]
    for path, field in (
        ("/v1/sessions?limit=0", "limit"),
        ("/v1/sessions?limit=201", "limit"),
        ("/v1/sessions?limit=-1", "limit"),
        ("/v1/sessions?limit=99999999999999999999999", "limit"),
        ("/v1/sessions?limit=ten", "limit"),
        ("/v1/sessions?cursor=5", "cursor"),
        ("/v1/sessions?agent_id=x", "agent_id"),
        (f"/v1/sessions/{session}/messages?limit=1e3", "limit"),
        (f"/v1/sessions/{session}/turns/5/stream", "turn_id"),
        ("/v1/agents/bakery", "agent_id"),
        ("/v1/agents?limit=0", "limit"),
        ("/v1/sessions/a%00b", "session_id"),
        (f"/v1/sessions/{'x' * 256}", "session_id"),
    ):
        assert_problem(await program.call("GET", path), 422, "invalid_input", field=field)
    for path in ("/v1/sessions/ses_unknown", "/v1/sessions/%F0%9F%98%80", "/v1/sessions/%ff", "/v1/sessions/.."):
        assert_problem(await program.call("GET", path), 404)
    elsewhere = await program.ask("GET", f"/v1/sessions/{session}/messages?cursor={uuid4()}")
    assert elsewhere == {"data": [], "next_cursor": None}
    unknown = await program.call("GET", f"/v1/sessions/{session}/turns/{uuid4()}/stream")
    assert_problem(unknown, 404, "unknown_turn")
    assert_problem(await program.call("GET", "/v1/nothing"), 404, says="/docs")
    assert_problem(await program.call("PUT", "/v1/sessions"), 405, says="/docs")


async def test_sessions_whose_time_or_room_is_over(program: Caller, shop: Shop) -> None:
    short = shop.agent(max_messages_per_session=2)
    session = (await program.start(short))["session_id"]
    assert (await program.say(session, "One")).status_code == 200
    assert_problem(await program.say(session, "Two"), 429, "max_messages_per_session", says="2 messages")
    idle, old = shop.agent(idle_timeout_seconds=60), shop.agent(max_session_seconds=60)
    session, other = [(await program.start(agent))["session_id"] for agent in (idle, old)]
    for handle in (session, other):
        assert (await program.say(handle, "One")).status_code == 200
    shop.sql(
        "update public.agent_sessions set last_activity_at = now() - interval '61 s' where session_id = %s", session
    )
    shop.sql("update public.agent_sessions set started_at = now() - interval '61 s' where session_id = %s", other)
    for handle, limit in ((session, "idle_timeout_seconds"), (other, "max_session_seconds")):
        assert_problem(await program.say(handle, "Two"), 409, "session_ended", says=f"{limit} of 60 s")
        assert len(shop.messages(handle)) == 2


async def test_agents_that_can_not_be(program: Caller, shop: Shop) -> None:
    good = {"name": "Ada", "slug": "ada"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"system_prompt": "a\x00b"}, "system_prompt"),
        ({"system_prompt": "x" * 100_001}, "system_prompt"),
        ({"allowed_domains": ["*"]}, "allowed_domains.0"),
        ({"allowed_domains": "shop.example"}, "allowed_domains"),
        ({"tags": ["a\x00b"]}, "tags"),
        ({"llm_base_url": "javascript:alert(1)"}, "llm_base_url"),
        ({"voice_settings": {"speed": 9}}, "voice_settings.speed"),
        ({"voice_settings": {"model": "a\x00b"}}, "voice_settings"),
        ({"security": {"secret": "x"}}, "security.secret"),
        ({"dynamic_variables": {"a": "b\x00"}}, "dynamic_variables"),
        ({"config_json": {"a": "b\x00"}}, "config_json"),
        ({"config_json": {"a": float("nan")}}, "config_json"),
        ({"config_json": []}, "config_json"),
        ({"response_format": {"a": {"b": ["\x00"]}}}, "response_format"),
        ({"unknown_setting": 1}, "unknown_setting"),
    ]
    for change, field in wrong:
        response = await program.call("POST", "/v1/agents", headers=JSON, content=json.dumps(good | change))
        assert_problem(response, 422, "invalid_input", field=field)
    for name in ("llm_credential_id", "knowledge_base_ids", "tool_ids"):
        value = str(uuid4()) if name.endswith("_id") else [str(uuid4())]
        assert_problem(await program.call("POST", "/v1/agents", good | {name: value}), 422, field=name)
    for depth in (50, 150, 300, 800):
        nested = b'{"name": "Ada", "slug": "ada", "config_json": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        response = await program.call("POST", "/v1/agents", headers=JSON, content=nested)
        assert response.status_code in (201, 400, 422), (depth, response.text)
        if response.status_code == 201:
            agent = response.json()["id"]
            assert (await program.call("POST", f"/v1/agents/{agent}/publish")).status_code == 201
            assert (await program.call("DELETE", f"/v1/agents/{agent}")).status_code == 204
    await program.ask("POST", "/v1/agents", good)
    assert_problem(await program.call("POST", "/v1/agents", good), 409, "slug_taken", field="slug")
    assert shop.sql("select count(*) from public.agents") == [(1,)]


async def test_keys_and_credentials_that_can_not_be(program: Caller, shop: Shop) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("keys", {"name": ""}, "name"),
        ("keys", {"name": "a\x00b"}, "name"),
        ("keys", {"name": "k", "scopes": []}, "scopes"),
        ("keys", {"name": "k", "scopes": ["everything"]}, "scopes"),
        ("keys", {"name": "k", "scopes": ["a\x00b"]}, "scopes"),
        ("keys", {"name": "k", "expires_at": "2030-01-01"}, "expires_at"),
        ("keys", {"name": "k", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ("credentials", {"name": "c", "secret": "x"}, "provider"),
        ("credentials", {"name": "c", "provider": "p", "secret": ""}, "secret"),
        ("credentials", {"name": "c", "provider": "p\x00", "secret": "x"}, "provider"),
    ]
    for noun, body, field in wrong:
        assert_problem(await program.call("POST", f"/v1/{noun}", body), 422, field=field)
    lone = b'{"name": "c", "provider": "p", "secret": "\\ud800"}'
    assert_problem(await program.call("POST", "/v1/credentials", headers=JSON, content=lone), 422, field="secret")
    credential = {"name": "c", "provider": "p", "secret": "sk-" + "x" * 30}
    made = await program.ask("POST", "/v1/credentials", credential)
    assert credential["secret"] not in json.dumps(made)
    assert_problem(await program.call("POST", "/v1/credentials", credential), 409, "name_taken", field="name")
    assert shop.sql("select count(*) from public.api_keys") == [(1,)]


async def test_an_error_of_ours_is_told_without_its_insides(served: Served, shop: Shop) -> None:
    program = served.caller(shop.key)
    shop.sql("drop table public.credentials cascade")
    response = await program.call("GET", "/v1/credentials")
    problem = assert_problem(response, 500, "internal")
    assert "credentials" not in problem["detail"]
