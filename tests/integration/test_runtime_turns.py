"""Turns through the real graph, with the scripted provider."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.factories.agents import ask, definition, take, turn
from tests.factories.loopback import Request, respond, serve

from trunkline.errors import ProviderFailed
from trunkline.runtime import AgentRuntime, ProviderRegistry, TextDelta
from trunkline.runtime.providers.scripted import ScriptedProvider

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def runtime() -> AsyncGenerator[AgentRuntime]:
    runtime = AgentRuntime(ProviderRegistry({"scripted": ScriptedProvider}))
    yield runtime
    await runtime.close()


async def test_an_answer_streams_and_ends_with_its_usage(runtime: AgentRuntime) -> None:
    agent = definition(system_prompt="You are {{who}}.", variables={"who": "kind"})
    events = await take(runtime, agent, turn("one two"))
    assert events[:2] == [TextDelta("one "), TextDelta("two")]
    finished = await ask(runtime, agent, turn("one two"))
    assert (finished.text, finished.input_tokens, finished.output_tokens) == ("one two", 5, 2)
    assert (finished.model, finished.finish_reason, finished.estimated) == ("echo", "stop", False)
    assert 0 <= finished.first_token_ms <= finished.latency_ms


async def test_the_model_is_given_the_prompt_and_the_whole_history(runtime: AgentRuntime) -> None:
    agent = definition(model="transcript", system_prompt="Be {{how}}.")
    finished = await ask(runtime, agent, turn("a", "b", "c", variables={"how": "brief"}))
    assert finished.text == "system: Be brief.\nhuman: a\nai: b\nhuman: c"


@pytest.mark.parametrize(
    ("model", "deltas", "sentence"),
    [
        ("fail-before-first", 0, "got no whole answer"),
        ("fail-after-3", 3, "got no whole answer"),
        ("empty", 0, "got an empty answer"),
        ("hang", 0, "said nothing for 0.05 s"),
        ("hang-after-2", 2, "fell silent in the middle"),
        ("gpt-4o-mini", 0, "no behavior 'gpt-4o-mini'"),
    ],
)
async def test_a_failure_comes_after_what_was_already_said(
    runtime: AgentRuntime, model: str, deltas: int, sentence: str
) -> None:
    seen: list[object] = []
    with pytest.raises(ProviderFailed, match=sentence):
        async with aclosing(runtime.stream(definition(model=model, timeout_ms=50), turn("Hi"))) as events:
            async for event in events:
                seen.append(event)  # noqa: PERF401  what was seen before the error counts
    assert len(seen) == deltas


async def test_steady_tokens_may_take_longer_together_than_one_silence(runtime: AgentRuntime) -> None:
    finished = await ask(runtime, definition(model="lorem-30@20ms", timeout_ms=400), turn("Hi"))
    assert finished.output_tokens == 30


async def test_an_unknown_provider_is_named_and_none_is_taken_instead(runtime: AgentRuntime) -> None:
    with pytest.raises(ProviderFailed, match=r"'acme', which this server does not know\. Choose one of: scripted\."):
        await take(runtime, definition(provider="acme"), turn("Hi"))


async def test_fifty_turns_at_once_share_one_graph_and_no_word(runtime: AgentRuntime) -> None:
    agent = definition(model="transcript@1ms", system_prompt="You serve {{customer}}.")

    async def one(index: int) -> None:
        canary = f"canary-{index}-{os.urandom(4).hex()}"
        given = turn(f"first {canary}", f"second {canary}", f"third {canary}", variables={"customer": canary})
        finished = await ask(runtime, agent, given)
        assert finished.text == (
            f"system: You serve {canary}.\nhuman: first {canary}\nai: second {canary}\nhuman: third {canary}"
        )

    await asyncio.gather(*(one(index) for index in range(50)))
    assert len(runtime.cached_versions) == 1


async def test_a_graph_is_kept_for_each_version_and_for_no_draft(runtime: AgentRuntime) -> None:
    agent = definition(model="transcript", system_prompt="v1")
    draft = replace(agent, version=0, system_prompt="draft")
    for version in (agent, replace(agent, version=2, system_prompt="v2"), draft, replace(draft, system_prompt="later")):
        finished = await ask(runtime, version, turn("Hi"))
        assert finished.text.startswith(f"system: {version.system_prompt}\n")
    assert set(runtime.cached_versions) == {(agent.agent_id, 1), (agent.agent_id, 2)}


async def test_the_graph_used_longest_ago_is_dropped(runtime: AgentRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.runtime.agent.MAX_CACHED_GRAPHS", 2)
    first, second, third = definition(), definition(), definition()
    for agent in (first, second, first, third):
        await ask(runtime, agent, turn("Hi"))
    assert [agent_id for agent_id, _ in runtime.cached_versions] == [first.agent_id, third.agent_id]


async def test_leaving_a_turn_stops_the_model(runtime: AgentRuntime) -> None:
    await ask(runtime, definition(), turn("warm"))
    before = asyncio.all_tasks()
    async with aclosing(runtime.stream(definition(model="hang-after-1"), turn("Hi"))) as events:
        async for _ in events:
            break
    assert asyncio.all_tasks() == before


async def test_cancelling_a_turn_stops_the_model(runtime: AgentRuntime) -> None:
    await ask(runtime, definition(), turn("warm"))
    before = asyncio.all_tasks()
    taking = asyncio.create_task(take(runtime, definition(model="hang"), turn("Hi")))
    await asyncio.sleep(0.05)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert asyncio.all_tasks() == before


def test_importing_the_runtime_loads_no_graph_library() -> None:
    script = (
        "import sys, trunkline.runtime\n"
        "slow = ('langchain', 'langgraph', 'langsmith', 'openai', 'httpx2', 'xllamacpp')\n"
        "print([name for name in sys.modules if name.partition('.')[0].partition('_')[0] in slow])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


async def test_no_turn_is_traced_whatever_the_environment_says() -> None:
    """A tracing service of our own listens; with tracing left on, it would be told the whole turn."""

    async def handler(_request: Request, writer: asyncio.StreamWriter) -> None:
        await respond(writer, 200, b"{}")

    script = """
import asyncio, sys
from tests.factories.agents import ask, definition, turn
from trunkline.runtime import AgentRuntime, ProviderRegistry
from trunkline.runtime.providers.scripted import ScriptedProvider
if sys.argv[1] == "control":
    import trunkline.runtime.graph
    trunkline.runtime.graph.disable_tracing = lambda: None
runtime = AgentRuntime(ProviderRegistry({"scripted": ScriptedProvider}))
answer = asyncio.run(ask(runtime, definition(), turn("Hi there")))
from langchain_core.tracers.langchain import wait_for_all_tracers
wait_for_all_tracers()
print(answer.text)
"""

    async def run(mode: str, *names: str) -> int:
        async with serve(handler) as server:
            environment = os.environ | dict.fromkeys(names, "true")
            environment |= {"LANGSMITH_ENDPOINT": f"http://127.0.0.1:{server.port}", "LANGSMITH_API_KEY": "k"}
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script, mode), cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await asyncio.wait_for(child.communicate(), 60)
            assert output.decode().strip() == "Hi there"
            return len(server.requests)

    everything = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING")
    assert await run("as it is", *everything) == 0
    assert await run("control", "LANGSMITH_TRACING") > 0
