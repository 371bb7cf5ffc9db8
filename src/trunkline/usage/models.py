"""The meter's rows."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from trunkline.db.access import AUTHENTICATED, SERVICE, Allow, claimed_within_session, member
from trunkline.db.base import Base, Created, Tenant, belongs_to

KINDS = ("llm", "stt", "tts", "embedding", "tool")


class UsageLog(Tenant, Created, Base):
    """One metered call. It outlives the session and the agent it was made for: those ids become null."""

    __tablename__ = "usage_logs"
    __table_args__ = (
        belongs_to("agent_id", "agents", on_delete="SET NULL"),
        belongs_to("session_id", "agent_sessions", on_delete="SET NULL"),
        belongs_to("message_id", "agent_messages", on_delete="SET NULL"),
        Index(None, "organization_id", "created_at", info={"contract": True}),
        Index(None, "organization_id", "agent_id", "created_at", info={"contract": True}),
        Index(None, "session_id", info={"contract": True}),
        Index(None, "message_id"),
        Index(None, "user_id"),
        CheckConstraint(f"kind in {KINDS}", "kind"),
        CheckConstraint("tokens_used >= 0 and input_tokens >= 0 and output_tokens >= 0", "tokens"),
        {
            "info": {
                "component": "architecture",
                "columns": {"tokens_used": {"contract": True}, "agent_id": {"formerly": ("bot_id", "project_id")}},
                "access": (
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(SERVICE, ("select", "insert"), claimed_within_session()),
                ),
            }
        },
    )

    agent_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="SET NULL"))
    kind: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    tokens_used: Mapped[int]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    is_estimated: Mapped[bool] = mapped_column(server_default=text("false"))
    """The provider told no tokens, or was stopped before: these are a guess from the length of the texts."""
    audio_ms: Mapped[int | None] = mapped_column(Integer())
    cost_usd: Mapped[Decimal | None] = mapped_column(Numeric(18, 9))
    latency_ms: Mapped[int | None] = mapped_column(Integer())
