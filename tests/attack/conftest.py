"""One database for all attacks of a module: each is rolled back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from tests.attack.expected import Rights
from tests.attack.scene import LOGIN, Connection, Scene, make_scene

from trunkline.db.urls import sqlalchemy_url, with_database


@pytest.fixture(scope="module")
def attacked_url(admin_url: str, template: str) -> Iterator[str]:
    """The owner's URL of the module's own database."""
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        create = sql.SQL("create database {} template {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
    yield with_database(admin_url, name)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def attacked_login_url(attacked_url: str) -> str:
    """The login role's URL of the same database."""
    url = sqlalchemy_url(attacked_url).set(username=LOGIN, password="only-on-loopback", drivername="postgresql")
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def scene(attacked_url: str) -> Scene:
    """Two tenants and everybody who may try."""
    return make_scene(attacked_url)


@pytest.fixture
def owner(attacked_url: str, scene: Scene) -> Iterator[Connection]:
    """The owner, in a transaction that is rolled back."""
    del scene  # it must be there before the transaction begins
    with psycopg.connect(attacked_url) as connection:
        connection.execute("set local client_min_messages = notice")
        yield connection
        connection.rollback()


@pytest.fixture
def rights(owner: Connection, scene: Scene) -> Rights:
    """What the specification allows in this scene."""
    return Rights(owner, scene)
