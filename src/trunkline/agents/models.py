"""Tables of agents; defaults and CHECKs of `agents` come from `AgentSettings`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, Union, cast, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column
from sqlalchemy.types import TypeEngine

from trunkline.agents.settings import AgentSettings
from trunkline.db.access import ANON, AUTHENTICATED, SERVICE, Allow, claimed, claimed_unbound, member, under
from trunkline.db.base import Base, Created, Tenant, Updated, belongs_to, parent_key

TEXTS = ARRAY(Text())
UUIDS = ARRAY(Uuid())


def setting(name: str, kind: TypeEngine[Any] | None = None) -> MappedColumn[Any]:
    """A column for one field of `AgentSettings`, with the field's default."""
    field = AgentSettings.model_fields[name]
    default = None if field.is_required() else _sql_literal(field.get_default(call_default_factory=True), kind)
    return mapped_column(kind, server_default=None if default is None else text(default))


def _sql_literal(value: Any, kind: TypeEngine[Any] | None) -> str | None:
    if value is None:
        return None
    if isinstance(kind, ARRAY):
        return "'{" + ",".join(json.dumps(item) if " " in item else item for item in value) + "}'"
    if isinstance(value, BaseModel):
        return "'{}'"  # what isn't set is filled by the schema when the row is read
    if isinstance(value, list | dict):
        return f"'{json.dumps(value)}'"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def setting_checks() -> Iterator[CheckConstraint]:
    """One CHECK for each field of `AgentSettings` that has a range, a length or a set of values."""
    for name, field in AgentSettings.model_fields.items():
        conditions = list(_conditions(name, field))
        if conditions:
            yield CheckConstraint(" and ".join(conditions), name)


def _conditions(name: str, field: FieldInfo) -> Iterator[str]:
    choices = _choices(field.annotation)
    if choices:
        yield f"{name} in ({', '.join(repr(choice) for choice in choices)})"
    size = _size(name, field)
    for rule in field.metadata:
        if isinstance(rule, Ge):
            yield f"{name} >= {rule.ge}"
        elif isinstance(rule, Le):
            yield f"{name} <= {rule.le}"
        elif isinstance(rule, MinLen):
            yield f"{size} >= {rule.min_length}"
        elif isinstance(rule, MaxLen):
            yield f"{size} <= {rule.max_length}"
        elif pattern := getattr(rule, "pattern", None):
            yield f"{name} ~ '{pattern}'"


def _choices(annotation: Any) -> tuple[str, ...]:
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Literal:
            return cast("tuple[str, ...]", get_args(part))
    return ()


