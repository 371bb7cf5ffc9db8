"""The bundled model: it always answers, without key or network, and it is tiny."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr
from typing_extensions import override

from trunkline.errors import ProviderFailed, SetupError
from trunkline.runtime.definition import AgentDefinition
from trunkline.runtime.local_model import CONTEXT_TOKENS, MODEL_NAME, find_weights
from trunkline.runtime.providers.openai_protocol import explain, protocol_model
from trunkline.runtime.supervisor import LocalModelSupervisor, LocalServer

MOST_ANSWER_TOKENS = 512
"""Longest answer of the bundled model, whatever the agent's `max_tokens`: it repeats itself long before."""
DEFAULT_TEMPERATURE = 0.2
"""For agents that leave it to the provider; a tiny model strays at more."""

_TOKENS_AROUND_MESSAGE = 8  # role, line breaks and the two markers of its chat template
_TOKENS_OF_TEMPLATE = 40  # the start of the answer, and the template's own system prompt where there is none
_SAMPLING = {"repeat_penalty": 1.05, "min_p": 0.1}  # against its two habits, repetition and rare words
_MARKER = re.compile(r"<\|(?=\w+\|>)")

Fit = Callable[[list[BaseMessage]], Awaitable[list[BaseMessage]]]


class FittedChatModel(ChatOpenAI):
    """Shortens the conversation to what the model can read."""

    fit: Fit = Field(exclude=True)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        fitting = await self.fit(messages)
        async for chunk in super()._astream(fitting, stop, run_manager, **kwargs):
            yield chunk


class LocalProvider:
    """Answers by the bundled model, in a process of its own."""

    def __init__(self, supervisor: LocalModelSupervisor | None = None) -> None:
        self._supervisor = supervisor or LocalModelSupervisor()

    async def start(self) -> None:
        """Start the process, if it doesn't run yet.

        Raises:
            ProviderFailed: it is not installed, or cannot be started.
        """
        await self._server()

    async def chat_model(self, definition: AgentDefinition, api_key: SecretStr | None) -> BaseChatModel:  # noqa: ARG002  the protocol's parameter; the bundled model needs no key
        """The bundled model, its process running.

        Raises:
            ProviderFailed: another model is named, or the bundled one is not installed or cannot be started.
        """
        if definition.model != MODEL_NAME:
            raise ProviderFailed(
                f"The provider local has no model '{definition.model[:60]}'. "
                f"Set the agent's llm_model to '{MODEL_NAME}', or choose another provider."
            )
        server = await self._server()
        answer_tokens = min(definition.max_tokens, MOST_ANSWER_TOKENS)

        async def fit(messages: list[BaseMessage]) -> list[BaseMessage]:
            return await fit_messages(messages, CONTEXT_TOKENS - answer_tokens, lambda text: _count(server, text))

        model = protocol_model(
            FittedChatModel,
            definition,
            base_url=f"{server.base_url}/v1",
            api_key=server.api_key,
            client=server.client,
            extra_body={"max_tokens": answer_tokens, **_SAMPLING},
            fit=fit,
        )
        if definition.temperature is None:
            model.temperature = DEFAULT_TEMPERATURE
        return model

    def explain(self, definition: AgentDefinition, error: Exception, api_key: SecretStr | None) -> ProviderFailed:
        """One bounded sentence about `error`."""
        who = f"Agent '{definition.name}' got no whole answer: the bundled model"
        is_late = isinstance(error, openai.APITimeoutError)
        if isinstance(error, openai.APIConnectionError | httpx2.NetworkError | httpx2.ProtocolError) and not is_late:
            return ProviderFailed(f"{who} broke off, and its process is being started again. Try again.")
        return explain(who, error, api_key)

    async def close(self) -> None:
        """End the process."""
        await self._supervisor.close()

    async def _server(self) -> LocalServer:
        try:
            find_weights()
        except SetupError as missing:
            raise ProviderFailed(missing.detail) from None
        return await self._supervisor.server()


async def fit_messages(
    messages: list[BaseMessage], room: int, count: Callable[[str], Awaitable[int]]
) -> list[BaseMessage]:
    """Leave out the oldest messages until the rest fits into `room` tokens, by the model's own count of them.

    System messages and the last message always stay. The chat template's own markers are defused in every text, so
    that nobody can write a message in another's name.

    Raises:
        ProviderFailed: what must stay does not fit.
    """
    messages = [message.model_copy(update={"content": _defuse(str(message.text))}) for message in messages]
    if sum(len(str(message.text).encode()) + _TOKENS_AROUND_MESSAGE for message in messages) <= room:
        return messages  # a token is one byte at least
    room -= _TOKENS_OF_TEMPLATE
    kept: set[int] = set()
    must_stay = [index for index, message in enumerate(messages) if message.type == "system"]
    must_stay.append(len(messages) - 1)
    for index in dict.fromkeys(must_stay):
        room -= await count(str(messages[index].text)) + _TOKENS_AROUND_MESSAGE
        kept.add(index)
    if room < 0:
        raise ProviderFailed(
            f"The bundled model reads at most {CONTEXT_TOKENS} tokens, answer included; the system prompt and the last "
            f"message are {-room} too long. Shorten them, or connect a larger model."
        )
    for index in range(len(messages) - 2, -1, -1):
        if index in kept:
            continue
        room -= await count(str(messages[index].text)) + _TOKENS_AROUND_MESSAGE
        if room < 0:
            break
        kept.add(index)
    return [messages[index] for index in sorted(kept)]


def _defuse(text: str) -> str:
    return _MARKER.sub("< |", text)


async def _count(server: LocalServer, text: str) -> int:
    response = await server.client.post(
        f"{server.base_url}/tokenize",
        json={"content": text},
        headers={"Authorization": f"Bearer {server.api_key.get_secret_value()}"},
    )
    response.raise_for_status()
    return len(response.json()["tokens"])
