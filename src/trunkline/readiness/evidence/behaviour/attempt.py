"""Statements as one role or another, and what their outcomes mean for the policies.

All that is tried on a table goes to the server in one trip: a database is often far away. So a block of PL/pgSQL runs
the statements, undoes each, and notes what came of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypedDict, cast

import psycopg
from psycopg import sql

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.evidence.asking import words
from trunkline.readiness.evidence.behaviour.actors import ANON, Actor
from trunkline.readiness.target import Command

Outcome = Literal["allowed", "denied", "error"]
_ASIDE = ("57014", "55P03", "55000", "25006")
"""Canceled, locked, held by replication, read-only: these say nothing about policies."""
_DONE = "TL000"
"""SQLSTATE by which a block that went well is undone."""
_BLOCK = """
declare
  statement text;
  touched bigint;
  state text;
  said text;
  by_constraint text;
  by_column text;
  outcomes jsonb := '[]';
begin
  {claims}
  foreach statement in array array[{statements}]::text[] loop
    begin
      execute statement;
      get diagnostics touched = row_count;
      raise exception using errcode = {done}, message = touched::text;
    exception when others then
      get stacked diagnostics state = returned_sqlstate, said = message_text,
        by_constraint = constraint_name, by_column = column_name;
      outcomes := outcomes || pg_catalog.jsonb_build_object('state', state, 'said', said,
        'constraint', by_constraint, 'column', by_column);
    end;
  end loop;
  perform pg_catalog.set_config('trunkline.outcomes', outcomes::text, true);
end
"""


class CannotTell(Exception):
    """The outcome says nothing about the policies: a timeout, a lock, a table that replication keeps as it is."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One statement, by somebody."""

    actor: Actor
    relation: Relation
    command: Command
    statement: sql.Composable


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    outcome: Outcome
    detail: str = ""
    is_rule: bool = False
    """Something other than a policy decided, a trigger for one; rights can't be told from it."""


class _Raw(TypedDict):
    state: str
    said: str
    constraint: str
    column: str


def act_as(connection: psycopg.Connection, actor: Actor) -> None:
    """Become somebody and go back.

    Raises:
        psycopg.errors.InsufficientPrivilege: the connected role may not; the transaction goes on.
    """
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(actor.role)), prepare=False)


def try_all(connection: psycopg.Connection, attempts: Sequence[Attempt]) -> list[Result | CannotTell]:
    """Run the statements, each undone before the next; what came of them, in their order.

    Raises:
        psycopg.Error: the connection is lost, or the connected role may not act as one of them (see `act_as`).
    """
    if not attempts:
        return []
    parts = [_as_actor(connection, actor, list(group)) for actor, group in groupby(attempts, lambda each: each.actor)]
    query = sql.SQL("savepoint trial; {} rollback to savepoint trial").format(sql.SQL(" ").join(parts))
    try:
        raw = list(_answers(connection.execute(query, prepare=False)))
    except psycopg.errors.QueryCanceled as error:
        connection.execute("rollback to savepoint trial", prepare=False)
        return [CannotTell(words(error))] * len(attempts)
    except psycopg.Error:
        if not connection.closed:
            connection.execute("rollback to savepoint trial", prepare=False)
        raise
    return [_judge(one, attempt) for one, attempt in zip(raw, attempts, strict=True)]


def _as_actor(connection: psycopg.Connection, actor: Actor, attempts: list[Attempt]) -> sql.Composed:
    settings = [
        sql.SQL("perform pg_catalog.set_config({}, {}, true);").format(sql.Literal(name), sql.Literal(value))
        for name, value in _claims(actor.claims).items()
    ]
    block = sql.SQL(_BLOCK).format(
        claims=sql.SQL(" ").join(settings),
        statements=sql.SQL(", ").join(sql.Literal(each.statement.as_string(connection)) for each in attempts),
        done=sql.Literal(_DONE),
    )
    return sql.SQL(
        "savepoint actor; set local role {}; do {};"
        " select pg_catalog.current_setting('trunkline.outcomes'); rollback to savepoint actor;"
    ).format(sql.Identifier(actor.role), sql.Literal(block.as_string(connection)))


def _claims(claims: Mapping[str, object]) -> dict[str, str]:
    """Before version 9 of PostgREST each claim had a setting of its own, and Supabase's functions still ask for it."""
    each = {f"request.jwt.claim.{name}": str(claims.get(name, "")) for name in ("sub", "role")}
    return {"request.jwt.claims": json.dumps(claims), **each}


def _answers(cursor: psycopg.Cursor) -> Iterator[_Raw]:
    while True:
        if cursor.description is not None:
            for (text,) in cursor.fetchall():
                yield from cast("list[_Raw]", json.loads(text))
        if not cursor.nextset():
            return


def _judge(raw: _Raw, attempt: Attempt) -> Result | CannotTell:
    state, said = raw["state"], raw["said"]
    is_constraint = bool(raw["column"]) or _has_constraint(attempt, raw["constraint"])
    if state == _DONE:
        return Result("allowed" if int(said) > 0 else "denied")
    if state in _ASIDE:
        return CannotTell(said)
    if state == "42501":
        return _judge_refusal(said, attempt)
    if state == "23503" and is_constraint and attempt.command != "delete":
        return Result("denied", said, is_rule=True)
    if state.startswith("23") and is_constraint:
        # Policies are asked before constraints are: this row has passed them.
        return Result("allowed", f"the policies let it through, and only a constraint stopped this row: {said}")
    if state.startswith("23") or state == "P0001":
        return Result("denied", f"a trigger refused: {said}", is_rule=True)
    return Result("error", f"{said} (SQLSTATE {state})")


def _has_constraint(attempt: Attempt, name: str) -> bool:
    """Whether a constraint spoke, and not a trigger that gives itself a constraint's name."""
    relation = attempt.relation
    if attempt.command == "delete" or relation.kind == "partitioned table":
        return bool(name)  # one of a table below, or of a partition
    return name in {each.name for each in (*relation.constraints, *relation.indexes)}


def _judge_refusal(said: str, attempt: Attempt) -> Result:
    name, role = attempt.relation.name, attempt.actor.role
    is_plain = "row-level security" in said or said.rpartition(" ")[2] in (name.name, name.schema)
    if is_plain or role == ANON:
        return Result("denied", said)
    return Result("error", f"a policy needs a right that role {role} lacks: {said}")
