"""Visitors: which website they are on, which session is theirs, and what they are told."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
from tests.factories.problems import assert_problem
from tests.factories.server import JWT_SECRET, ORIGIN, SECRET, WEBSITE, Caller, Served, Shop, member_token

from trunkline.db.principals import Visitor
from trunkline.organizations.vault import Vault
from trunkline.sessions.tokens import AUDIENCE, VisitorTokens

ELSEWHERE = "https://blog.example"


async def test_only_the_agents_websites_start_sessions(served: Served, shop: Shop) -> None:
    body = {"agent_id": str(shop.agent())}
    wrong: list[tuple[bytes | None, int]] = [
        (None, 401),
        (b"", 401),
        (b"null", 401),
        (WEBSITE.encode(), 401),
        (b"file://", 401),
        (b"javascript:alert(1)", 401),
        (b"https://shop.example/path", 401),
        (b"https://shop.example@evil.example", 401),
        (b"https://shop.example.", 401),
        (b"https://*", 401),
        (b"https://" + b"x" * 400, 401),
        (b"https://sh\xf6p.example", 401),
        (b"https://shop.example https://evil.example", 401),
        (b"https://evil.example", 403),
        (b"https://www.shop.example", 403),
        (b"https://shop.example.evil.example", 403),
        (b"https://evil-shop.example", 403),
        (b"https://shop.example:8443", 403),
        (b"https://xn--shp-jua.example", 403),
    ]
    for origin, status in wrong:
        headers = {} if origin is None else {"Origin": origin}
        response = await served.caller().call("POST", "/v1/sessions", body, headers)
        assert_problem(response, status, "wrong_website" if status == 403 else "not_authenticated")
    assert shop.sql("select count(*) from public.agent_sessions") == [(0,)]
    for origin in (ORIGIN, "http://shop.example", "https://SHOP.example:443"):
        made = await served.caller(Origin=origin).ask("POST", "/v1/sessions", body)
        assert (made["website_domain"], made["channel"]) == (WEBSITE, "web")


async def test_an_agent_without_websites_serves_no_visitor(stranger: Caller, shop: Shop) -> None:
    agent = shop.agent(allowed_domains=[])
    assert_problem(await stranger.call("POST", "/v1/sessions", {"agent_id": str(agent)}), 403, "wrong_website")


async def test_what_a_visitor_may_not_ask_for(stranger: Caller, shop: Shop) -> None:
    agent = {"agent_id": str(shop.agent(channels=["web", "api"]))}
    named = await stranger.call("POST", "/v1/sessions", agent | {"client_reference": "user-42"})
    assert_problem(named, 422, "invalid_input", field="client_reference")
    other = await stranger.call("POST", "/v1/sessions", agent | {"website_domain": "blog.example"})
    assert_problem(other, 403, "wrong_website", field="website_domain")
    shop.sql("update public.agents set is_published = false")
    hidden = await stranger.call("POST", "/v1/sessions", agent)
    nobody = str(uuid4())
    unknown = await stranger.call("POST", "/v1/sessions", {"agent_id": nobody})
    assert_problem(unknown, 404, "unknown_agent")
    assert hidden.text.replace(agent["agent_id"], nobody) == unknown.text  # nobody learns that there is a draft
    assert shop.sql("select count(*) from public.agent_sessions") == [(0,)]


async def test_a_token_is_good_for_its_session_on_its_website_only(
    served: Served, stranger: Caller, shop: Shop
) -> None:
    agent = shop.agent(allowed_domains=[WEBSITE, "blog.example"])
    mine, other = [await stranger.ask("POST", "/v1/sessions", {"agent_id": str(agent)}) for _ in range(2)]
    there = await served.caller(Origin=ELSEWHERE).ask("POST", "/v1/sessions", {"agent_id": str(agent)})
    me = served.caller(mine["token"], Origin=ORIGIN)
    answer = (await me.say(mine["session_id"], "Hello")).json()
    for handle in (other["session_id"], there["session_id"], "ses_unknown"):
        path = f"/v1/sessions/{handle}"
        for method, tail, body in (
            ("GET", "", None),
            ("GET", "/messages", None),
            ("POST", "/messages", {"content": "Hello"}),
            ("POST", "/end", None),
            ("POST", "/token", None),
            ("GET", f"/turns/{answer['turn_id']}/stream", None),
            ("POST", f"/turns/{answer['turn_id']}/cancel", None),
        ):
            assert_problem(await me.call(method, path + tail, body), 404, "unknown_session")
    path = f"/v1/sessions/{mine['session_id']}"
    for origin in (ELSEWHERE, "null", "https://evil.example"):
        thief = served.caller(mine["token"], Origin=origin)
        assert_problem(await thief.call("GET", f"{path}/messages"), 403, "wrong_website")
        assert_problem(await thief.say(mine["session_id"], "Hello"), 403, "wrong_website")
        assert_problem(await thief.call("POST", f"{path}/token"), 403, "wrong_website")
    for method, forbidden in (
        ("GET", "/v1/sessions"),
        ("GET", "/v1/agents"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
    ):
        assert_problem(
            await me.call(method, forbidden, {"name": "k"} if method == "POST" else None), 403, "not_allowed"
        )
    assert_problem(await me.call("POST", "/v1/sessions", {"agent_id": str(agent)}), 403, "not_allowed")
    assert len(shop.messages(mine["session_id"])) == 2
    assert shop.messages(other["session_id"]) == []


async def test_a_visitor_reads_its_own_session(served: Served, stranger: Caller, shop: Shop) -> None:
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(shop.agent(first_message="Hi"))})
    assert made["agent"]["first_message"] == "Hi"
    assert "system_prompt" not in json.dumps(made)
    me = served.caller(made["token"], Origin=ORIGIN)
    events = [event async for event in me.stream(made["session_id"], "Hello")]
    assert events[-1].data["message"]["content"] == "Hello"
    read = await me.ask("GET", f"/v1/sessions/{made['session_id']}")
    assert (read["message_count"], read["status"], read["client_reference"]) == (2, "active", None)
    assert [content for _, content, _ in await me.messages(made["session_id"])] == ["Hello", "Hello"]
    same_origin = served.caller(made["token"])  # browsers leave Origin out of same-origin reads
    assert len(await same_origin.messages(made["session_id"])) == 2
    assert (await me.ask("POST", f"/v1/sessions/{made['session_id']}/end"))["status"] == "ended"


async def test_tokens_that_are_not_ours(served: Served, stranger: Caller, shop: Shop) -> None:
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(shop.agent())})
    session, token = made["session_id"], made["token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    key = Vault(SECRET).token_keys[0]
    soon = datetime.now(UTC) + timedelta(hours=1)
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    deep = base64.urlsafe_b64encode(b"[" * 2500).rstrip(b"=").decode()
    flipped = base64.urlsafe_b64encode(json.dumps({**claims, "aud": "authenticated"}).encode()).rstrip(b"=").decode()

    def signed(secret: bytes | str = key, **changes: Any) -> str:
        return jwt.encode({**claims, **changes}, secret, algorithm="HS256")

    wrong = [
        "x",
        "tl_unknown",
        "a.b.c",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{flipped}.{signature}",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{deep}.{signature}",
        "x" * 5000,
        signed(b"another key of thirty-two bytes at least"),
        signed(JWT_SECRET),
        signed(SECRET),
        signed(aud="authenticated"),
        signed(aud=[AUDIENCE]),
        signed(exp=datetime.now(UTC) - timedelta(seconds=5)),
        signed(exp="never"),
        signed(trunkline=None),
        signed(trunkline={}),
        signed(trunkline={**claims["trunkline"], "agent_id": "x"}),
        jwt.encode({**claims, "exp": soon}, key * 2, algorithm="HS512"),
        jwt.encode({key: value for key, value in claims.items() if key != "exp"}, key, algorithm="HS256"),
        member_token(uuid4(), secret="another secret that is long enough, really"),
        member_token(uuid4(), exp=datetime.now(UTC) - timedelta(seconds=5)),
        member_token(uuid4(), role="service_role"),
        member_token(uuid4(), role="anon"),
        member_token(uuid4(), aud="trunkline:visitor"),
        member_token(uuid4(), sub="ada"),
        member_token(uuid4(), sub=5),
    ]
    for credential in wrong:
        response = await served.caller(credential, Origin=ORIGIN).call("GET", f"/v1/sessions/{session}")
        assert_problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    for authorization in ("", "Bearer", f"Basic {token}", token):
        response = await served.caller(Authorization=authorization).call("GET", f"/v1/sessions/{session}")
        assert_problem(response, 401, "not_authenticated")
    signed_for_another = {
        **claims["trunkline"],
        "website_domain": "blog.example",
    }  # rightly signed, but the row is of another website: the database itself says no
    moved = served.caller(signed(trunkline=signed_for_another), Origin=ELSEWHERE)
    assert_problem(await moved.call("GET", f"/v1/sessions/{session}"), 404, "unknown_session")


async def test_a_token_is_renewed_also_when_it_has_just_expired(served: Served, stranger: Caller, shop: Shop) -> None:
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(shop.agent())})
    session = made["session_id"]
    claims = jwt.decode(made["token"], options={"verify_signature": False})
    key = Vault(SECRET).token_keys[0]

    def expired(ago: timedelta) -> Caller:
        times = {"exp": datetime.now(UTC) - ago, "iat": datetime.now(UTC) - ago - timedelta(hours=1)}
        return served.caller(jwt.encode({**claims, **times}, key, algorithm="HS256"), Origin=ORIGIN)

    late = expired(timedelta(hours=2))
    assert_problem(await late.call("GET", f"/v1/sessions/{session}"), 401, "not_authenticated", says="expired")
    renewed = await late.ask("POST", f"/v1/sessions/{session}/token")
    assert renewed["token_expires_at"] > datetime.now(UTC).isoformat()
    assert (await served.caller(renewed["token"], Origin=ORIGIN).say(session, "Hello")).status_code == 200
    too_late = expired(timedelta(days=2))
    assert_problem(await too_late.call("POST", f"/v1/sessions/{session}/token"), 401, "not_authenticated")
    key_instead = await served.caller(shop.key).call("POST", f"/v1/sessions/{session}/token")
    assert_problem(key_instead, 401, "not_authenticated")


async def test_tokens_of_the_secret_before_a_rotation(served: Served, stranger: Caller, shop: Shop) -> None:
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(shop.agent())})
    visitor = Visitor(
        agent_id=made["agent"]["id"],
        website_domain=WEBSITE,
        organization_id=shop.organization_id,
        session_id=made["session_id"],
    )
    fresh = "the-next-secret-0123456789-abcdefghijklmnop"
    rotated = VisitorTokens(Vault(fresh, SECRET).token_keys, 3600)
    assert rotated.verify(made["token"]).session_id == visitor.session_id
    new, _ = rotated.sign(visitor)
    assert_problem(
        await served.caller(new, Origin=ORIGIN).call("GET", f"/v1/sessions/{made['session_id']}"),
        401,
        "not_authenticated",
    )


async def test_a_failure_of_the_provider_is_told_to_programs_only(
    served: Served, program: Caller, stranger: Caller, shop: Shop
) -> None:
    plain = shop.agent("gpt-4o-mini", llm_provider="openai")
    kind = shop.agent("fail-after-1", fallback_message="Ask at the counter.")
    for agent, sentence, inside in (
        (plain, "The agent can't answer right now. Please try again later.", "no API key"),
        (kind, "Ask at the counter.", "fails here"),
    ):
        session = (await program.start(agent))["session_id"]
        assert_problem(await program.say(session, "Hello", "k"), 502, "provider_failed", says=inside)
        (*_, failed) = [event async for event in program.stream(session, "Hello", "k")]
        assert (failed.name, inside in failed.data["detail"]) == ("error", True)
        made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(agent)})
        me, handle = served.caller(made["token"], Origin=ORIGIN), made["session_id"]
        assert assert_problem(await me.say(handle, "Hello", "k"), 502, "provider_failed")["detail"] == sentence
        events = [event async for event in me.stream(handle, "Hello", "k")]
        assert (events[-1].name, events[-1].data["detail"]) == ("error", sentence)
        turn = events[0].data["turn_id"]
        stored = [event async for event in me.follow(handle, turn)]
        assert (stored[-1].name, stored[-1].data["detail"]) == ("error", sentence)
        assert inside in shop.sql("select error from public.agent_turns where id = %s", turn)[0][0]


async def test_a_credential_that_is_gone_is_told_and_nothing_is_half_written(
    served: Served, program: Caller, stranger: Caller, shop: Shop
) -> None:
    credential = await program.ask("POST", "/v1/credentials", {"name": "c", "provider": "openai", "secret": "sk-1"})
    agent = shop.agent("gpt-4o-mini", llm_provider="openai")
    await program.ask("PATCH", f"/v1/agents/{agent}", {"llm_credential_id": credential["id"]})
    await program.ask("POST", f"/v1/agents/{agent}/publish")
    await program.call("DELETE", f"/v1/credentials/{credential['id']}")
    session = (await program.start(agent))["session_id"]
    assert_problem(await program.say(session, "Hello"), 502, "provider_failed", says="no longer exists")
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(agent)})
    me = served.caller(made["token"], Origin=ORIGIN)
    assert_problem(await me.say(made["session_id"], "Hello"), 502, "provider_failed", says="can't answer right now")
    assert shop.sql("select count(*) from public.agent_messages") == [(0,)]


async def test_browsers_may_call_from_any_website_without_cookies(served: Served) -> None:
    preflight = await served.http.options(
        "/v1/sessions",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key,last-event-id",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    refused = await served.http.post("/v1/sessions", headers={"Origin": ORIGIN}, json={})
    assert refused.headers["Access-Control-Allow-Origin"] == "*"
    large = await served.http.post("/v1/sessions", headers={"Origin": ORIGIN}, content=b"x" * 600_000)
    assert (large.status_code, large.headers["Access-Control-Allow-Origin"]) == (413, "*")


async def test_visitors_meet_what_is_published_and_not_the_draft(
    program: Caller, stranger: Caller, served: Served, shop: Shop
) -> None:
    agent = str(shop.agent(first_message="Hi", name="Ada"))
    draft = {"first_message": "Draft", "name": "Draft", "allowed_domains": ["blog.example"], "channels": ["web"]}
    await program.ask("PATCH", f"/v1/agents/{agent}", draft)
    elsewhere = served.caller(Origin=ELSEWHERE)
    assert_problem(await elsewhere.call("POST", "/v1/sessions", {"agent_id": agent}), 403, "wrong_website")
    there = await program.call("POST", "/v1/sessions", {"agent_id": agent, "website_domain": "blog.example"})
    assert_problem(there, 403, "wrong_website", field="website_domain")
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": agent})
    theirs = await program.ask("POST", "/v1/sessions", {"agent_id": agent, "channel": "api"})
    for started in (made, theirs):
        assert (started["agent"]["name"], started["agent"]["first_message"]) == ("Ada", "Hi")
    await program.ask("POST", f"/v1/agents/{agent}/publish")
    fresh = await elsewhere.ask("POST", "/v1/sessions", {"agent_id": agent})
    assert (fresh["agent"]["name"], fresh["agent"]["first_message"]) == ("Draft", "Draft")
    assert_problem(await stranger.call("POST", "/v1/sessions", {"agent_id": agent}), 403, "wrong_website")


async def test_a_website_that_is_removed_takes_its_visitors_along(
    program: Caller, stranger: Caller, served: Served, shop: Shop
) -> None:
    agent = str(shop.agent(allowed_domains=[WEBSITE, "blog.example"]))
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": agent})
    kept = await served.caller(Origin=ELSEWHERE).ask("POST", "/v1/sessions", {"agent_id": agent})
    me, them = served.caller(made["token"], Origin=ORIGIN), served.caller(kept["token"], Origin=ELSEWHERE)
    mine, theirs = made["session_id"], kept["session_id"]
    await program.ask("PATCH", f"/v1/agents/{agent}", {"allowed_domains": ["blog.example"]})
    assert (await me.say(mine, "Hello")).status_code == 200  # it is a draft
    await me.ask("POST", f"/v1/sessions/{mine}/token")
    await program.ask("POST", f"/v1/agents/{agent}/publish")
    assert_problem(await me.say(mine, "Hello"), 403, "wrong_website")
    assert_problem(await me.call("POST", f"/v1/sessions/{mine}/token"), 403, "wrong_website")
    assert len(await me.messages(mine)) == 2
    assert (await them.say(theirs, "Hello")).status_code == 200
    await them.ask("POST", f"/v1/sessions/{theirs}/token")


async def test_the_token_of_a_session_that_is_over_is_not_renewed(stranger: Caller, served: Served, shop: Shop) -> None:
    made = await stranger.ask("POST", "/v1/sessions", {"agent_id": str(shop.agent())})
    me = served.caller(made["token"], Origin=ORIGIN)
    path = f"/v1/sessions/{made['session_id']}"
    await me.ask("POST", f"{path}/token")
    await me.ask("POST", f"{path}/end")
    assert_problem(await me.call("POST", f"{path}/token"), 409, "session_ended")
    shop.sql("update public.agent_sessions set status = 'active', ended_at = null")
    shop.sql("update public.agents set is_active = false")
    assert_problem(await me.call("POST", f"{path}/token"), 409, "agent_not_published")
