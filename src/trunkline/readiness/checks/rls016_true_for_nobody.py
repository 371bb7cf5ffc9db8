"""RLS016: a policy is true for whoever isn't signed in."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.expressions import admits_null_caller
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Permissive policies with `auth.uid() is null` in a top-level OR."""
    for relation in own_tables(evidence):
        for policy in relation.policies:
            said = next((each for each in (policy.using, policy.check) if admits_null_caller(each)), None)
            if said is not None and policy.is_permissive:
                yield Finding(
                    code=CHECK.code,
                    severity="major",
                    component=policy_component(evidence, relation),
                    object=f"{relation.name} policy {quote(policy.name)}",
                    evidence=f"A part of its OR is true where nobody is signed in: {said}",
                    impact="Whoever calls without a token passes it for every row, whatever the rest says.",
                    remedy=f"alter policy {quote(policy.name)} on {relation.name.sql} …;  -- without `is null`",
                )


CHECK = Check(
    code="RLS016",
    title="Policy that is true for whoever isn't signed in",
    component="rls_policies",
    severity="major",
    about="""
`using (auth.uid() is null or owner_id = auth.uid())` reads like a safeguard and is a hole: without a token
`auth.uid()` is null, the first part is true, and every row passes. Meant was most often `is not null and`.
""",
    find=find,
    bad=(
        Case(
            CLEAN
            + "create policy hole on shops for select to authenticated"
            + " using ((select auth.uid()) is null or owner_id = (select auth.uid()));",
            finds=("shops policy hole",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN
            + "create policy fine on shops for select to authenticated"
            + " using (owner_id = (select auth.uid()) and ((select auth.uid()) is null or name <> ''));"
        ),
    ),
    covers=("splinter 0030_rls_policy_null_auth_disjunct",),
)
