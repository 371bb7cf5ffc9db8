"""Tables of people and organizations, each with who may reach its rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from trunkline.db.access import AUTHENTICATED, SERVICE, Allow, claimed, claimed_unbound, member
from trunkline.db.base import Base, Created, Identified, Tenant, Updated, parent_key

ROLES = ("owner", "admin", "member", "viewer")
"""Roles of a member, strongest first."""

auth_users = Table(
    "users",
    Base.metadata,
    Column("id", Uuid(), primary_key=True),
    Column("email", Text()),
    schema="auth",
    # Supabase's own table where there is Supabase; the baseline makes a small equal elsewhere.
    info={"external": True},
)


class Profile(Updated, Base):
    """A person; `id` is the person's id in `auth.users`."""

    __tablename__ = "profiles"
    __table_args__ = (
        {
            "info": {
                "columns": {"id": {"contract": True}},
                "access": (
                    Allow(AUTHENTICATED, ("select",), "id = any ((select app.visible_profile_ids())::uuid[])"),
                    Allow(AUTHENTICATED, ("insert",), "id = (select app.user_id())"),
                    Allow(
                        AUTHENTICATED, ("update",), "id = (select app.user_id())", columns=("full_name", "avatar_url")
                    ),
                    Allow(
                        SERVICE,
                        ("select",),
                        "id in (select m.user_id from public.organization_members m"
                        " where m.organization_id = (select app.organization_id()))",
                    ),
                ),
            }
        },
    )

    id: Mapped[UUID] = mapped_column(ForeignKey("auth.users.id", ondelete="CASCADE"), primary_key=True)
    email: Mapped[str | None]
    full_name: Mapped[str | None]
    avatar_url: Mapped[str | None]


class Organization(Identified, Updated, Base):
    """A tenant. Its slug is public: it names the organization in addresses and is unique among all."""

    __tablename__ = "organizations"
    __table_args__ = (
        UniqueConstraint("slug"),
        Index(None, "owner_id"),
        CheckConstraint("char_length(name) between 1 and 120", "name"),
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", "slug"),
        CheckConstraint("char_length(description) <= 2000", "description"),
        {
            "info": {
                "component": "architecture",
                "access": (
                    Allow(AUTHENTICATED, ("select",), member("viewer", "id")),
                    Allow(AUTHENTICATED, ("update",), member("admin", "id"), columns=("name", "slug", "description")),
                    Allow(AUTHENTICATED, ("delete",), member("owner", "id")),
                    Allow(SERVICE, ("select",), claimed("id")),
                    Allow(SERVICE, ("update",), claimed_unbound("id"), columns=("name", "slug", "description")),
                ),
            }
        },
    )

    name: Mapped[str]
    slug: Mapped[str]
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id", ondelete="RESTRICT"))
    description: Mapped[str] = mapped_column(server_default=text("''"))


_KEY_FACE = (
    "id",
    "organization_id",
    "name",
    "prefix",
    "scopes",
    "created_by",
    "created_at",
    "expires_at",
    "revoked_at",
)
"""All of a key's row but the hash."""

_CREDENTIAL_FACE = (
    "id",
    "organization_id",
    "name",
    "provider",
    "base_url",
    "hint",
    "created_by",
    "created_at",
    "updated_at",
)
"""All of a credential's row but the ciphertext."""

_MAY_MANAGE = f"({member('owner')} or ({member('admin')} and role <> 'owner'))"


