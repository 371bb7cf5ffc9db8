"""RLS006: a policy fails when it is run."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import declared, policy_component
from trunkline.readiness.report import Finding
from trunkline.readiness.tried import by_relation, details, told


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables on which a command ended in an error that no permission explains."""
    for relation, tried in by_relation(evidence, lambda each: each.observation.outcome == "error"):
        words = details(tried)
        yield Finding(
            code=CHECK.code,
            severity="blocker" if declared(evidence, relation) is not None else "major",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"The server said: {words}. Tried by {told(tried)}.",
            impact="Each such request of these roles fails with an error, whatever rows it asks for.",
            remedy=_remedy(words),
        )


def _remedy(words: str) -> str:
    if "infinite recursion" in words:
        return (
            "-- Policies that read each other's tables go in circles. Ask in a function that they don't bind:\n"
            "create function my_organization_ids() returns uuid[] language sql stable security definer\n"
            "set search_path = '' as $$ select array_agg(organization_id) from public.organization_members\n"
            "where user_id = auth.uid() $$;\n"
            "-- then, in each policy: using (organization_id = any ((select my_organization_ids())::uuid[]))"
        )
    if "needs a right" in words:
        return "-- grant the right that is named to the role, or ask through a SECURITY DEFINER function in the policy"
    return "-- mend the policy's expression: alter policy … on … using (…);"


CHECK = Check(
    code="RLS006",
    title="Policy that fails when it is run",
    component="rls_policies",
    severity="blocker",
    about="""
Found by running, not by reading: rows are made up for two tenants in a transaction that is rolled back, and each role
tries each command on them. Here the server answered with an error that is no refusal:

- `infinite recursion detected in policy`: the policy of `organizations` reads `organization_members`, whose policy
  reads `organizations`. It looks right on paper, and every statement fails.
- a function or column in a policy that is no longer there, a claim that can't be read as what the policy takes it for,
- a policy that reads a table on which the role has no right.

A **blocker** where the models declare who may do what with the table; else **major**.
""",
    find=find,
    bad=(
        Case(
            CLEAN
            + "create policy circle on shops for select to authenticated"
            + " using (exists (select 1 from orders o where o.shop_id = shops.id));",
            finds=("orders", "shops"),
        ),
        Case(
            CLEAN
            + "create policy number on orders for select to authenticated"
            + " using (length(note) > (auth.jwt() ->> 'sub')::int);",
            finds=("orders",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create policy fine on orders for select to authenticated using (note = 'for all to see');"),
    ),
)
