"""The database goes away and comes back: nobody restarts the server, and no answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from tests.factories.proxy import Wire, wire_to
from tests.factories.server import Caller, Served, Shop, serving, until


@pytest.fixture
async def wired(login_url: str) -> AsyncGenerator[tuple[Wire, Served]]:
    """A server whose database is at the end of a wire."""
    async with wire_to(login_url) as (wire, url), serving(url) as served:
        yield wire, served


async def back(served: Served) -> None:
    """Wait until the server says that it is ready."""

    async def is_ready() -> bool:
        return (await served.http.get("/readyz")).status_code == 200

    await until(is_ready)


async def test_what_is_asked_meanwhile_gets_503_and_nothing_is_half_done(
    wired: tuple[Wire, Served], shop: Shop
) -> None:
    wire, served = wired
    program = served.caller(shop.key)
    session = (await program.start(shop.agent()))["session_id"]
    await back(served)
    await wire.cut()
    for method, path, body in (
        ("GET", f"/v1/sessions/{session}", None),
        ("GET", "/v1/agents", None),
        ("POST", f"/v1/sessions/{session}/messages", {"content": "Hello"}),
        ("POST", f"/v1/sessions/{session}/messages", {"content": "Hello", "stream": True}),
    ):
        refused = await program.call(method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable"), path
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["Retry-After"]) >= 1
    ready = await served.http.get("/readyz")
    assert (ready.status_code, "Retry-After" in ready.headers) == (503, True)
    assert (await served.http.get("/healthz")).status_code == 200
    assert shop.messages(session) == []
    await wire.mend()
    await back(served)
    assert (await program.say(session, "Hello")).status_code == 200
    assert [role for role, _, _ in shop.messages(session)] == ["user", "assistant"]


async def test_connections_that_broke_in_the_pool_are_not_noticed(wired: tuple[Wire, Served], shop: Shop) -> None:
    wire, served = wired
    program = served.caller(shop.key)
    session = (await program.start(shop.agent()))["session_id"]
    await asyncio.gather(*(program.messages(session) for _ in range(5)))  # the pool is full
    await wire.break_connections()
    answers = await asyncio.gather(*(program.call("GET", f"/v1/sessions/{session}") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    shop.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert (await program.say(session, "Hello")).status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_an_answer_given_while_it_is_away_is_stored_when_it_is_back(
    wired: tuple[Wire, Served], shop: Shop, *, stream: bool
) -> None:
    wire, served = wired
    program = served.caller(shop.key)
    session = (await program.start(shop.agent("lorem-20@30ms")))["session_id"]

    async def ask() -> dict[str, object]:
        if not stream:
            return (await program.say(session, "Hello", "k")).json()
        return [event async for event in program.stream(session, "Hello", "k")][-1].data

    asking = asyncio.create_task(ask())
    await until(lambda: shop.sql("select 1 from public.agent_turns where answer_offset > 0"))
    await wire.cut()
    await asyncio.sleep(1.5)  # the model has said all by now
    assert not asking.done()
    await wire.mend()
    answer = await asking
    assert answer["status"] == "complete"
    assert shop.turns(session) == [("complete", 1)]
    assert [status for _, _, status in shop.messages(session)] == ["complete", "complete"]
    assert (await program.say(session, "Hello", "k")).json() == answer


async def test_an_answer_outlives_an_outage_that_is_longer_than_its_lease(
    wired: tuple[Wire, Served], shop: Shop
) -> None:
    wire, served = wired
    program = served.caller(shop.key)
    session = (await program.start(shop.agent("lorem-60@60ms")))["session_id"]
    async with aclosing(program.stream(session, "Hello", "k")) as stream:
        await anext(stream)
        await wire.cut()
        await until(lambda: shop.sql("select 1 from public.agent_turns where lease_until < now() - interval '1 s'"))
        await wire.mend()
        last = [event async for event in stream][-1]
    assert (last.name, last.data["status"]) == ("done", "complete")
    assert shop.turns(session) == [("complete", 1)]


async def test_a_stream_on_a_server_without_database_is_cut_and_goes_on_elsewhere(
    wired: tuple[Wire, Served], shop: Shop, program: Caller
) -> None:
    wire, served = wired
    session = (await program.start(shop.agent("lorem-30@60ms")))["session_id"]
    asking = asyncio.create_task(program.say(session, "Hello", "k"))
    turn = await program.running_turn(session)
    seen: list[tuple[str, str]] = []
    async for event in served.caller(shop.key).follow(session, turn):
        seen.append((event.id, event.data.get("text", "")))
        if len(seen) == 2:
            await wire.cut()
    assert seen[-1][0].rpartition(":")[2].isdecimal()  # neither done nor error: it was cut
    rest = [event async for event in program.follow(session, turn, seen[-1][0])]
    text = "".join(piece for _, piece in seen) + "".join(event.data.get("text", "") for event in rest)
    assert text == rest[-1].data["message"]["content"]
    assert (await asking).json() == rest[-1].data
