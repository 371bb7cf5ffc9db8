"""What collectors of evidence start from: a connection, the catalogue, and its comparison with a target."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue
from trunkline.postgres.catalogue.read import read_catalogue
from trunkline.readiness.matching import Matching, match
from trunkline.readiness.report import NotChecked
from trunkline.readiness.target import Target


@dataclass(frozen=True)
class Look:
    """A transaction that looks at a database."""

    connection: psycopg.Connection
    catalogue: Catalogue
    target: Target
    matching: Matching
    note: list[NotChecked] = field(default_factory=list[NotChecked])


@contextmanager
def look(url: str, target: Target, *, role: str | None = None, path: str = "pg_catalog, pg_temp") -> Generator[Look]:
    """Look at a database as an analysis does, as another role where one is named."""
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute("set local lock_timeout = '50ms'")
        connection.execute("select set_config('search_path', %s, true)", (path,))
        if role is not None:
            connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        catalogue = read_catalogue(connection)
        yield Look(connection, catalogue, target, match(catalogue, target))


def run(url: str, statements: str) -> None:
    """SQL by the owner of a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())
