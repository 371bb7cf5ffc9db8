"""`trunkline serve`: when it serves, and when it refuses to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import httpx2
import pytest
from tests.factories.command import Command
from tests.factories.server import ready_url


async def test_it_refuses_what_would_not_be_safe_or_not_work(command: Command, owner_url: str) -> None:
    refuse = command.fails
    await refuse("serve", says="`trunkline db prepare`", TRUNKLINE_DATABASE_URL=owner_url)
    await refuse("serve", says="is too weak", TRUNKLINE_SECURITY_SECRET="secret")
    await refuse("serve", says="is too weak", TRUNKLINE_SECURITY_SECRET="a" * 64)
    await refuse("serve", says="TRUNKLINE_TURNS_LEASE_SECONDS", TRUNKLINE_TURNS_LEASE_SECONDS="0")
    for entry in ("http://models.internal", "10.1.2.3/16", "models.internal:99999", "models internal"):
        says = f"'{entry}' of TRUNKLINE_OUTGOING_ALLOW is not usable"
        await refuse("serve", says=says, TRUNKLINE_OUTGOING_ALLOW=f"10.0.0.0/8,{entry}")
    for address in ("models.example/v1", "https://models.example:x", "ftp://models.example"):
        await refuse("serve", says="TRUNKLINE_MODELS_OPENAI_BASE_URL", TRUNKLINE_MODELS_OPENAI_BASE_URL=address)
    await refuse("serve", says="does not answer", TRUNKLINE_DATABASE_URL="postgresql://a:b@127.0.0.1:1/c")
    await refuse("serve", says="is not an address of this machine", TRUNKLINE_HOST="no.such.host.invalid")
    bare = {name: value for name, value in command.settings.items() if not name.startswith("TRUNKLINE_SECURITY")}
    await Command(bare, command.folder).fails("serve", says="TRUNKLINE_SECURITY_SECRET is not set")
    await Command({}, command.folder).fails("serve", says="TRUNKLINE_DATABASE_URL is not set")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        await refuse("serve", says=f"Port {port} on 127.0.0.1 is taken", TRUNKLINE_PORT=port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_all_of_the_foreground_ends_it_well(command: Command, number: signal.Signals) -> None:
    process = await command.start("serve")
    try:
        url = await ready_url(process)
        async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/healthz")).status_code == 200
        os.killpg(process.pid, number)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
