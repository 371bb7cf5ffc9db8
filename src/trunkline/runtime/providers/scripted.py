"""A provider without a model: it plays a script named by the agent's `llm_model`. For tests and benchmarks.

The model's name is a behavior, then any delay after `@`:

    echo                 the last message of the user, word by word
    transcript           every message that it was given, as `role: content` lines
    lorem-40             40 words
    empty                no text at all
    fail-before-first    fails before the first token
    fail-after-5         fails after five tokens
    hang                 never says anything
    hang-after-5         falls silent after five tokens
    slow-start@500ms     as echo, with 500 ms before the first token
    lorem-40@20ms        20 ms before each token; `echo` and `transcript` take a delay too

One word with the space after it is one token; usage is exact in that measure.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import SecretStr
from typing_extensions import override

from trunkline.errors import ProviderFailed
from trunkline.runtime.definition import AgentDefinition

_LOREM = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do", "eiusmod")
_TOKEN = re.compile(r"\s*\S+\s*")
_SCRIPT = re.compile(
    r"(?P<behavior>echo|transcript|lorem|empty|fail-before-first|fail-after|hang|hang-after|slow-start)"
    r"(?:-(?P<count>\d{1,5}))?(?:@(?P<delay>\d{1,5})ms)?"
)
_COUNTED = frozenset({"lorem", "fail-after", "hang-after"})


@dataclass(frozen=True, slots=True)
class Script:
    """What a scripted model does."""

    behavior: str
    count: int = 0
    """Tokens, for behaviors that count."""
    delay_s: float = 0.0
    """Before each token; for `slow-start` before the first only. Seconds."""

    @classmethod
    def parse(cls, model: str) -> Script | None:
        """Read a model's name; None where it is no script."""
        match = _SCRIPT.fullmatch(model)
        if match is None or (match["behavior"] in _COUNTED) != (match["count"] is not None):
            return None
        return cls(match["behavior"], int(match["count"] or 0), int(match["delay"] or 0) / 1000)

    def tokens(self, messages: Sequence[BaseMessage]) -> list[str]:
        """What it will say to these messages, as far as it comes."""
        if self.behavior in {"lorem", "fail-after", "hang-after"}:
            return [f"{word} " for word in islice(cycle(_LOREM), self.count)]
        if self.behavior in {"echo", "slow-start"}:
            said = [str(message.text) for message in messages if message.type == "human"]
            return _TOKEN.findall(said[-1]) if said else []
        if self.behavior == "transcript":
            return _TOKEN.findall("\n".join(f"{message.type}: {message.text}" for message in messages))
        return []


class ScriptedError(Exception):
    """The failure that a script asks for."""


class ScriptedChatModel(BaseChatModel):
    """Plays one script."""

    script: Script

    @property
    @override
    def _llm_type(self) -> str:
        return "scripted"

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("The scripted model only streams.")

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        script = self.script
        if script.behavior == "slow-start":
            await asyncio.sleep(script.delay_s)
        tokens = script.tokens(messages)
        for token in tokens:
            if script.delay_s and script.behavior != "slow-start":
                await asyncio.sleep(script.delay_s)
            yield ChatGenerationChunk(message=AIMessageChunk(content=token))
        if script.behavior.startswith("fail"):
            raise ScriptedError(f"The script '{script.behavior}' fails here.")
        if script.behavior.startswith("hang"):
            await asyncio.Event().wait()
        yield _last_chunk(messages, len(tokens))


def _last_chunk(messages: Sequence[BaseMessage], output_tokens: int) -> ChatGenerationChunk:
    input_tokens = sum(len(_TOKEN.findall(str(message.text))) for message in messages)
    usage = UsageMetadata(
        input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=input_tokens + output_tokens
    )
    return ChatGenerationChunk(
        message=AIMessageChunk(content="", usage_metadata=usage), generation_info={"finish_reason": "stop"}
    )


class ScriptedProvider:
    """Scripts by the name of the model. Needs no key."""

    async def start(self) -> None:
        """There is nothing to start."""

    async def chat_model(self, definition: AgentDefinition, api_key: SecretStr | None) -> BaseChatModel:  # noqa: ARG002  the protocol's parameter; a script needs no key
        """The model that plays `definition.model`.

        Raises:
            ProviderFailed: the name is no script.
        """
        script = Script.parse(definition.model)
        if script is None:
            raise ProviderFailed(
                f"The scripted provider has no behavior '{definition.model[:60]}'. "
                "Use echo, transcript, lorem-N, empty, fail-before-first, fail-after-N, hang, hang-after-N or "
                "slow-start, each with @Nms for a delay."
            )
        return ScriptedChatModel(script=script)

    def explain(self, definition: AgentDefinition, error: Exception, api_key: SecretStr | None) -> ProviderFailed:  # noqa: ARG002  as above
        """The script's own sentence."""
        return ProviderFailed(f"Agent '{definition.name}' got no whole answer. {error}")

    async def close(self) -> None:
        """There is nothing to release."""
