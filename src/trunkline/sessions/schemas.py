"""What the API takes and gives about sessions, messages and turns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, Field, StringConstraints, model_validator
from sqlalchemy import inspect

from trunkline.agents.schemas import PublicAgent
from trunkline.api import Schema, Text, View

MAX_CONTENT = 8000
"""Longest message of a visitor or user, in characters."""


Handle = Annotated[str, Path(max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", description="The session's public handle")]
"""A session's handle as a part of an address."""


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must say something: it has only spaces")
    return value


class NewSession(Schema):
    """A session to be started, or found by the caller's own name for it."""

    agent_id: UUID
    website_domain: Text | None = Field(default=None, max_length=255, examples=["shop.example"])
    channel: Annotated[Text, StringConstraints(min_length=1, max_length=32)] = "web"
    client_reference: Text | None = Field(default=None, min_length=1, max_length=255)


class SessionView(View):
    """A session. `session_id` is its public handle."""

    @model_validator(mode="before")
    @classmethod
    def _read_what_is_loaded(cls, row: Any) -> Any:
        """A visitor's row has the columns that a visitor may read."""
        state = inspect(row, raiseerr=False)
        return row if state is None else {name: state.dict[name] for name in cls.model_fields if name in state.dict}

    session_id: str
    agent_id: UUID
    website_domain: str | None
    channel: str
    client_reference: str | None = None
    status: str
    message_count: int
    started_at: datetime
    last_activity_at: datetime
    ended_at: datetime | None
    running_turn_id: UUID | None = None


class SessionStarted(SessionView):
    """A fresh or found session, and what its page shows first. `token` is for visitors only."""

    agent: PublicAgent
    token: str | None = None
    token_expires_at: datetime | None = None


class TokenView(View):
    """A visitor's token, good for one session on one website."""

    token: str
    token_expires_at: datetime


class NewMessage(Schema):
    """A message to the agent."""

    content: Annotated[Text, AfterValidator(_not_blank)] = Field(
        min_length=1, max_length=MAX_CONTENT, examples=["When do you open?"]
    )
    stream: bool = Field(default=False, description="Answer by server-sent events as the model speaks")


class MessageView(View):
    """One message of a conversation."""

    id: UUID
    turn_id: UUID | None
    role: Literal["user", "assistant", "system", "tool"]
    content: str
    status: Literal["complete", "interrupted", "failed"]
    tokens_used: int | None
    latency_ms: int | None
    model_used: str | None
    citations: list[Any]
    created_at: datetime


class UsageView(View):
    """Tokens of one turn; null where nothing was metered."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    is_estimated: bool = Field(default=False, description="The provider told no tokens: a guess from the texts' length")


class TurnView(View):
    """A turn that ended: its answer and what it took."""

    turn_id: UUID
    session_id: str
    status: Literal["complete", "cancelled"]
    message: MessageView | None
    usage: UsageView


class TurnStatus(View):
    """How a turn stands."""

    turn_id: UUID
    status: str
