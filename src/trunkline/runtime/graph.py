"""The agent's graph. The one place that knows LangGraph; import it only when the server already listens (it is slow).

    compose → model → END

Each step is a node, so that a guard, retrieval and tools become further nodes. A graph belongs to one agent version
and holds nothing of a request: that comes with each run, as state and context. There is no checkpointer: what must
outlive a turn is written by the caller, in its own transaction.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import langsmith
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import SecretStr

from trunkline.errors import ProviderFailed
from trunkline.runtime.definition import AgentDefinition, HistoryMessage, TurnInput
from trunkline.runtime.events import Finished, TextDelta
from trunkline.runtime.providers import Provider

ANSWER_LIMIT_S = 600.0
"""Longest time of one whole answer, however steadily it drips, in seconds."""

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]{0,63})\s*\}\}")
_MESSAGE_TYPES: Mapping[str, type[BaseMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
}
_CHARACTERS_PER_TOKEN = 4  # of English text, for the usual vocabularies


class TurnStart(TypedDict):
    """What a run starts with."""

    turn: TurnInput


class TurnState(TurnStart):
    """What flows from node to node."""

    messages: list[BaseMessage]
    answer: Finished


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What one run brings beside its state."""

    emit: Callable[[TextDelta], None]
    """Passes a piece of the answer on, at once."""
    api_key: SecretStr | None
    started_at: float
    """`time.monotonic()` at the start of the turn."""


def disable_tracing() -> None:
    """Make sure that no conversation is sent to a tracing service, whatever the environment says."""
    langsmith.configure(enabled=False)
    # LangChain refuses every run while one of these switches of its first tracer is set.
    for name in ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER"):
        os.environ.pop(name, None)


class AgentGraph:
    """The compiled graph of one agent version. Any number of turns may run through it at the same time."""

    def __init__(self, definition: AgentDefinition, provider: Provider) -> None:
        self._definition = definition
        self._provider = provider
        self._compiled = self._compile()

    async def answer(self, turn: TurnInput, context: TurnContext) -> Finished:
        """Run one turn; pieces of text go to `context.emit` as they come.

        Raises:
            ProviderFailed: as `AgentRuntime.stream`.
        """
        state = await self._compiled.ainvoke({"turn": turn}, context=context)  # pyright: ignore[reportUnknownMemberType]  LangGraph leaves type parameters open
        return cast("TurnState", state)["answer"]

    def _compile(self) -> CompiledStateGraph[TurnState, TurnContext, TurnStart, TurnState]:
        graph = StateGraph(TurnState, context_schema=TurnContext, input_schema=TurnStart)
        graph.add_node("compose", self._compose)  # pyright: ignore[reportUnknownMemberType]  as above
        graph.add_node("model", self._model)  # pyright: ignore[reportUnknownMemberType]  as above
        graph.add_edge(START, "compose")
        graph.add_edge("compose", "model")
        graph.add_edge("model", END)
        return graph.compile()  # pyright: ignore[reportUnknownMemberType]  as above

    async def _compose(self, state: TurnState) -> dict[str, list[BaseMessage]]:
        return {"messages": compose_messages(self._definition, state["turn"])}

    async def _model(self, state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Finished]:
        return {"answer": await _ask_model(self._definition, self._provider, state["messages"], runtime.context)}


def compose_messages(definition: AgentDefinition, turn: TurnInput) -> list[BaseMessage]:
    """The system prompt, its variables filled in, and the history, as the model is given them."""
    prompt = fill_variables(definition.system_prompt, {**definition.variables, **turn.variables})
    messages: list[BaseMessage] = [SystemMessage(prompt)] if prompt else []
    messages.extend(_to_message(message) for message in turn.history)
    return messages


