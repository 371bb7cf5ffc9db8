"""Servers that are killed, or told to stop, in the middle of an answer."""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
from tests.factories.server import Caller, Event, Served, Shop, serving_apart, until


def running(shop: Shop) -> list[tuple[str]]:
    """The turns that are said to run."""
    return shop.sql("select id from public.agent_turns where status = 'running'")


async def refuses_connections(served: Served) -> bool:
    """Whether the server's port is closed."""
    parts = urlsplit(served.url)
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_a_killed_server_leaves_nothing_running_and_the_retry_answers_once(
    program: Caller, shop: Shop, login_url: str
) -> None:
    session, idle = [(await program.start(shop.agent("lorem-9@100ms")))["session_id"] for _ in range(2)]
    async with serving_apart(login_url) as apart:
        there = apart.caller(shop.key)
        abandoned = asyncio.create_task(there.say(idle, "And me?", "k"))
        seen: list[Event] = []
        async with aclosing(there.stream(session, "Hello", "k")) as stream:
            while len(seen) < 4:
                seen.append(await anext(stream))
            await until(lambda: len(running(shop)) == 2)
            assert apart.process is not None
            apart.process.send_signal(signal.SIGKILL)
            with pytest.raises(httpx2.TransportError):
                await anext(stream)
                await anext(stream)
        await asyncio.wait([abandoned])
        busy = await program.say(session, "Another one")
        assert (busy.status_code, busy.json()["code"]) == (409, "session_busy")
        rest = [event async for event in program.follow(session, seen[0].data["turn_id"], seen[-1].id)]
        assert (rest[-1].name, rest[-1].data["code"], rest[-1].data["status"]) == ("error", "turn_died", 503)
        # Nobody asked for this one again: it was swept.
        await until(lambda: shop.turns(idle) == [("failed", 1)])
        await until(lambda: not running(shop))
        again, twin = await asyncio.gather(program.say(session, "Hello", "k"), program.say(session, "Hello", "k"))
    assert again.status_code == 200
    assert again.json() == twin.json()
    assert shop.turns(session) == [("complete", 2)]
    assert shop.messages(session) == [
        ("user", "Hello", "complete"),
        ("assistant", again.json()["message"]["content"], "complete"),
    ]
    assert (await program.say(session, "Another one")).status_code == 200
    assert (await program.say(idle, "Something else")).status_code == 200


async def test_a_server_that_is_told_to_stop_finishes_its_answers(program: Caller, shop: Shop, login_url: str) -> None:
    session = (await program.start(shop.agent("lorem-12@100ms")))["session_id"]
    async with serving_apart(login_url) as apart:
        assert apart.process is not None
        async with aclosing(apart.caller(shop.key).stream(session, "Hello", "k")) as stream:
            await anext(stream)
            await anext(stream)
            apart.process.send_signal(signal.SIGTERM)
            last = [event async for event in stream][-1]
        assert (last.name, last.data["status"]) == ("done", "complete")
        assert await apart.process.wait() == 0
    assert shop.turns(session) == [("complete", 1)]


async def test_an_answer_that_a_stopping_server_can_not_finish_is_given_by_another(
    program: Caller, shop: Shop, login_url: str
) -> None:
    session, waiting = [(await program.start(shop.agent("hang-after-2")))["session_id"] for _ in range(2)]
    async with serving_apart(login_url, TRUNKLINE_TURNS_GRACE_SECONDS="0.5") as apart:
        assert apart.process is not None
        there = apart.caller(shop.key)
        unanswered = asyncio.create_task(there.say(waiting, "Hello", "k"))
        async with aclosing(there.stream(session, "Hello", "k")) as stream:
            opening = await anext(stream)
            await until(lambda: len(running(shop)) == 2)
            apart.process.send_signal(signal.SIGTERM)
            last = [event async for event in stream][-1]
        assert (last.name, last.data["code"], last.data["status"]) == ("error", "turn_died", 503)
        refused = await unanswered
        assert (refused.status_code, refused.json()["code"]) == (503, "turn_died")
        assert int(refused.headers["Retry-After"]) >= 1
        assert await apart.process.wait() == 0
    assert shop.turns(session) == shop.turns(waiting) == [("failed", 1)]
    shop.mend("lorem-2")
    answer = (await program.say(session, "Hello", "k")).json()
    assert (answer["turn_id"], answer["message"]["content"]) == (opening.data["turn_id"], "lorem ipsum ")
    assert [role for role, _, _ in shop.messages(session)] == ["user", "assistant"]


async def test_a_second_signal_does_not_wait(program: Caller, shop: Shop, login_url: str) -> None:
    session = (await program.start(shop.agent("hang-after-2")))["session_id"]
    async with serving_apart(login_url, TRUNKLINE_TURNS_GRACE_SECONDS="600") as apart:
        assert apart.process is not None
        async with aclosing(apart.caller(shop.key).stream(session, "Hello", "k")) as stream:
            await anext(stream)
            apart.process.send_signal(signal.SIGINT)
            await until(lambda: refuses_connections(apart))
            apart.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(20):
                await apart.process.wait()
    await until(lambda: not running(shop))


async def test_an_answer_waits_for_its_session_before_it_takes_its_turn(
    program: Caller, shop: Shop, owner_url: str
) -> None:
    """Who asks for the next turn holds the session and waits for this one's end: the other order would deadlock."""
    waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    session = (await program.start(shop.agent("lorem-9@100ms")))["session_id"]
    with psycopg.connect(owner_url) as admission:
        asking = asyncio.create_task(program.say(session, "Hello"))
        await program.running_turn(session)
        admission.execute("select 1 from public.agent_sessions for update")
        await until(lambda: shop.sql(waits))
        admission.execute("select 1 from public.agent_turns for update nowait")
    assert (await asking).status_code == 200
    assert shop.turns(session) == [("complete", 1)]
