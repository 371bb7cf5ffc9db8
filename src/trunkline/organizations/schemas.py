"""What the API takes and gives about organizations, members, keys and credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from trunkline.api import OrganizationField, Schema, Text, View

Slug = Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["corner-bakery"])
Role = Literal["owner", "admin", "member", "viewer"]


class NewOrganization(Schema):
    """A tenant to be made; its maker becomes the owner."""

    name: Text = Field(min_length=1, max_length=120, examples=["Corner Bakery"])
    slug: str = Slug
    description: Text = Field(default="", max_length=2000)


class OrganizationView(View):
    """A tenant."""

    id: UUID
    name: str
    slug: str
    owner_id: UUID
    description: str
    created_at: datetime
    updated_at: datetime


class NewMember(Schema):
    """A person to be added; the person has signed up already."""

    user_id: UUID
    role: Role = "member"


class MemberView(View):
    """A person's role."""

    id: UUID
    organization_id: UUID
    user_id: UUID
    role: Role
    created_at: datetime


class NewKey(Schema):
    """A key to be made."""

    name: Text = Field(min_length=1, max_length=120, examples=["website backend"])
    scopes: list[str] = Field(default_factory=lambda: ["*"], min_length=1, max_length=20)
    expires_at: AwareDatetime | None = None
    organization_id: OrganizationField = None


class KeyView(View):
    """A key, without the key."""

    id: UUID
    organization_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyMade(KeyView):
    """A fresh key; the only time that it is shown."""

    key: str


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable, parts = False, urlsplit("")
    if not is_usable or "@" in parts.netloc or "?" in value or "#" in value or not value.isascii() or " " in value:
        raise ValueError("must be the address of a server, such as https://models.example/v1, without user or query")
    return value.rstrip("/")


BaseUrl = Annotated[Text, AfterValidator(_base_url)]
"""Where a provider's API begins, without a slash at its end."""


class NewCredential(Schema):
    """A provider's key to be stored, encrypted."""

    name: Text = Field(min_length=1, max_length=120, examples=["openai"])
    provider: Text = Field(min_length=1, max_length=60, examples=["openai"])
    base_url: BaseUrl | None = Field(
        default=None,
        max_length=2000,
        description="The one address that the key may be sent to, as agents name it in llm_base_url;"
        " null for the provider's own",
        examples=["https://models.example/v1"],
    )
    secret: str = Field(min_length=1, max_length=4000, description="The provider's key; never given back")
    organization_id: OrganizationField = None


class CredentialView(View):
    """A stored key, without the key; `hint` is its end."""

    id: UUID
    organization_id: UUID
    name: str
    provider: str
    base_url: str | None
    hint: str
    created_at: datetime