def fill_variables(text: str, variables: Mapping[str, str]) -> str:
    """Replace each `{{name}}` by its value, once: a value is never read as a template. Unknown names stay."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def estimate_tokens(characters: int) -> int:
    """About how many tokens a text of this length has; at least 1."""
    return max(1, round(characters / _CHARACTERS_PER_TOKEN))


def _to_message(message: HistoryMessage) -> BaseMessage:
    return _MESSAGE_TYPES[message.role](content=message.content)


@dataclass(slots=True)
class _Answer:
    """Collects the chunks of one answer."""

    pieces: list[str]
    usage: Mapping[str, int] | None = None
    model: str | None = None
    finish_reason: str | None = None
    first_token_at: float | None = None

    def add(self, chunk: ChatGenerationChunk) -> str:
        """Take a chunk in; returns its text."""
        message = chunk.message
        usage = getattr(message, "usage_metadata", None)
        if usage:
            self.usage = usage
        if chunk.generation_info:
            self.finish_reason = chunk.generation_info.get("finish_reason") or self.finish_reason
            self.model = chunk.generation_info.get("model_name") or self.model
        content = message.content
        text = content if isinstance(content, str) else str(message.text)
        if text:
            if self.first_token_at is None:
                self.first_token_at = time.monotonic()
            self.pieces.append(text)
        return text


async def _ask_model(
    definition: AgentDefinition, provider: Provider, messages: list[BaseMessage], context: TurnContext
) -> Finished:
    answer = _Answer([])
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await _stream_answer(definition, provider, messages, context, answer)
    except ProviderFailed:
        raise
    except TimeoutError:
        raise ProviderFailed(_timeout_sentence(definition, answer)) from None
    except Exception as error:  # noqa: BLE001  a provider's libraries raise anything; each becomes a sentence
        raise provider.explain(definition, error, context.api_key) from None  # its text may hold a secret
    return _finish(definition, messages, context, answer)


async def _stream_answer(
    definition: AgentDefinition,
    provider: Provider,
    messages: list[BaseMessage],
    context: TurnContext,
    answer: _Answer,
) -> None:
    loop = asyncio.get_running_loop()
    silence_s = definition.timeout_ms / 1000
    model = await provider.chat_model(definition, context.api_key)
    async with asyncio.timeout(silence_s) as deadline:
        async for chunk in _chunks(model, messages):
            deadline.reschedule(loop.time() + silence_s)
            text = answer.add(chunk)
            if text:
                context.emit(TextDelta(text))


def _chunks(model: BaseChatModel, messages: list[BaseMessage]) -> AsyncIterator[ChatGenerationChunk]:
    # The method that every chat model implements. The public `astream` around it runs callbacks and a tracer, and
    # merges all chunks again: 20 microseconds of CPU for each token inside a graph, for nothing that is used here.
    return model._astream(messages)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _timeout_sentence(definition: AgentDefinition, answer: _Answer) -> str:
    who = f"Agent '{definition.name}' got no answer: {definition.provider} model '{definition.model[:60]}'"
    seconds = f"{definition.timeout_ms / 1000:g} s"
    if answer.first_token_at is None:
        return f"{who} said nothing for {seconds}. Try again, or raise the agent's llm_timeout_ms."
    return (
        f"{who} fell silent in the middle of its answer, or took too long (limits: {seconds} of silence, 10 minutes)."
    )


def _finish(
    definition: AgentDefinition, messages: Sequence[BaseMessage], context: TurnContext, answer: _Answer
) -> Finished:
    text = "".join(answer.pieces)
    who = f"{definition.provider} model '{definition.model[:60]}'"
    if answer.finish_reason is None:
        raise ProviderFailed(
            f"Agent '{definition.name}' got no whole answer: {who} broke off after {len(text)} characters. Try again."
        )
    if not text or answer.first_token_at is None:
        raise ProviderFailed(
            f"Agent '{definition.name}' got an empty answer from {who} (finish reason: {answer.finish_reason[:40]}). "
            "Rephrase the message, or raise the agent's max_tokens."
        )
    estimated = answer.usage is None
    usage = answer.usage or _estimate_usage(messages, text)
    return Finished(
        text=text,
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        estimated=estimated,
        model=answer.model or definition.model,
        finish_reason=answer.finish_reason,
        latency_ms=round((time.monotonic() - context.started_at) * 1000),
        first_token_ms=round((answer.first_token_at - context.started_at) * 1000),
    )


def _estimate_usage(messages: Sequence[BaseMessage], text: str) -> Mapping[str, int]:
    prompt = sum(len(str(message.text)) for message in messages)
    return {"input_tokens": estimate_tokens(prompt), "output_tokens": estimate_tokens(len(text))}
