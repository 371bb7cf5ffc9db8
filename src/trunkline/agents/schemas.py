"""What the API takes and gives about agents."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from trunkline.agents.settings import SLUG, AgentSettings
from trunkline.api import OrganizationField, Schema, View


class NewAgent(AgentSettings):
    """An agent to be made: settings that are left out have their defaults; the slug comes from the name."""

    organization_id: OrganizationField = None

    @model_validator(mode="before")
    @classmethod
    def _name_gives_slug(cls, values: Any) -> Any:
        if isinstance(values, dict) and "slug" not in values:
            given = cast("dict[str, Any]", values)
            return {**given, "slug": slug_of(str(given.get("name", "")))}
        return cast("Any", values)


def slug_of(name: str) -> str:
    """A name as it stands in addresses: lower-case ASCII letters, digits and hyphens; `agent` where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].rstrip("-") or "agent"


class AgentChange(AgentSettings):
    """Settings to be changed: those left out stay as they are; a bundle that is sent replaces the whole bundle."""

    name: str = Field(default="unchanged", min_length=1, max_length=120)
    slug: str = Field(default="unchanged", min_length=1, max_length=63, pattern=SLUG)
    is_active: bool = True


class AgentView(AgentSettings):
    """An agent: its settings as they are being edited, and what is published of it."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")

    id: UUID
    organization_id: UUID
    is_active: bool
    is_published: bool
    version: int
    published_version_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    problem: str | None = Field(
        default=None, description="What of the stored settings can't be read; shown as its default, and to be set anew"
    )


class Publish(Schema):
    """What to note with a version."""

    notes: str | None = Field(default=None, max_length=2000)


class VersionView(View):
    """A published version."""

    id: UUID
    agent_id: UUID
    version: int
    notes: str | None
    created_by: UUID | None
    created_at: datetime


class PublicAgent(View):
    """What a visitor may know of an agent."""

    id: UUID
    name: str
    description: str
    avatar_url: str | None
    language: str
    first_message: str | None
    suggested_questions: list[str]
    widget_config: dict[str, Any]
