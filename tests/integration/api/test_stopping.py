"""Clients that leave, and answers that are stopped."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.factories.server import Caller, Served, Shop, until

from trunkline.db.principals import Service
from trunkline.db.tenant import Database
from trunkline.runtime.turns import Turns
from trunkline.sessions.turns import Admission, extend_turn


def window_of(shop: Shop, session: str) -> list[tuple[str, str]]:
    """Role and content of what `conversation_history` holds."""
    ((held,),) = shop.sql("select conversation_history from public.agent_sessions where session_id = %s", session)
    return [(message["role"], message["content"]) for message in held]


def metered(shop: Shop) -> list[tuple[Any, ...]]:
    """What the meter has, in the order that it was written."""
    return shop.sql(
        "select provider, model, tokens_used, input_tokens, output_tokens, is_estimated, message_id::text"
        " from public.usage_logs order by created_at"
    )


async def test_a_client_that_leaves_loses_no_answer(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-8@30ms")))["session_id"]
    async with aclosing(program.stream(session, "Hello", "k")) as stream:
        turn = (await anext(stream)).data["turn_id"]
    async with aclosing(program.stream(session, "Hello", "k")) as stream:
        await anext(stream)
    ended = [event async for event in program.follow(session, turn)][-1]
    assert (ended.name, ended.data["status"]) == ("done", "complete")
    assert [status for _, _, status in shop.messages(session)] == ["complete"] * 2


async def test_a_client_that_leaves_while_it_waits_for_json_loses_no_answer(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-5@50ms")))["session_id"]
    waiting = asyncio.create_task(program.say(session, "Hello", "k"))
    await until(lambda: shop.turns(session))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (await program.say(session, "Hello", "k")).json()["status"] == "complete"
    assert shop.turns(session) == [("complete", 1)]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_a_stopped_answer_keeps_what_was_said(
    program: Caller, shop: Shop, replica: Served, *, elsewhere: bool
) -> None:
    session = (await program.start(shop.agent("hang-after-3")))["session_id"]
    stopper = replica.caller(shop.key) if elsewhere else program
    async with aclosing(program.stream(session, "Hello", "k")) as stream:
        opening = await anext(stream)
        for _ in range(3):
            await anext(stream)
        turn = opening.data["turn_id"]
        if elsewhere:
            await until(lambda: shop.sql("select 1 from public.agent_turns where answer_offset > 0"))
        stopped = await stopper.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel")
        assert stopped == {"turn_id": turn, "status": "cancelled"}
        said = [("user", "Hello", "complete"), ("assistant", "lorem ipsum dolor ", "interrupted")]
        assert shop.messages(session) == said
        assert window_of(shop, session) == [(role, content) for role, content, _ in said]
        last = await anext(stream)  # the server that ran it tells its own listeners, wherever it was stopped
        assert (last.name, last.data["status"], last.data["message"]["status"]) == ("done", "cancelled", "interrupted")
    again = (await stopper.say(session, "Hello", "k")).json()
    assert again == last.data
    # "You are a helpful assistant." and "Hello"; then three words: four characters are a token.
    assert again["usage"] == {"input_tokens": 8, "output_tokens": 4, "is_estimated": True}
    assert metered(shop) == [("scripted", "hang-after-3", 12, 8, 4, True, again["message"]["id"])]
    assert await stopper.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel") == stopped
    shop.mend("echo")
    async with aclosing(stopper.stream(session, "And now?")) as stream:
        assert (await anext(stream)).name == "turn"  # the session is free at once
    assert shop.sql("select count(*) from public.agent_turns") == [(2,)]
    assert [content for _, content, _ in shop.messages(session)][:3] == ["Hello", "lorem ipsum dolor ", "And now?"]


async def test_an_answer_that_is_stopped_before_its_first_word_leaves_no_message(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("hang")))["session_id"]
    stream = program.stream(session, "Hello")
    turn = (await anext(stream)).data["turn_id"]
    await program.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel")
    (last,) = [event async for event in stream]
    assert (last.name, last.data["status"], last.data["message"]) == ("done", "cancelled", None)
    assert shop.messages(session) == [("user", "Hello", "complete")]
    assert window_of(shop, session) == [("user", "Hello")]
    assert shop.sql("select message_count from public.agent_sessions") == [(1,)]
    assert metered(shop) == []


async def test_ten_who_stop_at_once_and_none_who_waits_forever(program: Caller, shop: Shop, replica: Served) -> None:
    session = (await program.start(shop.agent("hang-after-2")))["session_id"]
    streams = [program.stream(session, "Hello", "k") for _ in range(3)]
    openings = await asyncio.gather(*(anext(stream) for stream in streams))
    path = f"/v1/sessions/{session}/turns/{openings[0].data['turn_id']}/cancel"
    stoppers = [program, replica.caller(shop.key)] * 5
    answers = await asyncio.gather(*(stopper.ask("POST", path) for stopper in stoppers))
    assert {answer["status"] for answer in answers} == {"cancelled"}
    async with asyncio.timeout(10):
        ends = [[event async for event in stream][-1] for stream in streams]
    assert len({end.id for end in ends}) == 1
    assert [role for role, _, _ in shop.messages(session)].count("user") == 1


async def test_stopping_what_has_ended_or_never_was(program: Caller, shop: Shop) -> None:
    session, other = [(await program.start(shop.agent()))["session_id"] for _ in range(2)]
    turn = (await program.say(session, "Hello")).json()["turn_id"]
    path = f"/turns/{turn}/cancel"
    assert (await program.ask("POST", f"/v1/sessions/{session}{path}"))["status"] == "complete"
    foreign = await program.call("POST", f"/v1/sessions/{other}{path}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_turn")


async def test_an_ended_session_takes_nothing_more_and_can_be_read(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent()))["session_id"]
    await program.say(session, "Hello", "k")
    ended = await program.ask("POST", f"/v1/sessions/{session}/end")
    assert (ended["status"], ended["ended_at"] is not None) == ("ended", True)
    assert (await program.ask("POST", f"/v1/sessions/{session}/end"))["ended_at"] == ended["ended_at"]
    refused = await program.say(session, "More", "other")
    assert (refused.status_code, refused.json()["code"]) == (409, "session_ended")
    assert (await program.say(session, "Hello", "k")).status_code == 200  # its answer stands
    assert len(await program.messages(session)) == 2


async def test_answers_that_fail_are_metered_too(program: Caller, shop: Shop, replica: Served) -> None:
    session = (await program.start(shop.agent("fail-after-3")))["session_id"]
    for _ in range(2):
        assert (await program.say(session, "Hello", "k")).status_code == 502
    shop.mend("lorem-3")
    program = replica.caller(shop.key)
    answer = (await program.say(session, "Hello", "k")).json()
    failed = ("scripted", "fail-after-3", 12, 8, 4, True, None)
    whole = ("scripted", "lorem-3", 9, 6, 3, False, answer["message"]["id"])
    assert metered(shop) == [failed, failed, whole]
    assert answer["usage"] == {"input_tokens": 6, "output_tokens": 3, "is_estimated": False}
    again = (await program.say(session, "Hello", "k")).json()
    assert again == answer


async def test_an_attempt_that_lost_its_lease_leaves_its_successor_alone(
    served: Served, program: Caller, shop: Shop
) -> None:
    session = (await program.start(shop.agent("hang-after-2")))["session_id"]
    first = program.stream(session, "Hello", "k")
    turn = UUID((await anext(first)).data["turn_id"])
    shop.sql("update public.agent_turns set status = 'failed', lease_until = null")
    second = program.stream(session, "Hello", "k")
    opening = await anext(second)
    assert (opening.name, opening.id) == ("turn", f"{turn}:0.2")
    assert [event.name async for event in first][-1] == "error"  # it found its row taken
    assert served.app is not None
    turns: Turns = served.app.state.turns
    live = turns.live(session, turn)
    assert live is not None
    assert live.attempt == 2
    await until(lambda: metered(shop))  # what it had said
    await program.ask("POST", f"/v1/sessions/{session}/turns/{turn}/cancel")
    ((*_, message),) = [row for row in metered(shop) if row[-1] is not None]
    assert [event async for event in second][-1].data["message"]["id"] == message
    assert len(metered(shop)) == 2


async def test_what_was_said_is_kept_once_though_it_is_written_twice(
    login_url: str, program: Caller, shop: Shop
) -> None:
    agent = shop.agent()
    handle = (await program.start(agent))["session_id"]
    ((row,),) = shop.sql("select id from public.agent_sessions")
    turn_id = uuid4()
    shop.sql(
        "insert into public.agent_turns (id, organization_id, session_id, idempotency_key) values (%s, %s, %s, 'k')",
        *(turn_id, shop.organization_id, row),
    )
    turn = Admission(turn_id, 1, shop.organization_id, handle, row, agent, None, "Hello")
    database = Database(login_url, pool_size=1)
    for piece, offset in (("naïve ", 0), ("naïve 😀", 0), ("!", 7), ("! ", 7), ("", 9)):
        async with database.tenant(Service(shop.organization_id, handle)) as session:
            assert await extend_turn(session, turn, piece, offset, 60)
    await database.close()
    assert shop.sql("select partial_text, answer_offset from public.agent_turns") == [("naïve 😀! ", 9)]