class OrganizationMember(Tenant, Created, Base):
    """A person's role in an organization. The last owner can neither leave nor be demoted (trigger)."""

    __tablename__ = "organization_members"
    __table_args__ = (
        UniqueConstraint("organization_id", "user_id"),
        Index(None, "user_id", info={"contract": True}),
        CheckConstraint(f"role in {ROLES}", "role"),
        {
            "info": {
                "component": "architecture",
                "access": (
                    Allow(AUTHENTICATED, ("select",), member()),
                    Allow(AUTHENTICATED, ("insert",), _MAY_MANAGE),
                    Allow(AUTHENTICATED, ("update",), _MAY_MANAGE, columns=("role",)),
                    Allow(AUTHENTICATED, ("delete",), f"({_MAY_MANAGE} or user_id = (select app.user_id()))"),
                    Allow(SERVICE, ("select",), claimed()),
                ),
            }
        },
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"))
    role: Mapped[str]


class ApiKeyRow(Tenant, Created, Base):
    """A program's key: what is stored is its prefix and its SHA-256, never the key."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("key_hash"),
        Index(None, "organization_id"),
        Index(None, "created_by"),
        CheckConstraint("char_length(name) between 1 and 120", "name"),
        CheckConstraint("octet_length(key_hash) = 32", "key_hash"),
        {
            "info": {
                "access": (
                    Allow(AUTHENTICATED, ("select",), member("admin"), columns=_KEY_FACE),
                    Allow(AUTHENTICATED, ("insert",), member("admin")),
                    Allow(AUTHENTICATED, ("update",), member("admin"), columns=("name", "revoked_at")),
                    Allow(SERVICE, ("select",), claimed_unbound(), columns=_KEY_FACE),
                    Allow(SERVICE, ("insert",), claimed_unbound()),
                    Allow(SERVICE, ("update",), claimed_unbound(), columns=("name", "revoked_at")),
                )
            }
        },
    )

    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[bytes] = mapped_column(LargeBinary())
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()), server_default=text("'{}'"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="SET NULL"))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Credential(Tenant, Updated, Base):
    """A provider's key, encrypted (AES-GCM) with the row's identity and `KeptFor` as associated data.

    It is for one provider at one address, which never change: who may edit agents can't turn it elsewhere.
    """

    __tablename__ = "credentials"
    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        parent_key(),
        Index(None, "created_by"),
        CheckConstraint("char_length(name) between 1 and 120", "name"),
        CheckConstraint("base_url ~ '^https?://' and base_url !~ '/$' and char_length(base_url) <= 2000", "base_url"),
        {
            "info": {
                "access": (
                    # Members manage credentials by name; the ciphertext is the service's alone.
                    Allow(AUTHENTICATED, ("select",), member("admin"), columns=_CREDENTIAL_FACE),
                    Allow(AUTHENTICATED, ("insert",), member("admin")),
                    Allow(AUTHENTICATED, ("update",), member("admin"), columns=("name", "ciphertext", "hint")),
                    Allow(AUTHENTICATED, ("delete",), member("admin")),
                    Allow(SERVICE, ("select",), claimed()),
                    Allow(SERVICE, ("insert", "delete"), claimed_unbound()),
                    Allow(SERVICE, ("update",), claimed_unbound(), columns=("name", "ciphertext", "hint")),
                )
            }
        },
    )

    name: Mapped[str]
    provider: Mapped[str]
    base_url: Mapped[str | None]
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary())
    hint: Mapped[str] = mapped_column(String(8), server_default=text("''"))
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="SET NULL"))


_AUDIT_FACE = (
    "id",
    "organization_id",
    "actor_kind",
    "actor_id",
    "action",
    "object_type",
    "object_id",
    "details",
    "ip_address",
)
"""All of an audit record's row but the time."""


class AuditLog(Tenant, Created, Base):
    """What was done by whom; append-only for everybody."""

    __tablename__ = "audit_logs"
    # Most who write a record may not read it, so nothing is asked back. (ClassVar is what SQLAlchemy's types refuse.)
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012
    __table_args__ = (
        Index(None, "organization_id", "created_at"),
        {
            "info": {
                "access": (
                    Allow(AUTHENTICATED, ("select",), member("admin")),
                    # Who did it and when is not the writer's to say.
                    Allow(
                        AUTHENTICATED,
                        ("insert",),
                        member("viewer") + " and actor_kind = 'member' and actor_id = (select app.user_id())",
                        columns=_AUDIT_FACE,
                    ),
                    Allow(SERVICE, ("select",), claimed_unbound()),
                    Allow(SERVICE, ("insert",), claimed()),
                )
            }
        },
    )

    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB(), server_default=text("'{}'"))
    ip_address: Mapped[str | None] = mapped_column(String(45))