def _size(name: str, field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Union:
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is list:
        element = get_args(kind)[0]
        bundled = isinstance(element, type) and issubclass(element, BaseModel)
        return f"jsonb_array_length({name})" if bundled else f"cardinality({name})"
    if get_origin(kind) is dict:
        return f"jsonb_array_length(jsonb_path_query_array({name}, '$.keyvalue()'))"
    return f"char_length({name})"


_CONTRACT = (
    "name",
    "description",
    "llm_provider",
    "llm_model",
    "temperature",
    "system_prompt",
    "voice_provider",
    "voice_id",
    "voice_settings",
    "speech_processing",
    "knowledge_base_ids",
    "security",
    "is_published",
    "version",
    "config_json",
)
"""What existing backends ask agents for by name."""

_KEYS_OF_CONFIG = {
    "language": ("language", "lang"),
    "llm_provider": ("llm_provider", "provider"),
    "llm_model": ("llm_model", "model", "model_name"),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "max_tokens": ("max_tokens", "max_output_tokens"),
    "system_prompt": ("system_prompt", "prompt", "instructions", "system_message"),
    "first_message": ("first_message", "greeting", "welcome_message"),
    "voice_provider": ("voice_provider", "tts_provider"),
    "voice_id": ("voice_id", "voice"),
}
"""Where the older generations kept settings: keys inside of `config`, in snake_case, flat or one level down."""

Base.metadata.info["sources"] = {
    "legacy, with organizations": ("bots", "organizations"),
    "legacy, with projects": ("projects", "chat_sessions"),
    "Trunkline": ("agents", "agent_sessions", "agent_messages"),
}


def _marks() -> dict[str, dict[str, Any]]:
    marks: dict[str, dict[str, Any]] = {name: {"contract": True} for name in _CONTRACT}
    for name, keys in _KEYS_OF_CONFIG.items():
        marks.setdefault(name, {})["formerly_in"] = ("config", keys)
    marks["config_json"]["formerly"] = ("config",)
    marks["created_by"] = {"formerly": ("user_id",)}
    return marks


PUBLIC_FACE = (
    "id",
    "organization_id",
    "name",
    "slug",
    "description",
    "avatar_url",
    "language",
    "is_active",
    "is_published",
    "first_message",
    "suggested_questions",
    "allowed_domains",
    "channels",
    "widget_config",
)
"""What a visitor may know of a published agent; never its prompt, tools or model."""


class Agent(Tenant, Updated, Base):
    """An agent as it is being edited (the draft). What visitors meet is a published version."""

    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("organization_id", "slug"),
        parent_key(),
        belongs_to("llm_credential_id", "credentials", on_delete="SET NULL"),
        belongs_to("published_version_id", "agent_versions", on_delete="SET NULL", use_alter=True),
        Index(None, "organization_id", "is_published", info={"contract": True}),
        Index(None, "created_by"),
        Index(None, "llm_credential_id"),
        Index(None, "published_version_id"),
        *setting_checks(),
        CheckConstraint("version >= 1", "version"),
        {
            "info": {
                "component": "agent_fields",
                "formerly": ("bots", "projects"),
                "columns": _marks(),
                "access": (
                    Allow(
                        ANON,
                        ("select",),
                        "id = (select app.claim('agent_id')::uuid) and is_published and is_active"
                        " and (select app.claim('kind')) = 'visitor'",
                        columns=PUBLIC_FACE,
                    ),
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(AUTHENTICATED, ("insert", "update"), member("member")),
                    Allow(AUTHENTICATED, ("delete",), member("admin")),
                    Allow(SERVICE, ("select",), claimed()),
                    Allow(SERVICE, ("insert", "update", "delete"), claimed_unbound()),
                ),
            }
        },
    )

    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="SET NULL"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))

    name: Mapped[str] = setting("name")
    slug: Mapped[str] = setting("slug")
    description: Mapped[str] = setting("description")
    avatar_url: Mapped[str | None] = setting("avatar_url")
    language: Mapped[str] = setting("language")
    timezone: Mapped[str] = setting("timezone")
    tags: Mapped[list[str]] = setting("tags", TEXTS)

    llm_provider: Mapped[str] = setting("llm_provider")
    llm_model: Mapped[str] = setting("llm_model")
    temperature: Mapped[float | None] = setting("temperature", Double())
    top_p: Mapped[float | None] = setting("top_p", Double())
    max_tokens: Mapped[int] = setting("max_tokens", Integer())
    reasoning_effort: Mapped[str | None] = setting("reasoning_effort")
    llm_timeout_ms: Mapped[int] = setting("llm_timeout_ms", Integer())
    llm_fallbacks: Mapped[list[Any]] = setting("llm_fallbacks", JSONB())
    llm_base_url: Mapped[str | None] = setting("llm_base_url")
    llm_credential_id: Mapped[UUID | None] = setting("llm_credential_id")
    response_format: Mapped[dict[str, Any] | None] = setting("response_format", JSONB(none_as_null=True))

    system_prompt: Mapped[str] = setting("system_prompt")
    first_message: Mapped[str | None] = setting("first_message")
    first_message_mode: Mapped[str] = setting("first_message_mode")
    suggested_questions: Mapped[list[str]] = setting("suggested_questions", TEXTS)
    dynamic_variables: Mapped[dict[str, Any]] = setting("dynamic_variables", JSONB())
    fallback_message: Mapped[str | None] = setting("fallback_message")

    voice_provider: Mapped[str] = setting("voice_provider")
    voice_id: Mapped[str | None] = setting("voice_id")
    voice_settings: Mapped[dict[str, Any]] = setting("voice_settings", JSONB())

    speech_processing: Mapped[dict[str, Any]] = setting("speech_processing", JSONB())
    record_audio: Mapped[bool] = setting("record_audio")

    knowledge_base_ids: Mapped[list[UUID]] = setting("knowledge_base_ids", UUIDS)
    retrieval: Mapped[dict[str, Any]] = setting("retrieval", JSONB())
    citations_enabled: Mapped[bool] = setting("citations_enabled")

    tool_ids: Mapped[list[UUID]] = setting("tool_ids", UUIDS)
    mcp_servers: Mapped[list[Any]] = setting("mcp_servers", JSONB())
    tool_approval: Mapped[str] = setting("tool_approval")
    max_tool_iterations: Mapped[int] = setting("max_tool_iterations", Integer())
    parallel_tool_calls: Mapped[bool] = setting("parallel_tool_calls")

    session_ttl_seconds: Mapped[int] = setting("session_ttl_seconds", Integer())
    idle_timeout_seconds: Mapped[int] = setting("idle_timeout_seconds", Integer())
    history_max_messages: Mapped[int] = setting("history_max_messages", Integer())
    history_max_tokens: Mapped[int] = setting("history_max_tokens", Integer())
    memory_strategy: Mapped[str] = setting("memory_strategy")
    context_schema: Mapped[dict[str, Any] | None] = setting("context_schema", JSONB(none_as_null=True))

    channels: Mapped[list[str]] = setting("channels", TEXTS)
    allowed_domains: Mapped[list[str]] = setting("allowed_domains", TEXTS)
    widget_config: Mapped[dict[str, Any]] = setting("widget_config", JSONB())
    handoff: Mapped[dict[str, Any]] = setting("handoff", JSONB())

    security: Mapped[dict[str, Any]] = setting("security", JSONB())
    retention_days: Mapped[int | None] = setting("retention_days", Integer())

    max_session_seconds: Mapped[int] = setting("max_session_seconds", Integer())
    max_messages_per_session: Mapped[int] = setting("max_messages_per_session", Integer())
    rate_limit_per_minute: Mapped[int] = setting("rate_limit_per_minute", Integer())
    rate_limit_ip_per_minute: Mapped[int] = setting("rate_limit_ip_per_minute", Integer())
    max_concurrent_sessions: Mapped[int | None] = setting("max_concurrent_sessions", Integer())
    daily_session_limit: Mapped[int | None] = setting("daily_session_limit", Integer())
    daily_token_budget: Mapped[int | None] = setting("daily_token_budget")
    monthly_cost_limit_cents: Mapped[int | None] = setting("monthly_cost_limit_cents", Integer())

    is_published: Mapped[bool] = mapped_column(server_default=text("false"))
    version: Mapped[int] = mapped_column(Integer(), server_default=text("1"))
    published_version_id: Mapped[UUID | None]
    version_notes: Mapped[str | None] = setting("version_notes")
    webhooks: Mapped[list[Any]] = setting("webhooks", JSONB())
    config_json: Mapped[dict[str, Any]] = setting("config_json", JSONB())


