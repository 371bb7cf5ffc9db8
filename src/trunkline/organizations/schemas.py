"""What the API takes and gives about organizations, members, keys and credentials."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

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


class NewCredential(Schema):
    """A provider's key to be stored, encrypted."""

    name: Text = Field(min_length=1, max_length=120, examples=["openai"])
    provider: Text = Field(min_length=1, max_length=60, examples=["openai"])
    secret: str = Field(min_length=1, max_length=4000, description="The provider's key; never given back")
    organization_id: OrganizationField = None


class CredentialView(View):
    """A stored key, without the key; `hint` is its end."""

    id: UUID
    organization_id: UUID
    name: str
    provider: str
    hint: str
    created_at: datetime
