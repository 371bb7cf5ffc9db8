"""RLS014: a policy names no role."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Permissive policies for everybody; one finding for each table."""
    for relation in own_tables(evidence):
        names = [each.name for each in relation.policies if each.is_permissive and "public" in each.roles]
        if names:
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component=policy_component(evidence, relation),
                object=str(relation.name),
                evidence=f"Without TO: {', '.join(map(quote, names))}.",
                impact="It holds for roles that it isn't meant for, anon among them, and for each role to come.",
                remedy="\n".join(
                    f"alter policy {quote(name)} on {relation.name.sql} to authenticated;" for name in names
                ),
            )


CHECK = Check(
    code="RLS014",
    title="Policy that names no role",
    component="rls_policies",
    severity="minor",
    about="""
A policy without `to` holds for every role. It is asked when `anon` queries too, which costs time and sometimes an error
(a function that `anon` may not call), and it lets in each role that is made later. Name the roles that it is for.

Restrictive policies may well be for everybody: they take away.
""",
    find=find,
    bad=(Case(CLEAN + "create policy anyone on shops for select using (name = 'open');", finds=("shops",)),),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create policy never on shops as restrictive for delete using (name <> 'kept');"),
    ),
)
