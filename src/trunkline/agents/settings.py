"""The settings of an agent: one schema for the API, the columns' defaults and the database's CHECKs.

A scalar field is a column of `agents` with the same default and range; a nested model is a JSONB column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from typing import Annotated, Any, Literal, cast
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from trunkline.agents.websites import website

MAX_DEPTH = 50
"""Most levels of a JSON value, one in the other."""

_SURROGATE = re.compile("[\ud800-\udfff]")

SLUG = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A name as it stands in addresses: what DNS allows as one label."""


class Bundle(BaseModel):
    """A provider-shaped group of settings, stored as JSONB. Unknown keys are refused when set, left out when read."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1


def _timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"{value!r} is not an IANA time zone such as Europe/Lisbon")
    return value


def _language(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise ValueError(f"{value!r} is not a BCP 47 language tag such as en or pt-BR")
    return value


def _unstorable(value: Any) -> str | None:
    """What of a value can't be stored, or not be read again; None where all of it can."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if found := next(filter(None, map(_fault, level)), None):
            return found
        level = [part for value in level for part in _parts(value)]
        if not level:
            return None
    return f"more than {MAX_DEPTH} levels, one in the other"


def _fault(value: Any) -> str | None:
    if isinstance(value, str):
        if "\x00" in value:
            return "the character NUL (U+0000)"
        return "half of a surrogate pair" if _SURROGATE.search(value) else None
    if isinstance(value, float) and not isfinite(value):
        return "a number that JSON has not (NaN, Infinity)"
    return None


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, BaseModel):
        return (part for _, part in value)
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value)
        return (part for pair in pairs.items() for part in pair)
    return cast("list[Any]", value) if isinstance(value, list) else ()


ShortText = Annotated[str, StringConstraints(max_length=200)]
Website = Annotated[str, AfterValidator(website)]


