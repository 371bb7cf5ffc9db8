"""OPS003: transactions that have been open for long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.operations import LongTransaction
from trunkline.readiness.report import Finding
from trunkline.readiness.told import span

_VERY_LONG_S = 3600


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each session; of an hour and more it is major."""
    for each in evidence.activity.long_transactions:
        application = f" ({each.application})" if each.application else ""
        yield Finding(
            code=CHECK.code,
            severity="major" if each.seconds >= _VERY_LONG_S else "minor",
            component="operations",
            object=f"session {each.pid}",
            evidence=(
                f"{each.user}{application} has had a transaction open for {span(each.seconds)}, {each.state}:"
                f" {' '.join(each.query.split())}"
            ),
            impact="Steps of the migration wait for it and give up; what was deleted since can't be cleaned away.",
            remedy=f"-- Let it end, or end it: select pg_terminate_backend({each.pid});",
        )


def _as_if(seconds: float) -> LongTransaction:
    return LongTransaction(4711, "reports", "nightly", "idle in transaction", seconds, "select * from shops")


def _with(evidence: Evidence, *transactions: LongTransaction) -> Evidence:
    return replace(evidence, activity=replace(evidence.activity, long_transactions=transactions))


CHECK = Check(
    code="OPS003",
    title="Long transaction",
    component="operations",
    severity="major",
    about="""
A session has had a transaction open for more than a minute, at work or `idle in transaction`. It keeps the locks of all
that it touched. Each step of the migration takes its lock for a moment, waits for a bounded time, and tries again: with
such a transaction it never gets it. Indexes made concurrently wait for it without end, and vacuum can't clean up what
was deleted after it began. From an hour on it is major.

Let it end, or end it with `pg_terminate_backend`. Against sessions that forget their transaction set
`idle_in_transaction_session_timeout`. Ignore it for jobs that are known, and run the migration beside them.
""",
    find=find,
    bad=(
        Case("", finds=("session 4711",), as_if=lambda evidence: _with(evidence, _as_if(90))),
        Case("", finds=("session 4711",), as_if=lambda evidence: _with(evidence, _as_if(7200))),
    ),
    good=(Case(""), Case("", as_if=_with)),
)
