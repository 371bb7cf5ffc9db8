"""Rows that are there, for tables on which no row can be made up: reading is tried on some of them."""

from __future__ import annotations

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Relation
from trunkline.readiness.evidence.asking import table, words
from trunkline.readiness.evidence.behaviour.attempt import CannotTell
from trunkline.readiness.evidence.synthesis import where

_MOST = 3
"""Rows that are looked for."""


def reading(connection: psycopg.Connection, catalogue: Catalogue, relation: Relation) -> sql.Composed | None:
    """A statement that reads some rows of a table; None where it has none.

    By their keys: without, a table of millions would be searched to its end for a row that the reader sees.

    Raises:
        CannotTell: the connected role may not look, or sees none because policies bind it.
    """
    key = relation.primary_key
    columns = [sql.SQL("{}::pg_catalog.text").format(sql.Identifier(each)) for each in key]
    query = sql.SQL("select {} from {} limit {}").format(
        sql.SQL(", ").join(columns or [sql.SQL("1")]), table(relation.name), _MOST
    )
    try:
        with connection.transaction(force_rollback=True):
            rows = connection.execute(query, prepare=False).fetchall()
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise CannotTell(f"the server said: {words(error)}") from None
    if not rows:
        _explain_none(catalogue, relation)
        return None
    if not key:
        return sql.SQL("select 1 from {} limit 1").format(table(relation.name))
    each_row = [sql.SQL("({})").format(where(dict(zip(key, row, strict=True)))) for row in rows]
    return sql.SQL("select 1 from {} where {}").format(table(relation.name), sql.SQL(" or ").join(each_row))


def _explain_none(catalogue: Catalogue, relation: Relation) -> None:
    server = catalogue.server
    is_bound = relation.has_row_security and (
        relation.forces_row_security or relation.owner not in catalogue.roles_of(server.user)
    )
    if is_bound and not server.is_superuser and not server.bypasses_rls:
        raise CannotTell("the connected role sees 0 rows because of RLS")
