"""OPS012: a database that is running out of transaction ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding

_LIMIT = 2**31
_NEAR = 1_000_000_000
_AT_ONCE = 2_000_000_000


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for ids of transactions, one for those of shared row locks."""
    activity = evidence.activity
    for kind, age in (("transaction ids", activity.transaction_age), ("multixact ids", activity.multixact_age)):
        if age >= _NEAR:
            yield Finding(
                code=CHECK.code,
                severity="blocker" if age >= _AT_ONCE else "major",
                component="operations",
                object=kind,
                evidence=f"The oldest is {age:,} old; at about {_LIMIT:,} the server refuses to write.",
                impact="Vacuum has fallen behind; unless it catches up, every write of the database will fail.",
                remedy="-- End old transactions, drop unused slots, then: vacuum (freeze, verbose);",
            )


def _aged(evidence: Evidence, transactions: int, multixacts: int = 0) -> Evidence:
    activity = replace(evidence.activity, transaction_age=transactions, multixact_age=multixacts)
    return replace(evidence, activity=activity)


CHECK = Check(
    code="OPS012",
    title="Transaction ids are running out",
    component="operations",
    severity="blocker",
    about="""
Each row carries the number of the transaction that wrote it. Numbers are reused after two billion, so vacuum must
freeze old rows before. Autovacuum begins at 200 million; at a billion something holds it back: a transaction that has
been open for weeks (OPS003), a prepared one (OPS004), a replication slot (OPS005), or autovacuum is off (OPS010). Close
to the end (blocker from two billion) the server takes no more writes.

Remove what holds vacuum back, then `vacuum (freeze)`. A migration's backfill makes the need greater: do it before.
""",
    find=find,
    bad=(
        Case("", finds=("transaction ids",), as_if=lambda evidence: _aged(evidence, _NEAR)),
        Case("", finds=("multixact ids",), as_if=lambda evidence: _aged(evidence, 5, _AT_ONCE)),
    ),
    good=(Case(""), Case("", as_if=lambda evidence: _aged(evidence, 190_000_000))),
)
