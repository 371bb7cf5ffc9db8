"""RLS010: a policy asks who is calling again for every row."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.expressions import calls_per_row
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import policy_component
from trunkline.readiness.report import Finding

_LARGE = 10_000
"""Rows from which on it is felt."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """Policies with calls outside of a scalar sub-select; one finding for each table."""
    for relation in own_tables(evidence):
        calls = {
            policy.name: found
            for policy in relation.policies
            if (found := sorted({*calls_per_row(policy.using), *calls_per_row(policy.check)}))
        }
        if calls:
            functions = sorted({each for found in calls.values() for each in found})
            rows = f" (about {relation.rows:,})" if relation.rows > 0 else ""
            yield Finding(
                code=CHECK.code,
                severity="major" if relation.rows >= _LARGE else "minor",
                component=policy_component(evidence, relation),
                object=str(relation.name),
                evidence=f"{', '.join(functions)} in {', '.join(map(quote, calls))}, outside of a sub-select.",
                impact=f"Each statement calls it for every row that it looks at{rows}, and gets slower with each row.",
                remedy="\n".join(
                    f"alter policy {quote(name)} on {relation.name.sql} …;  -- with (select {found[0]}…)"
                    for name, found in calls.items()
                ),
            )


CHECK = Check(
    code="RLS010",
    title="Policy that asks for every row who is calling",
    component="rls_policies",
    severity="major",
    about="""
`auth.uid()`, `auth.jwt()`, `auth.role()` and `current_setting(…)` don't change while a statement runs, but PostgreSQL
calls them for each row that a policy is asked about. Inside of a sub-select that reads no table, `(select auth.uid())`,
they are called once for the statement, and an index on the compared column can be used.

**Major** on tables with 10,000 rows or more, by the planner's estimate; else **minor**.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "create policy again on shops for select to authenticated using (owner_id = auth.uid());",
            finds=("shops",),
        ),
        Case(
            CLEAN
            + "create policy again on shops for select to authenticated using (exists"
            + " (select 1 from pg_namespace where nspname = current_setting('request.jwt.claims', true)));",
            finds=("shops",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN
            + "create policy once on shops for select to authenticated"
            + " using (owner_id = (select ((current_setting('request.jwt.claims', true))::json ->> 'sub')::uuid));"
        ),
    ),
    covers=("splinter 0003_auth_rls_initplan",),
)
