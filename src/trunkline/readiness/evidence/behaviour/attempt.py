"""One statement as one role, and what its outcome means for the policies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.evidence.asking import words
from trunkline.readiness.evidence.behaviour.actors import ANON, Actor
from trunkline.readiness.target import Command

Outcome = Literal["allowed", "denied", "error"]
_ASIDE = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.ReadOnlySqlTransaction,
)


class CannotTell(Exception):
    """The outcome says nothing about the policies: a timeout, a lock, a table that replication keeps as it is."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    outcome: Outcome
    detail: str = ""
    is_rule: bool = False
    """Something other than a policy decided, a trigger for one; rights can't be told from it."""


def become(connection: psycopg.Connection, actor: Actor) -> None:
    """Act as somebody until the savepoint `actor` is gone back to.

    Raises:
        psycopg.Error: the connected role may not act as this role.
    """
    claims = {"request.jwt.claims": json.dumps(actor.claims)}
    # Before version 9 of PostgREST each claim had a setting of its own, and Supabase's functions still ask for these.
    claims |= {f"request.jwt.claim.{name}": str(actor.claims.get(name, "")) for name in ("sub", "role")}
    settings = [
        sql.SQL("pg_catalog.set_config({}, {}, true)").format(sql.Literal(name), sql.Literal(value))
        for name, value in claims.items()
    ]
    query = sql.SQL("savepoint actor; set local role {}; select {}; savepoint attempt").format(
        sql.Identifier(actor.role), sql.SQL(", ").join(settings)
    )
    connection.execute(query, prepare=False)


def leave(connection: psycopg.Connection) -> None:
    """Be the connected role again, with nothing done."""
    connection.execute("rollback to savepoint actor", prepare=False)


def attempt(
    connection: psycopg.Connection, actor: Actor, relation: Relation, command: Command, statement: sql.Composable
) -> Result:
    """Run a statement as the actor; its effect is gone with the next attempt.

    Raises:
        CannotTell: says why.
        psycopg.Error: the connection is lost.
    """
    query = sql.SQL("rollback to savepoint attempt; {}").format(statement)
    try:
        cursor = connection.execute(query, prepare=False)
        while cursor.nextset():
            pass
    except psycopg.Error as error:
        if connection.closed:
            raise
        return _judge(error, actor, relation, command)
    return Result("allowed" if cursor.rowcount > 0 else "denied")


def _judge(error: psycopg.Error, actor: Actor, relation: Relation, command: Command) -> Result:
    said = words(error)
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return _judge_refusal(said, actor, relation)
        case psycopg.errors.ForeignKeyViolation() if error.diag.constraint_name and command != "delete":
            return Result("denied", said, is_rule=True)
        case psycopg.errors.IntegrityError() if error.diag.constraint_name or error.diag.column_name:
            # Policies are asked before constraints are: this row has passed them.
            return Result("allowed", f"the policies let it through, and only a constraint stopped this row: {said}")
        case psycopg.errors.IntegrityError() | psycopg.errors.RaiseException():
            return Result("denied", f"a trigger refused: {said}", is_rule=True)
        case _ if isinstance(error, _ASIDE):
            raise CannotTell(said)
        case _:
            return Result("error", f"{said} (SQLSTATE {error.sqlstate})")


def _judge_refusal(said: str, actor: Actor, relation: Relation) -> Result:
    names = (relation.name.name, relation.name.schema)
    is_plain = "row-level security" in said or said.rpartition(" ")[2] in names
    if is_plain or actor.role == ANON:
        return Result("denied", said)
    return Result("error", f"a policy needs a right that role {actor.role} lacks: {said}")
