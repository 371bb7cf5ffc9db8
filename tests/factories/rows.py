"""Rows written as the owner, past every policy: what a test finds already there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from trunkline.db.base import new_id


def insert(connection: psycopg.Connection, table: str, **values: Any) -> UUID:
    """Insert one row and return its id; JSON objects and lists of objects are sent as JSONB."""
    values.setdefault("id", new_id())
    columns = sql.SQL(", ").join(map(sql.Identifier, values))
    marks = sql.SQL(", ").join(sql.Placeholder() * len(values))
    schema, _, name = table.rpartition(".")
    connection.execute(
        sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(schema or "public", name), columns, marks),
        [_adapt(value) for value in values.values()],
    )
    return values["id"]


def person(connection: psycopg.Connection, email: str) -> UUID:
    """A user with a profile."""
    user_id = insert(connection, "auth.users", email=email)
    insert(connection, "profiles", id=user_id, email=email, full_name=email.partition("@")[0].title())
    return user_id


def organization(connection: psycopg.Connection, slug: str, owner: UUID) -> UUID:
    """An organization with its owner."""
    organization_id = insert(connection, "organizations", name=slug.title(), slug=slug, owner_id=owner)
    insert(connection, "organization_members", organization_id=organization_id, user_id=owner, role="owner")
    return organization_id


def agent(connection: psycopg.Connection, organization_id: UUID, slug: str, website: str, **values: Any) -> UUID:
    """A published agent of the scripted provider, allowed on one website."""
    settings = {
        "name": slug.title(),
        "slug": slug,
        "llm_provider": "scripted",
        "llm_model": "echo",
        "allowed_domains": [website],
        "channels": ["web", "api"],
        **values,
    }
    agent_id = insert(connection, "agents", organization_id=organization_id, **settings)
    snapshot = {key: value for key, value in settings.items() if not isinstance(value, UUID)}
    version_id = insert(
        connection,
        "agent_versions",
        organization_id=organization_id,
        agent_id=agent_id,
        version=1,
        snapshot=json.loads(json.dumps(snapshot, default=str)),
    )
    connection.execute(
        "update public.agents set is_published = true, published_version_id = %s where id = %s", (version_id, agent_id)
    )
    return agent_id


def _adapt(value: object) -> object:
    return Jsonb(value) if _is_json(value) else value


def _is_json(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, dict) for item in cast("list[object]", value))
    return isinstance(value, Mapping)
