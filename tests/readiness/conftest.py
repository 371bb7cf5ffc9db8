"""Databases to look at, on each major version of PostgreSQL that can be had."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from tests.factories.servers import NotHad, running_server

from trunkline.db.urls import with_database

MAJORS = (15, 16, 17, 18)

ServerOf = Callable[[int], str]


@pytest.fixture(scope="session")
def server_of(request: pytest.FixtureRequest) -> Iterator[ServerOf]:
    """The superuser's URL of a server of a major version. It is started at the first call, and ended at the end."""
    with contextlib.ExitStack() as running:
        urls: dict[int, str] = {}

        def url(major: int) -> str:
            if major not in urls:
                try:
                    urls[major] = (
                        request.getfixturevalue("admin_url")
                        if major == 18
                        else running.enter_context(running_server(major))
                    )
                except NotHad as reason:
                    pytest.skip(str(reason))
            return urls[major]

        yield url


@pytest.fixture(params=MAJORS, ids=lambda major: f"postgres{major}")
def any_server(request: pytest.FixtureRequest, server_of: ServerOf) -> str:
    """The superuser's URL of a server of each major version in turn; 18 is the one of all other tests."""
    return server_of(request.param)


@pytest.fixture
def any_url(any_server: str) -> Iterator[str]:
    """The owner's URL of an empty database on each major version in turn."""
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(any_server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    yield with_database(any_server, name)
    with psycopg.connect(any_server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
