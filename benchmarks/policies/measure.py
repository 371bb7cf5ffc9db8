"""Runs the same transactions as a tenant and as the owner, by turns, and looks at their plans."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from benchmarks.policies import load
from benchmarks.policies.load import Size, handle, row_id
from benchmarks.policies.statements import PAGE, Statement

from trunkline.db.base import new_id
from trunkline.db.principals import ApiKey, Member, Principal, Service, Visitor
from trunkline.db.tenant import PREPARE_AFTER, begin_as

TIMEOUT_MS = 15_000
"""Longest time of a statement, in milliseconds; set with each tenant's transaction, as by the server."""

TABLES = frozenset({"agent_sessions", "agent_messages", "agent_turns", "usage_logs"})
"""Tables that grow with use: none of them may be read from end to end."""

As = Callable[[Size, int], Principal]
"""The principal that works on a session, by the session's number."""


def turn(size: Size, session: int) -> Principal:
    """The server's work on one session."""
    return Service(row_id(load.ORGANIZATION, size.organization_of(session)), handle(session))


def api_key(size: Size, session: int) -> Principal:
    """A program of the session's organization."""
    return ApiKey(row_id(load.ORGANIZATION, size.organization_of(session)), uuid4(), frozenset({"*"}))


def visitor(size: Size, session: int) -> Principal:
    """The visitor whose session it is."""
    number = size.organization_of(session)
    agent, organization = row_id(load.AGENT, number), row_id(load.ORGANIZATION, number)
    return Visitor(agent, load.WEBSITE, organization, handle(session))


def member(size: Size, session: int) -> Principal:
    """The owner of the session's organization."""
    return Member(row_id(load.PERSON, size.organization_of(session)))


@dataclass(frozen=True, slots=True)
class Case:
    """Transactions that follow each other on one session, and who runs them."""

    name: str
    principal: As
    transactions: tuple[tuple[Statement, ...], ...]


@dataclass(frozen=True, slots=True)
class Tax:
    """Medians, in microseconds, of all transactions of a case, and of their statements alone."""

    tenant_us: float
    owner_us: float
    tenant_statements_us: float
    owner_statements_us: float

    @property
    def ratio(self) -> float:
        """Of whole transactions: role and claims, statements, commit."""
        return self.tenant_us / self.owner_us

    @property
    def statements_ratio(self) -> float:
        """Of the statements alone."""
        return self.tenant_statements_us / self.owner_statements_us


def values_for(size: Size, session: int) -> dict[str, Any]:
    """Values of every parameter of every statement, for one turn on one session."""
    number = size.organization_of(session)
    return {
        "organization_id": row_id(load.ORGANIZATION, number),
        "agent_id": row_id(load.AGENT, number),
        "session_row": row_id(load.SESSION, session),
        "handle": handle(session),
        "limit": PAGE,
        "key": str(uuid4()),
        "turn_id": new_id(),
        "message_id": new_id(),
        "answer_id": new_id(),
        "usage_id": new_id(),
        "is_estimated": False,
        "user_id": None,
        "content": "Tell me something about boats. " * 5,
        "lease_s": 15.0,
        "window": 20,
        "history": json.dumps([{"role": "user", "content": "Tell me something about boats. " * 30}]),
        "attempt": 1,
        "turn_status": "complete",
        "status": "complete",
        "provider": "scripted",
        "model": "lorem-40",
        "latency_ms": 1000,
        "input_tokens": 100,
        "output_tokens": 40,
    }


def measure(
    login_url: str, owner_url: str, size: Size, case: Case, times: int, sessions: Iterator[int], *, prepares: bool
) -> Tax:
    """Run a case `times` times as the tenant and as the owner, by turns, each time on a session of its own.

    `prepares`: as the server does on a direct connection; without, as it does behind a transaction pooler.
    """
    as_tenant = [[statement.tenant for statement in transaction] for transaction in case.transactions]
    as_owner = [[each.owner for each in transaction if each.owner is not None] for transaction in case.transactions]
    tenants: list[tuple[float, float]] = []
    owners: list[tuple[float, float]] = []
    threshold = PREPARE_AFTER if prepares else None
    with _connect(login_url, threshold) as tenant, _connect(owner_url, threshold) as owner:
        for _ in range(times):
            session = next(sessions)
            begin = begin_as(case.principal(size, session), TIMEOUT_MS)
            tenants.append(_time(tenant, begin, as_tenant, values_for(size, session)))
            owners.append(_time(owner, "begin", as_owner, values_for(size, next(sessions))))
    warm = slice(times // 10, None)  # the first runs fill caches
    return Tax(
        tenant_us=statistics.median(whole for whole, _ in tenants[warm]),
        owner_us=statistics.median(whole for whole, _ in owners[warm]),
        tenant_statements_us=statistics.median(alone for _, alone in tenants[warm]),
        owner_statements_us=statistics.median(alone for _, alone in owners[warm]),
    )


def indexes_used(login_url: str, size: Size, case: Case, session: int) -> dict[str, list[str]]:
    """By statement: the indexes in its plan under policies; a table that is read from end to end is `!table`."""
    values = values_for(size, session)
    found: dict[str, list[str]] = {}
    with _connect(login_url, None) as tenant:
        for transaction in case.transactions:
            for statement in transaction:
                tenant.execute(begin_as(case.principal(size, session), TIMEOUT_MS).encode())
                row = tenant.execute(b"explain (format json) " + statement.tenant.encode(), values).fetchone()
                tenant.execute("rollback")
                if row is None:
                    raise AssertionError("explain gives one row")
                found[statement.name] = sorted(set(_scans(row[0][0]["Plan"])))
    return found


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in TABLES:
        yield f"!{plan['Relation Name']}"
    for child in plan.get("Plans", []):
        yield from _scans(child)


def _connect(url: str, prepare_threshold: int | None) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, prepare_threshold=prepare_threshold)


def _time(
    connection: psycopg.Connection,
    begin: str,
    transactions: Sequence[Sequence[str]],
    values: Mapping[str, Any],
) -> tuple[float, float]:
    """Microseconds of all transactions, and of their statements alone. Each statement must find or write a row."""
    whole = alone = 0.0
    for statements in transactions:
        started = time.perf_counter()
        connection.execute(begin.encode(), prepare=False)
        begun = time.perf_counter()
        rows = [connection.execute(statement.encode(), values).fetchall() for statement in statements]
        done = time.perf_counter()
        connection.execute("commit")
        whole += time.perf_counter() - started
        alone += done - begun
        if not all(rows):
            raise LookupError(f"No row for {values['handle']}: what was measured is not what the product does.")
    return whole * 1e6, alone * 1e6
