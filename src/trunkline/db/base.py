"""What every mapped class shares: ids, times, the tenant column, the names of constraints."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import uuid6
from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.decl_api import declared_attr

NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
"""PostgreSQL's own default names, so that hand-made and migrated tables agree with ours."""


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562, 5.7): time-ordered, so that new rows share index pages."""
    return UUID(int=uuid6.uuid7().int)


class Base(DeclarativeBase):
    """Base of all mapped classes."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: TIMESTAMP(timezone=True),
        UUID: Uuid(),
        str: Text(),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
    }


class Identified:
    """A `uuid` primary key; UUIDv7 where we make it, legacy ids stay as they are."""

    id: Mapped[UUID] = mapped_column(
        primary_key=True, default=new_id, server_default=text("app.uuid7()"), sort_order=-20
    )


class Created:
    """The moment of the row's insertion."""

    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"), sort_order=90)


class Updated(Created):
    """Insertion and last change; a trigger keeps the latter."""

    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"), sort_order=91)


class Tenant(Identified):
    """A row of one organization. `organization_id` never changes (trigger)."""

    @declared_attr
    def organization_id(cls) -> Mapped[UUID]:  # noqa: N805
        """The organization that owns the row."""
        return mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"), sort_order=-10)


def belongs_to(
    column: str, parent: str, *, on_delete: str = "CASCADE", use_alter: bool = False
) -> ForeignKeyConstraint:
    """A composite foreign key `(organization_id, column)`: the parent is always of the same organization."""
    action = on_delete if on_delete == "CASCADE" else f"{on_delete} ({column})"
    return ForeignKeyConstraint(
        ["organization_id", column],
        [f"{parent}.organization_id", f"{parent}.id"],
        ondelete=action,
        use_alter=use_alter,
    )


def parent_key() -> UniqueConstraint:
    """What a composite foreign key of a child points at."""
    return UniqueConstraint("organization_id", "id")
