"""The same message sent again, many messages at once, and many sessions at once."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg
from psycopg import sql
from tests.factories.server import WEBSITE, Caller, Served, Shop, open_shop, serving, settings_for


async def test_a_message_sent_again_gets_the_one_answer(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-3")))["session_id"]
    first = (await program.say(session, "Hello", "k")).json()
    again = (await program.say(session, "Hello", "k")).json()
    streamed = [event async for event in program.stream(session, "Hello", "k")]
    assert again == first
    assert [event.name for event in streamed] == ["turn", "delta", "done"]
    assert streamed[-1].data == first
    assert shop.messages(session) == [
        ("user", "Hello", "complete"),
        ("assistant", first["message"]["content"], "complete"),
    ]
    assert shop.sql("select count(*) from public.usage_logs") == [(1,)]


async def test_ten_at_once_are_one_turn(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-10@20ms")))["session_id"]
    answers = await asyncio.gather(*(program.say(session, "Hello", "k") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert shop.turns(session) == [("complete", 1)]
    assert [role for role, _, _ in shop.messages(session)] == ["user", "assistant"]


async def test_one_sent_again_while_it_runs_joins_it(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-10@20ms")))["session_id"]
    first = program.stream(session, "Hello", "k")
    opening, _ = await anext(first), await anext(first)
    again = [event async for event in program.stream(session, "Hello", "k")]
    assert again[0] == opening
    assert again[-1] == [event async for event in first][-1]
    assert "".join(event.data["text"] for event in again[1:-1]) == again[-1].data["message"]["content"]
    assert shop.turns(session) == [("complete", 1)]


async def test_the_key_belongs_to_its_message(program: Caller, shop: Shop) -> None:
    agent = shop.agent()
    session, other = [(await program.start(agent))["session_id"] for _ in range(2)]
    await program.say(session, "Hello", "k")
    refused = await program.say(session, "Something else", "k")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")
    assert (await program.say(other, "Something else", "k")).status_code == 200
    assert len(shop.messages(session)) == 2


async def test_a_failed_turn_is_taken_again_and_answered_once(program: Caller, shop: Shop, replica: Served) -> None:
    session = (await program.start(shop.agent("fail-after-2")))["session_id"]
    failed = await program.say(session, "Hello", "k")
    assert (failed.status_code, failed.json()["code"]) == (502, "provider_failed")
    assert "The script 'fail-after' fails here" in failed.json()["detail"]
    assert shop.turns(session) == [("failed", 1)]
    assert [event.name async for event in program.stream(session, "Hello", "k")] == ["turn", "delta", "delta", "error"]
    assert shop.turns(session) == [("failed", 2)]
    shop.mend("lorem-3")
    program = replica.caller(shop.key)
    answered = (await program.say(session, "Hello", "k")).json()
    assert (await program.say(session, "Hello", "k")).json() == answered
    assert shop.turns(session) == [("complete", 3)]
    assert shop.messages(session) == [("user", "Hello", "complete"), ("assistant", "lorem ipsum dolor ", "complete")]


async def test_a_retried_turn_is_not_spliced_onto_the_attempt_before(
    program: Caller, shop: Shop, replica: Served
) -> None:
    session = (await program.start(shop.agent("fail-after-2")))["session_id"]
    cut = [event async for event in program.stream(session, "Hello", "k")]
    shop.mend("lorem-4@50ms")
    program = replica.caller(shop.key)
    for last in (cut[1].id, cut[-1].id):
        events = [event async for event in program.stream(session, "Hello", "k", last)]
        assert [event.name for event in events] == ["turn", *["delta"] * (len(events) - 2), "done"]
        assert "".join(event.data["text"] for event in events[1:-1]) == "lorem ipsum dolor sit "
        rest = [event async for event in program.follow(session, cut[0].data["turn_id"], events[1].id)]
        assert [event.id for event in rest] == [events[-2].id, events[-1].id] or len(events) == 3
    assert shop.turns(session) == [("complete", 2)]


async def test_a_session_takes_one_turn_at_a_time(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("hang-after-1")))["session_id"]
    stream = program.stream(session, "Hello")
    turn = (await anext(stream)).data["turn_id"]
    refused = await asyncio.gather(*(program.say(session, "Me too") for _ in range(3)))
    for response in refused:
        assert (response.status_code, response.json()["code"]) == (409, "session_busy")
        assert int(response.headers["Retry-After"]) >= 1
    ended = await program.call("POST", f"/v1/sessions/{session}/end")
    assert (ended.status_code, ended.json()["code"]) == (409, "session_busy")
    await program.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel")
    await stream.aclose()
    assert [content for role, content, _ in shop.messages(session) if role == "user"] == ["Hello"]


async def test_twenty_different_messages_at_once_give_whole_turns_only(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("echo")))["session_id"]
    answers = await asyncio.gather(*(program.say(session, f"number {n}") for n in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    taken = [answer.json()["message"]["content"] for answer in answers if answer.status_code == 200]
    assert taken
    said = shop.messages(session)
    assert [content for role, content, _ in said if role == "assistant"] == [
        content for role, content, _ in said if role == "user"
    ]
    assert len(said) == 2 * len(taken)
    assert shop.sql("select message_count from public.agent_sessions") == [(len(said),)]


async def test_no_connection_is_held_while_models_speak(login_url: str, shop: Shop) -> None:
    """Twenty turns are in the middle of their answers at the same time, over two connections."""
    async with serving(login_url, settings_for(pool_size=2)) as served:
        program = served.caller(shop.key)
        agent = shop.agent("hang-after-1")
        sessions = [(await program.start(agent))["session_id"] for _ in range(20)]
        streams = [program.stream(session, "Hello") for session in sessions]
        openings = await asyncio.gather(*(anext(stream) for stream in streams))
        assert [event.name for event in await asyncio.gather(*(anext(stream) for stream in streams))] == ["delta"] * 20
        assert shop.sql("select count(*) from public.agent_turns where status = 'running'") == [(20,)]
        for session, opening in zip(sessions, openings, strict=True):
            await program.ask("POST", f"/v1/sessions/{session}/turns/{opening.data['turn_id']}/cancel")
        ends = await asyncio.gather(*(anext(stream) for stream in streams))
        assert {(event.name, event.data["status"]) for event in ends} == {("done", "cancelled")}


async def test_a_client_reference_finds_its_session_and_no_other(program: Caller, shop: Shop, served: Served) -> None:
    agent, other = [shop.agent(allowed_domains=[WEBSITE, "blog.example"]) for _ in range(2)]
    asked = {"agent_id": str(agent), "website_domain": WEBSITE, "client_reference": "user-42"}
    first = await program.call("POST", "/v1/sessions", asked)
    again = await program.call("POST", "/v1/sessions", asked)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    different = [{"agent_id": str(other)}, {"website_domain": "blog.example"}, {"channel": "api"}]
    found = [(await program.ask("POST", "/v1/sessions", asked | change))["session_id"] for change in different]
    assert len({first.json()["session_id"], *found}) == 4
    next_door = open_shop(shop.owner_url, "next-door")
    theirs = await served.caller(next_door.key).start(next_door.agent(), client_reference="user-42")
    assert theirs["session_id"] not in {first.json()["session_id"], *found}


async def test_ten_at_once_find_or_make_one_session(program: Caller, shop: Shop) -> None:
    asked = {"agent_id": str(shop.agent()), "website_domain": WEBSITE, "client_reference": "user-42"}
    answers = await asyncio.gather(*(program.call("POST", "/v1/sessions", asked) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["session_id"] for answer in answers}) == 1


async def test_a_client_reference_gets_a_new_session_when_its_own_is_over(program: Caller, shop: Shop) -> None:
    agent = shop.agent(max_messages_per_session=1)
    reasons: tuple[tuple[str, LiteralString | None], ...] = (
        ("ended", None),
        ("timeout", "last_activity_at = now() - interval '1 day'"),
        ("timeout", "started_at = now() - interval '2 days'"),
        ("ended", "message_count = 1"),
    )
    seen: list[str] = []
    for status, change in reasons:
        session = (await program.start(agent, client_reference="user-42"))["session_id"]
        if change is None:
            await program.ask("POST", f"/v1/sessions/{session}/end")
        else:
            with psycopg.connect(shop.owner_url) as connection:
                statement = sql.SQL("update public.agent_sessions set {} where session_id = %s")
                connection.execute(statement.format(sql.SQL(change)), (session,))
        asked = {"agent_id": str(agent), "website_domain": WEBSITE, "client_reference": "user-42"}
        answers = await asyncio.gather(*(program.call("POST", "/v1/sessions", asked) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        (fresh,) = {answer.json()["session_id"] for answer in answers}
        assert fresh not in [*seen, session]
        old = await program.ask("GET", f"/v1/sessions/{session}")
        assert (old["status"], old["client_reference"], old["ended_at"] is None) == (status, "user-42", False)
        assert (await program.say(fresh, "Hello")).status_code == 200
        await program.ask("POST", f"/v1/sessions/{fresh}/end")
        seen += [session, fresh]


async def test_a_session_that_answers_is_not_closed_by_its_client_reference(program: Caller, shop: Shop) -> None:
    agent = shop.agent("hang-after-1")
    session = (await program.start(agent, client_reference="user-42"))["session_id"]
    stream = program.stream(session, "Hello")
    turn = (await anext(stream)).data["turn_id"]
    shop.sql("update public.agent_sessions set started_at = now() - interval '2 days'")
    assert (await program.start(agent, client_reference="user-42"))["session_id"] == session
    await program.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel")
    await stream.aclose()
    assert (await program.start(agent, client_reference="user-42"))["session_id"] != session


async def test_limits_that_its_own_message_has_passed_refuse_no_retry(
    program: Caller, shop: Shop, replica: Served
) -> None:
    session = (await program.start(shop.agent("fail-after-1", max_messages_per_session=1)))["session_id"]
    assert (await program.say(session, "Hello", "k")).status_code == 502
    assert (await program.say(session, "Hello", "k")).status_code == 502
    shop.sql(
        "update public.agent_sessions set started_at = now() - interval '2 days',"
        " last_activity_at = now() - interval '2 days'"
    )
    other = await program.say(session, "Something else")
    assert (other.status_code, other.json()["code"]) == (409, "session_ended")
    shop.mend("echo")
    program = replica.caller(shop.key)
    assert (await program.say(session, "Hello", "k")).status_code == 200
    shop.sql("update public.agent_sessions set status = 'ended'")
    assert (await program.say(session, "Hello", "k")).status_code == 200  # what was answered stands
    assert [role for role, _, _ in shop.messages(session)] == ["user", "assistant"]


async def test_a_failed_message_is_not_answered_behind_later_ones(program: Caller, shop: Shop, replica: Served) -> None:
    session = (await program.start(shop.agent("fail-after-1")))["session_id"]
    assert (await program.say(session, "A", "a")).status_code == 502
    assert (await program.say(session, "B", "b")).status_code == 502
    shop.mend("transcript")
    program = replica.caller(shop.key)
    refused = await program.say(session, "A", "a")  # B stands, though nobody answered it yet
    assert (refused.status_code, refused.json()["code"]) == (409, "turn_overtaken")
    assert "fresh Idempotency-Key" in refused.json()["detail"]
    answers = await asyncio.gather(*(program.say(session, message, message.lower()) for message in "ABABAB"))
    assert [answer.status_code for answer in answers[::2]] == [409] * 3
    assert {answer.status_code for answer in answers[1::2]} == {200}
    assert (await program.say(session, "A", "a")).status_code == 409
    assert (await program.say(session, "A", "a again")).status_code == 200
    said = [(role, content) for role, content, _ in shop.messages(session)]
    assert [content for role, content in said if role == "user"] == ["A", "B", "A"]
    assert [role for role, _ in said] == ["user", "user", "assistant", "user", "assistant"]
    assert said[-1][1].endswith("human: A\nhuman: B\nai: " + said[2][1] + "\nhuman: A")
    ((window,),) = shop.sql("select conversation_history from public.agent_sessions where session_id = %s", session)
    assert [(message["role"], message["content"]) for message in window] == said
