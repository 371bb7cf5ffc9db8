"""Rows that are there, for tables on which no row can be made up: are there any to try reading on?"""

from __future__ import annotations

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Relation
from trunkline.readiness.evidence.asking import table, words
from trunkline.readiness.evidence.behaviour.attempt import CannotTell


def any_row(relation: Relation) -> sql.Composed:
    """Reads one row, whichever the reader sees."""
    return sql.SQL("select 1 from {} limit 1").format(table(relation.name))


def has_rows(connection: psycopg.Connection, catalogue: Catalogue, relation: Relation) -> bool:
    """Whether the connected role sees a row.

    Raises:
        CannotTell: it may not look, or sees none because policies bind it.
    """
    try:
        with connection.transaction(force_rollback=True):
            if connection.execute(any_row(relation), prepare=False).fetchone() is not None:
                return True
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise CannotTell(f"the server said: {words(error)}") from None
    server = catalogue.server
    is_bound = relation.has_row_security and (
        relation.forces_row_security or relation.owner not in catalogue.roles_of(server.user)
    )
    if is_bound and not server.is_superuser and not server.bypasses_rls:
        raise CannotTell("the connected role sees 0 rows because of RLS")
    return False
