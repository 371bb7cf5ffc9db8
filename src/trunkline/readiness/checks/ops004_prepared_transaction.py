"""OPS004: transactions that were prepared and then forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """At most one, with their number."""
    count = evidence.activity.prepared_transactions
    if count:
        yield Finding(
            code=CHECK.code,
            severity="major",
            component="operations",
            object="prepared transactions",
            evidence=f"{count} prepared more than a minute ago, neither committed nor rolled back.",
            impact="Their locks outlive restarts: a step of the migration that needs one never gets it.",
            remedy=(
                "-- select gid, prepared, owner from pg_prepared_xacts where database = current_database();\n"
                "-- then, for each: commit prepared '…'; or rollback prepared '…';"
            ),
        )


def _as_if(evidence: Evidence, count: int) -> Evidence:
    return replace(evidence, activity=replace(evidence.activity, prepared_transactions=count))


CHECK = Check(
    code="OPS004",
    title="Prepared transactions lie about",
    component="operations",
    severity="major",
    about="""
Transactions of a two-phase commit were prepared (`PREPARE TRANSACTION`) more than a minute ago and have not ended. They
belong to no session: they keep their locks, and keep vacuum from cleaning up, until somebody commits or rolls them
back, also after a restart.

Ask the transaction manager that made them, then end each by its name. On servers that don't use two-phase commit set
`max_prepared_transactions` to 0, the default.
""",
    find=find,
    bad=(Case("", finds=("prepared transactions",), as_if=lambda evidence: _as_if(evidence, 2)),),
    good=(Case(""), Case("", as_if=lambda evidence: _as_if(evidence, 0))),
)
