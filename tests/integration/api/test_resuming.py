"""A stream that is cut goes on where it was cut, wherever it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from tests.factories.server import Caller, Event, Served, Shop, serving_apart


def text_of(events: list[Event]) -> str:
    """What was said."""
    return "".join(event.data["text"] for event in events if event.name == "delta")


async def first(stream: AsyncGenerator[Event], count: int) -> list[Event]:
    """The first events of a stream, which is then cut."""
    seen: list[Event] = []
    async with aclosing(stream):
        while len(seen) < count:
            seen.append(await anext(stream))
    return seen


async def rest(stream: AsyncGenerator[Event]) -> list[Event]:
    """All events of a stream."""
    return [event async for event in stream]


def assert_equal(seen: list[Event], resumed: list[Event], uncut: list[Event]) -> None:
    """A cut stream and the rest of it are the whole."""
    assert text_of(seen + resumed) == text_of(uncut)
    assert (seen + resumed)[-1] == uncut[-1]
    assert [event.name for event in seen + resumed if event.name != "delta"] == ["turn", uncut[-1].name]


async def test_a_stream_cut_after_every_event_goes_on_in_a_second_process(
    program: Caller, shop: Shop, login_url: str
) -> None:
    async with serving_apart(login_url) as apart:
        elsewhere = apart.caller(shop.key)
        session = (await program.start(shop.agent("lorem-12@300ms")))["session_id"]
        asking = asyncio.create_task(rest(program.stream(session, "Hello", "k")))
        turn = await program.running_turn(session)

        async def cut(count: int, where: Caller) -> tuple[list[Event], list[Event]]:
            seen = await first(program.follow(session, turn), count)
            return seen, await rest(where.follow(session, turn, seen[-1].id))

        async def cut_and_sent_again(count: int, where: Caller) -> tuple[list[Event], list[Event]]:
            seen = await first(program.follow(session, turn), count)
            return seen, await rest(where.stream(session, "Hello", "k", seen[-1].id))

        resumed = await asyncio.gather(
            *(
                way(count, where)
                for count in range(1, 14)
                for where in (program, elsewhere)
                for way in (cut, cut_and_sent_again)
            )
        )
        uncut = await asking
        assert len(uncut) == 14
        for seen, more in resumed:
            assert_equal(seen, more, uncut)
        for count in range(1, 15):  # the turn has ended
            for where in (program, elsewhere):
                for stream in (
                    where.follow(session, turn, uncut[count - 1].id),
                    where.stream(session, "Hello", "k", uncut[count - 1].id),
                ):
                    assert_equal(uncut[:count], await rest(stream), uncut)
    assert shop.turns(session) == [("complete", 1)]


@pytest.mark.parametrize("script", ["fail-before-first", "fail-after-3"])
async def test_a_stream_that_fails_ends_alike_everywhere(
    program: Caller, shop: Shop, replica: Served, script: str
) -> None:
    session = (await program.start(shop.agent(script)))["session_id"]
    uncut = await rest(program.stream(session, "Hello", "k"))
    turn = uncut[0].data["turn_id"]
    assert uncut[-1].id == f"{turn}:error"
    for where in (program, replica.caller(shop.key)):
        assert await rest(where.follow(session, turn, uncut[-1].id)) == []
        seen = await rest(where.follow(session, turn, uncut[0].id))
        assert seen[-1].data == uncut[-1].data


async def test_garbage_as_the_last_event_id_gets_the_whole_stream(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-3")))["session_id"]
    uncut = await rest(program.stream(session, "Hello"))
    turn = uncut[0].data["turn_id"]
    places = ["", "-1", "1e3", "٣", "99999999999", "1.", "done!", "1.2.3"]
    for last in ("", "x", ":", "5", turn, f"{turn[::-1]}:3", *(f"{turn}:{place}" for place in places)):
        headers = {"Last-Event-ID": last.encode()}
        response = await program.call("GET", f"/v1/sessions/{session}/turns/{turn}/stream", headers=headers)
        assert response.status_code == 200, last
        assert response.text.startswith(f"id: {turn}:0\nevent: turn\n"), last
        assert response.text.count("event: done") == 1


async def test_a_place_behind_the_end_gets_the_end(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-3")))["session_id"]
    uncut = await rest(program.stream(session, "Hello"))
    turn = uncut[0].data["turn_id"]
    assert await rest(program.follow(session, turn, f"{turn}:100000")) == uncut[-1:]


async def test_an_oversize_last_event_id_is_refused(program: Caller, shop: Shop) -> None:
    session = (await program.start(shop.agent("lorem-3")))["session_id"]
    uncut = await rest(program.stream(session, "Hello"))
    turn = uncut[0].data["turn_id"]
    path = f"/v1/sessions/{session}/turns/{turn}/stream"
    response = await program.call("GET", path, headers={"Last-Event-ID": "x" * 101})
    assert (response.status_code, response.json()["field"]) == (422, "last-event-id")


async def test_an_answer_of_any_script_is_cut_between_characters(program: Caller, shop: Shop, replica: Served) -> None:
    """Offsets count characters, here and in the database, also of those that UTF-16 writes as two."""
    session = (await program.start(shop.agent("echo@30ms")))["session_id"]
    said = "naïve 日本語 🙂🙂 e\u0301 👩‍👩‍👧 \U0001f468 ok"
    asking = asyncio.create_task(rest(program.stream(session, said, "k")))
    turn = await program.running_turn(session)
    elsewhere = replica.caller(shop.key)
    followed = await rest(elsewhere.follow(session, turn))
    uncut = await asking
    assert text_of(followed) == text_of(uncut) == said
    for at in range(len(said)):
        more = await rest(elsewhere.follow(session, turn, f"{turn}:{at}"))
        assert said[:at] + text_of(more) == said
