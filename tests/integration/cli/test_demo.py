"""`trunkline demo`, from an empty folder to an answer, and again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from tests.factories.command import Command
from tests.factories.server import Caller, ready_url, until

from trunkline.db.safety import check_login
from trunkline.postgres.embedded import EmbeddedServer

MODEL = "trunkline.runtime.local_model"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that every account can enter; its database is stopped at the end."""
    made = Path(tempfile.mkdtemp(prefix="trunkline-demo-"))
    made.chmod(0o755)
    yield made
    EmbeddedServer(made).stop()
    shutil.rmtree(made, ignore_errors=True)  # whoever looked after the database may be clearing up as well


@asynccontextmanager
async def demo(folder: Path, **settings: str) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """A demo on this folder: its process and its address."""
    process = await Command({"TRUNKLINE_DATA_DIR": str(folder)}, folder).start("demo", **settings)
    try:
        yield process, await ready_url(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> str:
    """Send a signal to all of the foreground, as a terminal does; what was said on stderr."""
    os.killpg(process.pid, number)
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    assert process.stderr is not None
    return (await process.stderr.read()).decode()


def facts_of(folder: Path) -> dict[str, Any]:
    """What the demo wrote down."""
    return json.loads((folder / "demo.json").read_text())


def processes(*words: str) -> list[int]:
    """Processes whose command line or environment has these words."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue  # it has just ended, or isn't ours
        if all(word.encode() in text for word in words):
            found.append(int(entry.name))
    return found


def children(pid: int) -> list[int]:
    """Processes that this one started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_demo_starts_answers_ends_and_starts_again(folder: Path) -> None:
    async with demo(folder) as (process, url):
        facts = facts_of(folder)
        assert stat.S_IMODE((folder / "demo.json").stat().st_mode) == 0o600
        assert sorted(facts) == ["agents", "api_key", "base_url", "database_url", "organization_id"]
        assert facts["base_url"] == url
        port = url.rpartition(":")[2]
        assert [agent["slug"] for agent in facts["agents"]] == ["bakery", "clinic"]
        for agent, hosts in zip(facts["agents"], (["127.0.0.1"], ["localhost"]), strict=True):
            assert agent["websites"][:1] == [f"{host}:{port}" for host in hosts]
        check_login(facts["database_url"])
        async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
            program = Caller(http, {"Authorization": f"Bearer {facts['api_key']}"})
            bakery = facts["agents"][0]
            session = await program.start(bakery["id"], website_domain=bakery["websites"][0])
            answer = (await program.say(session["session_id"], "When do you open?")).json()
            assert answer["status"] == "complete", answer
            assert answer["message"]["content"]
            draft = {"name": "Still thinking", "first_message": "Not yet"}
            await program.ask("PATCH", f"/v1/agents/{bakery['id']}", draft)
        model = [child for child in children(process.pid) if child in processes(MODEL)]
        assert len(model) == 1
        said = await ended(process, signal.SIGINT)
        assert "ended with status" not in said
        assert "Traceback" not in said
        assert not [pid for pid in model if pid in processes(MODEL)]
    async with demo(folder) as (process, url):
        again = facts_of(folder)
        assert again["base_url"] == url
        for name in ("organization_id", "api_key"):
            assert again[name] == facts[name]
        assert [agent["id"] for agent in again["agents"]] == [agent["id"] for agent in facts["agents"]]
        async with demo(folder) as (twin, twin_url):  # on the same data: it shares the database
            assert facts_of(folder)["organization_id"] == facts["organization_id"]
            async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
                for base in (again["base_url"], twin_url):
                    body, origin = {"agent_id": again["agents"][0]["id"]}, {"Origin": base}
                    started = await http.post(f"{base}/v1/sessions", json=body, headers=origin)
                    assert started.status_code == 201, started.text
                    assert started.json()["agent"]["name"] == "Corner Bakery"
                program = Caller(http, {"Authorization": f"Bearer {facts['api_key']}"})
                edited = await program.ask("GET", f"{url}/v1/agents/{body['agent_id']}")
                assert (edited["name"], edited["first_message"]) == ("Still thinking", "Not yet")
                assert set(again["agents"][0]["websites"]) <= set(edited["allowed_domains"])
            assert facts_of(folder)["base_url"] == twin_url
            await ended(twin, signal.SIGTERM)
        assert facts_of(folder) == again  # this one still runs
        taken = Command({"TRUNKLINE_DATA_DIR": str(folder)}, folder)
        await taken.fails("demo", says="is taken", TRUNKLINE_PORT=again["base_url"].rpartition(":")[2])
        await ended(process, signal.SIGTERM)
    assert facts_of(folder) == again  # nobody does: the last one's stay
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(facts["database_url"], connect_timeout=2)


async def test_two_at_once_on_a_fresh_folder_and_one_elsewhere(folder: Path) -> None:
    async def one(where: Path) -> tuple[int, str]:
        async with demo(where) as (process, _):
            facts = facts_of(where)
            await asyncio.sleep(0.5)
            await ended(process, signal.SIGINT)
        return process.pid, facts["organization_id"]

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    try:
        found = await asyncio.gather(one(folder), one(folder), one(elsewhere))
    finally:
        EmbeddedServer(elsewhere).stop()
    assert found[0][1] == found[1][1] != found[2][1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_early_signal_ends_it_quietly(folder: Path, number: signal.Signals) -> None:
    process = await Command({"TRUNKLINE_DATA_DIR": str(folder)}, folder).start("demo")
    try:
        await until((folder / "secrets.json").exists)
        assert "Traceback" not in await ended(process, number)
        assert not (folder / "demo.json").exists()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
