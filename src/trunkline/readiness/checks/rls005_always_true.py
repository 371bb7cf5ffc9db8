"""RLS005: a policy admits every row."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Policy, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.expressions import is_always_true
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import PUBLIC_ROLES, policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Permissive policies of public roles: of writes, and of reads by people who aren't signed in."""
    for relation in own_tables(evidence):
        if not relation.has_row_security:
            continue
        for policy in relation.policies:
            if policy.is_permissive and {"public", *PUBLIC_ROLES} & set(policy.roles):
                yield from _judge(evidence, relation, policy)


def _judge(evidence: Evidence, relation: Relation, policy: Policy) -> Iterator[Finding]:
    is_write = policy.command != "select"
    said = policy.check if policy.command == "insert" else policy.using
    is_open = is_always_true(said) or (is_write and is_always_true(policy.check))
    by_anybody = bool({"public", "anon"} & set(policy.roles))
    if not is_open or not (is_write or by_anybody):
        return
    roles = ", ".join("everybody" if each == "public" else each for each in policy.roles)
    yield Finding(
        code=CHECK.code,
        severity="major" if is_write else "minor",
        component=policy_component(evidence, relation),
        object=f"{relation.name} policy {quote(policy.name)}",
        evidence=f"For {policy.command}, to {roles}: {_said(policy)}.",
        impact=f"Row-level security is on and stops nothing: {roles} can "
        + ("write any row." if is_write else "read every row, without signing in."),
        remedy=f"alter policy {quote(policy.name)} on {relation.name.sql} …;  -- with a condition on whose the row is",
    )


def _said(policy: Policy) -> str:
    parts = [f"using ({policy.using})" if policy.using else "", f"with check ({policy.check})" if policy.check else ""]
    return " ".join(each for each in parts if each)


CHECK = Check(
    code="RLS005",
    title="Policy that is always true",
    component="rls_policies",
    severity="major",
    about="""
A permissive policy with `using (true)` or `with check (true)` (or `auth.uid() is not null`, which is true for everybody
who has signed up) lets its roles do that command to every row. One such policy is enough: permissive policies are
joined by OR.

**Major** for writes. **Minor** for reading without signing in, which is often meant: a list of products, published
articles. Reads by `authenticated` alone are left to RLS007, which finds by running them whether one tenant sees
another's rows.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "create policy sloppy on orders for insert to authenticated with check (true);",
            finds=("orders policy sloppy",),
        ),
        Case(CLEAN + "create policy open on shops for select to anon using (true);", finds=("shops policy open",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create policy server on shops to service_role using (true);"),
        Case(CLEAN + "create policy narrow on shops as restrictive for update to authenticated using (true);"),
    ),
    covers=("splinter 0024_rls_policy_always_true",),
)
