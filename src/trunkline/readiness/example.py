"""A small target: what the cases of the checks are judged against, and an example of how to declare one's own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from trunkline.readiness.target import Command, Target, target_of


@dataclass(frozen=True)
class Allow:
    """Any object with these attributes will do."""

    role: str
    commands: tuple[Command, ...]
    rows: str
    columns: tuple[str, ...] | None = None
    check: str | None = None


_EVERYTHING: tuple[Command, ...] = ("select", "insert", "update", "delete")
_MY_SHOPS = "exists (select 1 from public.shops s where s.id = shop_id and s.owner_id = (select auth.uid()))"

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

shops = Table(
    "shops",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("owner_id", Uuid, nullable=False, index=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("owner_id", "name"),
    info={
        "formerly": ("stores",),
        "access": (Allow("authenticated", _EVERYTHING, "owner_id = (select auth.uid())"),),
    },
)

orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("shop_id", Uuid, ForeignKey("shops.id", ondelete="CASCADE"), nullable=False),
    Column("status", Text, nullable=False, server_default="open", info={"formerly_values": {"new": "open"}}),
    Column("note", Text, info={"formerly": ("remark",)}),
    Column("currency", Text, info={"formerly_in": ("config", ("currency", "currency_code"))}),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    CheckConstraint("status in ('open', 'paid')", name="status"),
    Index(None, "shop_id", "created_at"),
    info={"access": (Allow("authenticated", _EVERYTHING, _MY_SHOPS),)},
)


def example_target() -> Target:
    """The two tables as a target."""
    return target_of(metadata, name="example")


def _clean() -> str:
    statements: list[str] = []
    for table in example_target().tables.values():
        statements += table.statements
        statements += [f"alter table {table.name.sql} {each} row level security" for each in ("enable", "force")]
        for access in table.access or ():
            statements.append(f"grant {', '.join(access.commands)} on {table.name.sql} to {access.role}")
            statements.append(
                f"create policy {table.name.name}_of_owner on {table.name.sql} to {access.role}"
                f" using ({access.rows}) with check ({access.rows})"
            )
    return ";\n".join(statements) + ";\n"


CLEAN = _clean()
"""SQL of a database that is just as the example wants it."""
