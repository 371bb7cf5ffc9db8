"""Agent definitions and turns for tests of the runtime."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from trunkline.runtime import AgentDefinition, AgentRuntime, Finished, HistoryMessage, RuntimeEvent, TurnInput
from trunkline.runtime.events import TextDelta


def definition(provider: str = "scripted", model: str = "echo", **fields: Any) -> AgentDefinition:
    """A published agent named Ada."""
    defaults: dict[str, Any] = {"agent_id": uuid4(), "version": 1, "name": "Ada", "timeout_ms": 10_000}
    return AgentDefinition(**(defaults | fields), provider=provider, model=model)


def turn(*texts: str, api_key: str | None = None, variables: dict[str, str] | None = None) -> TurnInput:
    """A conversation in which the user and the assistant speak in turns, the user first."""
    history = [
        HistoryMessage("assistant" if index % 2 else "user", text) for index, text in enumerate(texts or ("Hello",))
    ]
    return TurnInput(history, SecretStr(api_key) if api_key is not None else None, variables or {})


async def take(runtime: AgentRuntime, agent: AgentDefinition, given: TurnInput) -> list[RuntimeEvent]:
    """Take a whole turn."""
    async with aclosing(runtime.stream(agent, given)) as events:
        return [event async for event in events]


async def ask(runtime: AgentRuntime, agent: AgentDefinition, given: TurnInput) -> Finished:
    """Take a whole turn; its end. What was streamed must be the whole answer."""
    *deltas, finished = await take(runtime, agent, given)
    assert isinstance(finished, Finished)
    assert finished.text == "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    return finished
