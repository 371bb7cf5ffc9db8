"""A PostgreSQL of the benchmarks' own, with a fresh database for each run."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from trunkline.db.urls import with_database
from trunkline.postgres.embedded import EmbeddedServer

ROOT = Path(__file__).parents[1]

LOGIN = "trunkline_bench_login"
PASSWORD = "only-on-loopback"

SETTINGS = {
    # What the code costs is measured, not the disk: nothing waits for it, and nothing works in the background.
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "16GB",
    "synchronous_commit": "off",
    # A window of its own: with the default of 128 MB a million messages would be read through the system's cache.
    "shared_buffers": "1GB",
}


@contextmanager
def fresh_database() -> Generator[str]:
    """The owner's URL of an empty database, dropped at the end."""
    server = EmbeddedServer(ROOT / ".data" / "benchmarks", settings=SETTINGS)
    admin_url = server.start().url()
    name = f"trunkline_bench_{secrets.token_hex(6)}"
    identifier = sql.Identifier(name)
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} template template0").format(identifier))
        try:
            yield with_database(admin_url, name)
        finally:
            with psycopg.connect(admin_url, autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(identifier))
    finally:
        server.release()
