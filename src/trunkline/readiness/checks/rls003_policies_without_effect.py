"""RLS003: a table has policies, and row-level security is off."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables whose policies nobody asks."""
    for relation in own_tables(evidence):
        if relation.policies and not relation.has_row_security:
            names = ", ".join(each.name for each in relation.policies)
            yield Finding(
                code=CHECK.code,
                severity="major",
                component=policy_component(evidence, relation),
                object=str(relation.name),
                evidence=f"Row-level security is off, and there are policies: {names}.",
                impact="The policies look as if they protected the table, and none of them is ever asked.",
                remedy=f"alter table {relation.name.sql} enable row level security;",
            )


CHECK = Check(
    code="RLS003",
    title="Policies without effect",
    component="rls_policies",
    severity="major",
    about="""
Policies were written, and row-level security was never turned on, or was turned off to try something. PostgreSQL keeps
the policies and doesn't ask them.

Turn it on. Try the application afterwards: policies that were never asked may be wrong, which RLS006 to RLS009 find by
running them.
""",
    find=find,
    bad=(Case(CLEAN + "alter table orders disable row level security;", finds=("orders",)),),
    good=(Case(CLEAN), Case(CLEAN + "create table notes (id int);")),
    covers=("splinter 0007_policy_exists_rls_disabled",),
)
