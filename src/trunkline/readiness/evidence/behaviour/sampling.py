"""Reading rows that are there, as a role that owns none of them: for tables on which no row can be made up."""

from __future__ import annotations

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Relation
from trunkline.readiness.evidence.asking import table, words
from trunkline.readiness.evidence.behaviour.actors import Actor
from trunkline.readiness.evidence.behaviour.attempt import CannotTell, attempt, become, leave
from trunkline.readiness.report import Observation


def read_existing(
    connection: psycopg.Connection, catalogue: Catalogue, relation: Relation, actors: list[Actor]
) -> list[Observation]:
    """Whether each actor sees a row of the table; nothing where the table is empty.

    Raises:
        CannotTell: the connected role sees no rows, or may not look.
    """
    query = sql.SQL("select 1 from {} limit 1").format(table(relation.name))
    if not _has_rows(connection, catalogue, relation, query):
        return []
    found: list[Observation] = []
    for actor in actors:
        become(connection, actor)
        try:
            result = attempt(connection, actor, relation, "select", query)
        finally:
            if not connection.closed:
                leave(connection)
        found.append(
            Observation(
                role=actor.role,
                principal=actor.name_abroad,
                table=str(relation.name),
                command="select",
                rows="foreign",
                outcome=result.outcome,
                detail=result.detail or ("a row that is there was read" if result.outcome == "allowed" else ""),
            )
        )
    return found


def _has_rows(connection: psycopg.Connection, catalogue: Catalogue, relation: Relation, query: sql.Composed) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            if connection.execute(query, prepare=False).fetchone() is not None:
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
