"""Tables of conversations."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from trunkline.db.access import (
    ANON,
    AUTHENTICATED,
    SERVICE,
    SESSION_OF_CLAIM,
    WITHIN_CLAIM,
    Allow,
    claimed_found,
    claimed_into_session,
    claimed_within_session,
    claimed_within_turn,
    member,
    under,
)
from trunkline.db.base import Base, Created, Tenant, belongs_to, parent_key

STATUSES = ("active", "ended", "timeout", "handed_off")
ROLES = ("user", "assistant", "system", "tool")
MESSAGE_STATUSES = ("complete", "interrupted", "failed")
TURN_STATUSES = ("running", "waiting", "complete", "failed", "cancelled")
CHANNELS = ("web", "voice", "phone", "api")

_CONTRACT = {"contract": True}
_DERIVED = {"derived": True}

# Found by the session; the rest is only checked (see `claimed_found`).
_VISITOR = (
    "session_id = (select app.claim('session_id') where app.claim('kind') = 'visitor')"
    " and coalesce((organization_id, agent_id, website_domain) = (select app.claim('organization_id')::uuid,"
    " app.claim('agent_id')::uuid, app.claim('website_domain')), false)"
)

_VISITORS_MESSAGE = (
    f"session_id = {SESSION_OF_CLAIM} and role in ('user', 'assistant')"
    " and coalesce(organization_id = (select app.claim('organization_id')::uuid), false)"
)


_SESSION_CONTRACT = (
    "id",
    "session_id",
    "user_id",
    "website_domain",
    "ip_address",
    "channel",
    "message_count",
    "conversation_history",
    "context_data",
    "status",
    "last_activity_at",
    "ended_at",
)
"""What existing backends ask sessions for by name; renamed columns are told with their former names."""

_MESSAGE_CONTRACT = (
    "id",
    "session_id",
    "audio_url",
    "audio_duration_ms",
    "tokens_used",
    "latency_ms",
    "model_used",
)


class AgentSession(Tenant, Base):
    """One conversation of one visitor or user with one agent, on one website and channel.

    `session_id` is the public handle: unguessable, made by the server. `conversation_history` is a bounded copy of the
    latest messages for readers of this column; the record is `agent_messages`.
    """

    __tablename__ = "agent_sessions"
    __table_args__ = (
        UniqueConstraint("session_id"),
        parent_key(),
        belongs_to("agent_id", "agents"),
        belongs_to("agent_version_id", "agent_versions", on_delete="SET NULL"),
        Index(
            "agent_sessions_client_reference_key",
            "organization_id",
            "agent_id",
            "channel",
            "website_domain",
            "client_reference",
            unique=True,
            postgresql_nulls_not_distinct=True,
            # One that is over keeps its reference, and leaves the place to the next.
            postgresql_where=text("client_reference is not null and status = 'active'"),
        ),
        Index("agent_sessions_agent_activity_idx", "organization_id", "agent_id", text("last_activity_at desc")),
        Index(
            "agent_sessions_website_activity_idx", "organization_id", "website_domain", text("last_activity_at desc")
        ),
        Index(
            None, "organization_id", "user_id", postgresql_where=text("user_id is not null"), info={"contract": True}
        ),
        Index("agent_sessions_active_idx", "last_activity_at", postgresql_where=text("status = 'active'")),
        Index(None, "user_id", postgresql_where=text("user_id is not null")),
        Index(None, "agent_version_id"),
        CheckConstraint(f"status in {STATUSES}", "status"),
        CheckConstraint("message_count >= 0", "message_count"),
        {
            # Each turn rewrites its session's row twice: room for that on the row's own page.
            "postgresql_with": {"fillfactor": 70},
            "info": {
                "component": "session_fields",
                "formerly": ("chat_sessions",),
                "columns": {
                    **dict.fromkeys(_SESSION_CONTRACT, _CONTRACT),
                    "organization_id": _DERIVED,
                    "agent_id": {"contract": True, "formerly": ("bot_id", "project_id")},
                    "started_at": {"contract": True, "formerly": ("created_at",)},
                },
                "access": (
                    Allow(
                        ANON,
                        ("select",),
                        _VISITOR,
                        columns=(
                            "id",
                            "organization_id",
                            "session_id",
                            "agent_id",
                            "website_domain",
                            "channel",
                            "message_count",
                            "status",
                            "started_at",
                            "last_activity_at",
                            "ended_at",
                        ),
                    ),
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(AUTHENTICATED, ("insert", "update"), member("member")),
                    Allow(AUTHENTICATED, ("delete",), member("admin")),
                    Allow(
                        SERVICE,
                        ("select", "insert", "update", "delete"),
                        f"{claimed_found()} and {WITHIN_CLAIM}",
                    ),
                ),
            },
        },
    )

    session_id: Mapped[str] = mapped_column(String(255))
    client_reference: Mapped[str | None] = mapped_column(String(255))
    agent_id: Mapped[UUID]
    agent_version_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="SET NULL"))
    visitor_id: Mapped[str | None] = mapped_column(String(255))
    website_domain: Mapped[str | None] = mapped_column(String(255))
    ip_address: Mapped[str | None] = mapped_column(String(45))
    channel: Mapped[str] = mapped_column(String(32), server_default=text("'web'"))
    message_count: Mapped[int] = mapped_column(Integer(), server_default=text("0"))
    conversation_history: Mapped[list[Any]] = mapped_column(JSONB(), server_default=text("'[]'"))
    context_data: Mapped[dict[str, Any]] = mapped_column(JSONB(), server_default=text("'{}'"))
    status: Mapped[str] = mapped_column(String(32), server_default=text("'active'"))
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    last_activity_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class AgentTurn(Tenant, Base):
    """One question and its answer in the making. A row that runs holds a lease; whoever lets it pass has failed."""

    __tablename__ = "agent_turns"
    __table_args__ = (
        belongs_to("session_id", "agent_sessions"),
        parent_key(),
        UniqueConstraint("session_id", "idempotency_key"),
        Index(
            "agent_turns_one_at_a_time_key",
            "session_id",
            unique=True,
            postgresql_where=text("status in ('running', 'waiting')"),
        ),
        Index("agent_turns_lease_idx", "lease_until", postgresql_where=text("status = 'running'")),
        CheckConstraint(f"status in {TURN_STATUSES}", "status"),
        CheckConstraint("answer_offset >= 0", "answer_offset"),
        {
            "info": {
                "columns": {"organization_id": _DERIVED},
                "access": (
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(
                        SERVICE,
                        ("select", "insert", "update"),
                        claimed_within_session(),
                        check=claimed_into_session("agent_turns.session_id"),
                    ),
                ),
            }
        },
    )

    session_id: Mapped[UUID]
    idempotency_key: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(32), server_default=text("'running'"))
    attempt: Mapped[int] = mapped_column(Integer(), server_default=text("1"))
    lease_until: Mapped[datetime | None]
    answer_offset: Mapped[int] = mapped_column(Integer(), server_default=text("0"))
    partial_text: Mapped[str] = mapped_column(server_default=text("''"))
    error: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[datetime | None]


class AgentMessage(Tenant, Created, Base):
    """One message: the one full record of a conversation. Append-only for every application role."""

    __tablename__ = "agent_messages"
    __table_args__ = (
        belongs_to("session_id", "agent_sessions"),
        belongs_to("turn_id", "agent_turns", on_delete="SET NULL"),
        parent_key(),
        UniqueConstraint("session_id", "sequence"),
        Index(None, "organization_id", "created_at", info={"contract": True}),
        Index(None, "turn_id"),
        CheckConstraint(f"role in {ROLES}", "role"),
        CheckConstraint(f"status in {MESSAGE_STATUSES}", "status"),
        {
            "info": {
                "component": "message_fields",
                "formerly": ("chat_messages",),
                "columns": {
                    **dict.fromkeys(_MESSAGE_CONTRACT, _CONTRACT),
                    "organization_id": _DERIVED,
                    "sequence": _DERIVED,
                    "role": {"contract": True, "formerly_values": {"model": "assistant", "bot": "assistant"}},
                    "content": {"contract": True, "formerly": ("text", "message")},
                    "created_at": {"contract": True, "formerly": ("timestamp",)},
                },
                "access": (
                    Allow(
                        ANON,
                        ("select",),
                        _VISITORS_MESSAGE,
                        columns=(
                            "id",
                            "organization_id",
                            "session_id",
                            "sequence",
                            "turn_id",
                            "role",
                            "content",
                            "audio_url",
                            "audio_duration_ms",
                            "tokens_used",
                            "latency_ms",
                            "model_used",
                            "citations",
                            "status",
                            "created_at",
                        ),
                    ),
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(
                        AUTHENTICATED,
                        ("insert",),
                        f"{member('member')} and {under('agent_sessions', 'agent_messages.session_id')}",
                    ),
                    Allow(
                        SERVICE,
                        ("select", "insert"),
                        claimed_within_session(),
                        check=claimed_into_session("agent_messages.session_id"),
                    ),
                ),
            }
        },
    )

    session_id: Mapped[UUID]
    sequence: Mapped[int]
    turn_id: Mapped[UUID | None]
    role: Mapped[str] = mapped_column(String(16))
    content: Mapped[str]
    audio_url: Mapped[str | None]
    audio_duration_ms: Mapped[int | None] = mapped_column(Integer())
    tokens_used: Mapped[int | None] = mapped_column(Integer())
    latency_ms: Mapped[int | None] = mapped_column(Integer())
    model_used: Mapped[str | None]
    citations: Mapped[list[Any]] = mapped_column(JSONB(), server_default=text("'[]'"))
    tool_calls: Mapped[list[Any]] = mapped_column(JSONB(), server_default=text("'[]'"))
    status: Mapped[str] = mapped_column(String(16), server_default=text("'complete'"))


class TurnState(Tenant, Base):
    """The graph's state while a turn runs or waits: one row, gone when the turn ends."""

    __tablename__ = "turn_states"
    __table_args__ = (
        belongs_to("turn_id", "agent_turns"),
        UniqueConstraint("organization_id", "turn_id"),
        {
            "schema": "trunkline_runtime",
            "info": {
                "access": (
                    Allow(
                        SERVICE,
                        ("select", "insert", "update", "delete"),
                        claimed_within_turn("turn_states.turn_id"),
                    ),
                )
            },
        },
    )

    turn_id: Mapped[UUID]
    state: Mapped[bytes] = mapped_column(LargeBinary())
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