_OF_SEEN_AGENT = under("agents", "agent_versions.agent_id")


class AgentVersion(Tenant, Created, Base):
    """What an agent was when it was published; never changes. A session pins the one it started with."""

    __tablename__ = "agent_versions"
    __table_args__ = (
        UniqueConstraint("agent_id", "version"),
        parent_key(),
        belongs_to("agent_id", "agents"),
        Index(None, "created_by"),
        {
            "info": {
                "columns": {"organization_id": {"derived": True}},
                "access": (
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(AUTHENTICATED, ("insert",), f"{member('member')} and {_OF_SEEN_AGENT}"),
                    Allow(SERVICE, ("select",), claimed()),
                    Allow(SERVICE, ("insert",), f"{claimed_unbound()} and {_OF_SEEN_AGENT}"),
                ),
            }
        },
    )

    agent_id: Mapped[UUID]
    version: Mapped[int] = mapped_column(Integer())
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB())
    notes: Mapped[str | None]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="SET NULL"))


class Tool(Tenant, Updated, Base):
    """An HTTP call that an agent may make: parameters as JSON Schema, a method and a URL."""

    __tablename__ = "tools"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        belongs_to("credential_id", "credentials", on_delete="SET NULL"),
        Index(None, "credential_id"),
        CheckConstraint("name ~ '^[a-zA-Z0-9_-]{1,64}$'", "name"),
        CheckConstraint("method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')", "method"),
        CheckConstraint("timeout_ms between 100 and 120000", "timeout_ms"),
        {
            "info": {
                "access": (
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(AUTHENTICATED, ("insert", "update", "delete"), member("member")),
                    Allow(SERVICE, ("select",), claimed()),
                    Allow(SERVICE, ("insert", "update", "delete"), claimed_unbound()),
                )
            }
        },
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    method: Mapped[str]
    url: Mapped[str]
    headers: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    credential_id: Mapped[UUID | None]
    is_destructive: Mapped[bool] = mapped_column(server_default=text("true"))
    timeout_ms: Mapped[int] = mapped_column(Integer(), server_default=text("10000"))
