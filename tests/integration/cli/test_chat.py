"""`trunkline chat`, against a server that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from tests.factories.command import Command
from tests.factories.server import Served, Shop, serving, until


@pytest.fixture
async def served(login_url: str) -> AsyncGenerator[Served]:
    """The server."""
    async with serving(login_url) as served:
        yield served


@pytest.fixture
def here(served: Served, shop: Shop) -> tuple[str, ...]:
    """The options that say where and who."""
    return ("--url", served.url, "--key", shop.key)


async def test_one_message_gets_its_answer(command: Command, shop: Shop, here: tuple[str, ...]) -> None:
    shop.agent("lorem-3", slug="ada", first_message="[bold]Hi[/there]", name="[red]Ada[/x]")
    shown = await command.works("chat", "ada", "-m", "Hello", *here)
    assert "agent> lorem ipsum dolor" in shown
    assert "3 tokens" in shown
    assert "[bold]Hi[/there]" in shown


async def test_a_conversation_goes_on_until_the_input_ends(command: Command, shop: Shop, here: tuple[str, ...]) -> None:
    shop.agent("echo", slug="ada")
    shown = await command.works("chat", "ada", *here, typed="one\ntwo \x1b[31mred\n")
    assert "agent> one" in shown
    assert "agent> two [31mred" in shown  # a terminal obeys no model
    ((handle,),) = shop.sql("select session_id from public.agent_sessions")
    assert "agent> three" in await command.works("chat", "-m", "three", "--session", handle, *here)
    assert len(shop.messages(handle)) == 6


async def test_what_fails_is_said(command: Command, shop: Shop, here: tuple[str, ...], served: Served) -> None:
    shop.agent("fail-after-2", slug="ada")
    ran = await command.run("chat", "ada", "-m", "Hello", *here)
    assert ran.status == 1
    assert "The script 'fail-after' fails here" in ran.err
    await command.fails("chat", "bob", "-m", "Hello", *here, says="no agent 'bob' here. There are: ada")
    await command.fails("chat", "-m", "Hello", "--url", served.url, "--key", "tl_x", says="unknown, revoked or expired")
    await command.fails("chat", "-m", "Hello", "--url", "http://127.0.0.1:1", "--key", "x", says="No server answers")
    await command.fails("chat", "-m", "Hello", says="No server is known")
    await command.fails("chat", "-m", "x", "--session", "ses_x", *here, says="There is no such session")


async def test_the_demos_facts_are_found(command: Command, shop: Shop, served: Served) -> None:
    agent = shop.agent("echo", slug="ada")
    facts = {
        "base_url": served.url,
        "api_key": shop.key,
        "agents": [{"id": str(agent), "slug": "ada", "websites": ["shop.example"]}],
    }
    (command.folder / "demo.json").write_text(json.dumps(facts))
    assert "agent> Hello" in await command.works("chat", "-m", "Hello")


async def test_ctrl_c_stops_the_answer_too(command: Command, shop: Shop, here: tuple[str, ...]) -> None:
    shop.agent("hang-after-2", slug="ada")
    process = await command.start("chat", "ada", "-m", "Hello", *here)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readuntil(b"ipsum")
        process.send_signal(2)
        async with asyncio.timeout(20):
            assert await process.wait() != 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    ((handle,),) = shop.sql("select session_id from public.agent_sessions")
    await until(lambda: shop.turns(handle) == [("cancelled", 1)])
    assert shop.messages(handle)[1] == ("assistant", "lorem ipsum ", "interrupted")
