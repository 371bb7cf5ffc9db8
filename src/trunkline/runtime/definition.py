"""What a turn is made of: the agent's published configuration and the conversation so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from pydantic import SecretStr

DRAFT_VERSION = 0
"""The version of a definition that is still edited: used once, never cached."""


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """The part of an agent's published snapshot that the graph reads.

    A published version never changes, so `(agent_id, version)` stands for the whole value.
    """

    agent_id: UUID
    version: int
    """1 and up; 0 is a draft."""
    name: str
    """Shown in errors."""
    provider: str
    """Name of a model provider: `local`, `openai`, `scripted`."""
    model: str
    """The model's name as the provider knows it."""
    system_prompt: str = ""
    temperature: float | None = None
    """0 to 2; None leaves it to the provider."""
    top_p: float | None = None
    """0 to 1; None leaves it to the provider."""
    max_tokens: int = 1000
    """Most tokens of one answer, 1 to 32,768."""
    reasoning_effort: str | None = None
    timeout_ms: int = 30_000
    """Longest silence of the provider, before the first token and between two, in milliseconds."""
    base_url: str | None = None
    """Another server of the provider's protocol. Only the agent's own key is ever sent there."""
    response_format: Mapping[str, Any] | None = None
    """A JSON Schema that the answer must follow."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Defaults for the `{{names}}` in the system prompt."""

    @property
    def is_draft(self) -> bool:
        """Whether this definition may still change under the same version."""
        return self.version == DRAFT_VERSION


@dataclass(frozen=True, slots=True)
class HistoryMessage:
    """One earlier message, or the one to be answered."""

    role: Literal["user", "assistant", "system"]
    content: str


@dataclass(frozen=True, slots=True)
class TurnInput:
    """Everything that one turn adds to the agent's definition."""

    history: Sequence[HistoryMessage]
    """Oldest first; the last one is the message to be answered."""
    api_key: SecretStr | None = None
    """The agent's own credential; None where it has none."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Values for the `{{names}}` in the system prompt; they win over the definition's."""
