"""The database goes away and comes back: nobody restarts the server, and no answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from tests.factories.problems import assert_problem
from tests.factories.proxy import Wire, wire_to
from tests.factories.server import ORIGIN, Caller, Served, Shop, serving, settings_for, until

from trunkline.settings import DatabaseSettings


@pytest.fixture
async def wired(login_url: str) -> AsyncGenerator[tuple[Wire, Served]]:
    """A server whose database is at the end of a wire."""
    async with wire_to(login_url) as (wire, url), serving(url) as served:
        yield wire, served


@pytest.fixture
async def impatient(login_url: str) -> AsyncGenerator[tuple[Wire, Served]]:
    """As `wired`, with a server that soon gives a silent database up."""
    database = DatabaseSettings(pool_size=3, statement_timeout_ms=500, answer_grace_seconds=0.5, pool_timeout_seconds=5)
    settings = settings_for().model_copy(update={"database": database})
    async with wire_to(login_url) as (wire, url), serving(url, settings) as served:
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


async def test_a_database_that_only_says_nothing_is_given_up(impatient: tuple[Wire, Served], shop: Shop) -> None:
    """Connections stay open, as those of a stopped server do: nothing but the clock tells."""
    wire, served = impatient
    program = served.caller(shop.key)
    session = (await program.start(shop.agent()))["session_id"]
    visitor = served.caller(Origin=ORIGIN)
    made = await visitor.ask("POST", "/v1/sessions", {"agent_id": str(shop.agent())})
    me = served.caller(made["token"], Origin=ORIGIN)
    await back(served)
    wire.freeze()
    async with asyncio.timeout(60):  # it would hang for ever, not long
        ready = await served.http.get("/readyz")
        assert (ready.status_code, ready.json()["runtime"]) == (503, "ok")
        for caller, method, path, body in (
            (program, "GET", f"/v1/sessions/{session}", None),
            (me, "GET", f"/v1/sessions/{made['session_id']}", None),
            (program, "POST", f"/v1/sessions/{session}/messages", {"content": "Hello"}),
            (me, "POST", f"/v1/sessions/{made['session_id']}/messages", {"content": "Hello", "stream": True}),
            (program, "POST", "/v1/agents", {"name": "Ada"}),
        ):
            refused = await caller.call(method, path, body)
            assert_problem(refused, 503, "database_unavailable", says="nothing was written")
    wire.thaw()
    await back(served)
    assert shop.messages(session) == []
    assert (await program.say(session, "Hello")).status_code == 200
    assert (await me.say(made["session_id"], "Hello")).status_code == 200


async def test_a_request_whose_client_has_gone_does_not_keep_a_silent_connection(
    impatient: tuple[Wire, Served], shop: Shop
) -> None:
    """The driver then asks the server to cancel, and waits for that."""
    wire, served = impatient
    program = served.caller(shop.key)
    session = (await program.start(shop.agent()))["session_id"]
    await back(served)
    wire.freeze()
    leaving = [asyncio.create_task(program.messages(session)) for _ in range(6)]
    await asyncio.sleep(0.2)
    for task in leaving:
        task.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait(leaving)
        assert_problem(await program.call("GET", "/v1/agents"), 503, "database_unavailable")
    wire.thaw()
    await back(served)
    assert await asyncio.gather(*(program.messages(session) for _ in range(3))) == [[], [], []]


async def test_it_is_not_said_that_nothing_was_written_where_nobody_knows(
    impatient: tuple[Wire, Served], shop: Shop
) -> None:
    wire, served = impatient
    program = served.caller(shop.key)
    await program.ask("GET", "/v1/agents")
    wire.freeze(after=b"COMMIT")
    async with asyncio.timeout(60):
        refused = await program.call("POST", "/v1/agents", {"name": "Ada"})
    problem = assert_problem(refused, 503, "database_unavailable", says="may be stored, or not")
    assert "nothing was written" not in problem["detail"].lower()
    await until(lambda: shop.sql("select 1 from public.agents where name = 'Ada'"))  # here it was
    wire.thaw()
