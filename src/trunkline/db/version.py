"""Which revision of the schema this code needs; apart from Alembic, so that a server starts without loading it."""

from __future__ import annotations

VERSION_SCHEMA = "trunkline"
"""Schema of Alembic's version table: never among the tables that PostgREST serves."""

HEAD = "0001"
"""The newest revision; a test proves that it is."""