class VoiceSettings(Bundle):
    """How the agent's voice sounds. `speed` and `volume` are factors of the voice's own."""

    model: str | None = None
    speed: float = Field(default=1, ge=0.5, le=2)
    stability: float | None = Field(default=None, ge=0, le=1)
    similarity: float | None = Field(default=None, ge=0, le=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    volume: float = Field(default=1, ge=0, le=2)
    output_format: str | None = None
    fallback_voices: list[ShortText] = Field(default_factory=list, max_length=5)
    pronunciations: dict[str, ShortText] = Field(default_factory=dict, max_length=200)
    ambient_sound: str | None = None
    ambient_volume: float = Field(default=0.5, ge=0, le=1)


class Interruption(BaseModel):
    """When the caller may cut in."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    sensitivity: float = Field(default=0.5, ge=0, le=1)
    min_words: int = Field(default=0, ge=0, le=20)
    ignore_terms: list[ShortText] = Field(default_factory=list, max_length=50)


class Backchannel(BaseModel):
    """Small sounds of listening."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = False
    words: list[ShortText] = Field(default_factory=list, max_length=20)


class Voicemail(BaseModel):
    """What happens when a machine answers the call."""

    model_config = ConfigDict(extra="forbid")

    detection: bool = False
    action: Literal["hang_up", "leave_message"] = "hang_up"
    message: str | None = Field(default=None, max_length=2000)


class SpeechProcessing(Bundle):
    """How speech is heard. Times are milliseconds."""

    stt_provider: str | None = None
    stt_model: str | None = None
    stt_mode: Literal["streaming", "batch"] = "streaming"
    keywords: list[ShortText] = Field(default_factory=list, max_length=100)
    turn_detection: Literal["server_vad", "semantic", "none"] = "server_vad"
    vad_threshold: float = Field(default=0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_ms: int = Field(default=500, ge=50, le=10_000)
    responsiveness: float = Field(default=0.5, ge=0, le=1)
    interruption: Interruption = Field(default_factory=Interruption)
    backchannel: Backchannel = Field(default_factory=Backchannel)
    normalize_speech: bool = True
    denoising_mode: Literal["off", "noise", "noise_and_voices"] = "off"
    reprompt_after_ms: int | None = Field(default=None, ge=1000, le=600_000)
    end_after_silence_ms: int = Field(default=600_000, ge=10_000, le=3_600_000)
    voicemail: Voicemail = Field(default_factory=Voicemail)


class Retrieval(Bundle):
    """How knowledge is looked up."""

    mode: Literal["hybrid", "vector", "text"] = "hybrid"
    top_k: int = Field(default=4, ge=1, le=50)
    min_score: float | None = Field(default=None, ge=0, le=1)
    max_chars: int = Field(default=8000, ge=200, le=100_000)


class Pii(BaseModel):
    """Personal data that is redacted before it is stored."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = False
    categories: list[Literal["card", "iban", "phone", "email", "national_id"]] = Field(default_factory=list)


class Security(Bundle):
    """Who may talk to the agent and what of it is kept."""

    identity_mode: Literal["anonymous", "jwt", "hmac"] = "anonymous"
    require_origin: bool = True
    client_overrides: list[ShortText] = Field(default_factory=list, max_length=20)
    pii: Pii = Field(default_factory=Pii)
    injection_guard: bool = True
    content_filter: bool = False
    egress_allowlist: list[ShortText] = Field(default_factory=list, max_length=50)
    link_allowlist: list[ShortText] = Field(default_factory=list, max_length=50)
    store_transcripts: Literal["all", "redacted", "none"] = "all"
    mask_ip: bool = False


class WidgetConfig(Bundle):
    """How the widget looks on the customer's page."""

    title: str | None = Field(default=None, max_length=80)
    accent_color: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    position: Literal["bottom-right", "bottom-left", "inline"] = "bottom-right"
    theme: Literal["auto", "light", "dark"] = "auto"


class Handoff(Bundle):
    """When and where a human takes over."""

    enabled: bool = False
    message: str | None = Field(default=None, max_length=2000)
    webhook_url: str | None = Field(default=None, max_length=2000)


class LlmFallback(BaseModel):
    """A model that answers when the first one can't."""

    model_config = ConfigDict(extra="forbid")

    provider: str = Field(min_length=1, max_length=60)
    model: str = Field(min_length=1, max_length=200)


class McpServer(BaseModel):
    """A server of tools, by the Model Context Protocol."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    url: str = Field(min_length=1, max_length=2000)
    credential_id: UUID | None = None


class Webhook(BaseModel):
    """Where events of the agent are sent."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000)
    events: list[ShortText] = Field(default_factory=list, max_length=50)
    credential_id: UUID | None = None


class AgentSettings(BaseModel):
    """Everything that a person can set on an agent. Times say their unit, limits say null for none."""

    model_config = ConfigDict(extra="forbid")

    # identity
    name: str = Field(min_length=1, max_length=120)
    slug: str = Field(min_length=1, max_length=63, pattern=SLUG)
    description: str = Field(default="", max_length=2000)
    avatar_url: str | None = Field(default=None, max_length=2000)
    language: Annotated[str, AfterValidator(_language)] = Field(default="en", min_length=2, max_length=35)
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(default="UTC", min_length=1, max_length=64)
    tags: list[ShortText] = Field(default_factory=list, max_length=50)

    # the model
    llm_provider: str = Field(default="openai", min_length=1, max_length=60)
    llm_model: str = Field(default="gpt-4o-mini", min_length=1, max_length=200)
    temperature: float | None = Field(default=0.7, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int = Field(default=1000, ge=1, le=32_768)
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    llm_timeout_ms: int = Field(default=30_000, ge=1000, le=120_000)
    llm_fallbacks: list[LlmFallback] = Field(default_factory=list, max_length=3)
    llm_base_url: str | None = Field(default=None, max_length=2000, pattern=r"^https?://")
    llm_credential_id: UUID | None = None
    response_format: dict[str, Any] | None = None

    # the prompt
    system_prompt: str = Field(default="You are a helpful assistant.", max_length=100_000)
    first_message: str | None = Field(default=None, max_length=2000)
    first_message_mode: Literal["agent", "user", "generated"] = "user"
    suggested_questions: list[ShortText] = Field(default_factory=list, max_length=8)
    dynamic_variables: dict[str, ShortText] = Field(default_factory=dict, max_length=50)
    fallback_message: str | None = Field(default=None, max_length=2000)

    # voice
    voice_provider: str = Field(default="none", min_length=1, max_length=60)
    voice_id: str | None = Field(default=None, max_length=200)
    voice_settings: VoiceSettings = Field(default_factory=VoiceSettings)

    # speech
    speech_processing: SpeechProcessing = Field(default_factory=SpeechProcessing)
    record_audio: bool = False

    # knowledge
    knowledge_base_ids: list[UUID] = Field(default_factory=list, max_length=20)
    retrieval: Retrieval = Field(default_factory=Retrieval)
    citations_enabled: bool = True

    # tools
    tool_ids: list[UUID] = Field(default_factory=list, max_length=64)
    mcp_servers: list[McpServer] = Field(default_factory=list, max_length=10)
    tool_approval: Literal["never", "destructive", "always"] = "destructive"
    max_tool_iterations: int = Field(default=8, ge=1, le=50)
    parallel_tool_calls: bool = True

    # the session
    session_ttl_seconds: int = Field(default=86_400, ge=60, le=31_536_000)
    idle_timeout_seconds: int = Field(default=1800, ge=30, le=2_592_000)
    history_max_messages: int = Field(default=50, ge=2, le=500)
    history_max_tokens: int = Field(default=8000, ge=100, le=1_000_000)
    memory_strategy: Literal["window", "summary", "none"] = "window"
    context_schema: dict[str, Any] | None = None

    # channels
    channels: list[ShortText] = Field(default_factory=lambda: ["web"], max_length=20)
    allowed_domains: list[Website] = Field(default_factory=list[str], max_length=200)
    widget_config: WidgetConfig = Field(default_factory=WidgetConfig)
    handoff: Handoff = Field(default_factory=Handoff)

    # security
    security: Security = Field(default_factory=Security)
    retention_days: int | None = Field(default=90, ge=1, le=36_500)

    # limits
    max_session_seconds: int = Field(default=3600, ge=60, le=604_800)
    max_messages_per_session: int = Field(default=200, ge=1, le=100_000)
    rate_limit_per_minute: int = Field(default=20, ge=1, le=10_000)
    rate_limit_ip_per_minute: int = Field(default=60, ge=1, le=100_000)
    max_concurrent_sessions: int | None = Field(default=None, ge=1, le=1_000_000)
    daily_session_limit: int | None = Field(default=None, ge=1, le=100_000_000)
    daily_token_budget: int | None = Field(default=None, ge=1, le=1_000_000_000_000)
    monthly_cost_limit_cents: int | None = Field(default=None, ge=1, le=1_000_000_000)

    # publishing
    version_notes: str | None = Field(default=None, max_length=2000)
    webhooks: list[Webhook] = Field(default_factory=list, max_length=20)
    config_json: dict[str, Any] = Field(default_factory=dict)

    @field_validator("*")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        """Refuse what PostgreSQL can't store, in texts and anywhere inside of bundles."""
        if found := _unstorable(value):
            raise ValueError(f"must not contain {found}; remove it")
        return value
