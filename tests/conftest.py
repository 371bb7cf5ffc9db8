"""A real PostgreSQL for every test: one cluster for all, a template database, a clone of it for each test.

Without TRUNKLINE_DATABASE_URL the embedded server runs under `.data/` of the checkout; with it, that server is used
(as a role that may create databases and roles). Test databases are named `trunkline_test_…` and dropped at the end.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.factories.world import World, make_world

from trunkline.db.revisions import versions
from trunkline.db.setup import prepare
from trunkline.db.tenant import Database
from trunkline.db.urls import sqlalchemy_url, with_database
from trunkline.postgres.embedded import EmbeddedServer

LOGIN = "trunkline_test_login"
PASSWORD = "only-on-loopback"
EXTERNAL = os.environ.get("TRUNKLINE_DATABASE_URL")
ROOT = Path(__file__).parent.parent

for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
    del os.environ[name]  # no test depends on the settings of whoever runs it


@pytest.fixture(scope="session")
def admin_url() -> Iterator[str]:
    """A role that may create databases and roles, on its maintenance database."""
    if EXTERNAL:
        yield EXTERNAL
        return
    server = EmbeddedServer(
        ROOT / ".data" / "tests",
        settings={"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200"},
    )
    running = server.start()
    yield running.url()
    server.release()


@pytest.fixture(scope="session")
def template(admin_url: str) -> str:
    """A database with our schema, built once for this state of the revisions; the workers share it."""
    files = sorted(Path(versions.__file__).parent.glob("r*"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    name = f"trunkline_test_template_{digest}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(20260101)")
        connection.execute("set client_min_messages = warning")
        done = connection.execute("select datistemplate from pg_database where datname = %s", (name,)).fetchone()
        if done != (True,):
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
            prepare(with_database(admin_url, name), login=LOGIN, password=PASSWORD)
            connection.execute(sql.SQL("alter database {} is_template true").format(sql.Identifier(name)))
        connection.execute("select pg_advisory_unlock(20260101)")
    return name


@pytest.fixture
def empty_url(admin_url: str) -> Iterator[str]:
    """The owner's URL of a database with nothing in it."""
    yield from _fresh(admin_url, "template0")


@pytest.fixture
def owner_url(admin_url: str, template: str) -> Iterator[str]:
    """The owner's URL of a fresh database with our schema."""
    yield from _fresh(admin_url, template)


@pytest.fixture
def login_url(owner_url: str) -> str:
    """The login role's URL of the same fresh database."""
    url = sqlalchemy_url(owner_url).set(username=LOGIN, password=PASSWORD, drivername="postgresql")
    return url.render_as_string(hide_password=False)


@pytest.fixture
async def database(login_url: str) -> AsyncGenerator[Database]:
    """The pool that the server uses, on the fresh database."""
    pool = Database(login_url, pool_size=5)
    yield pool
    await pool.close()


@pytest.fixture
def world(owner_url: str) -> World:
    """Two organizations with people, agents, sessions and messages, on the fresh database."""
    return make_world(owner_url)


def _fresh(admin_url: str, template: str) -> Iterator[str]:
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    yield with_database(admin_url, name)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
