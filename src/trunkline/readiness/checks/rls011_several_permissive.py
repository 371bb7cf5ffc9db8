"""RLS011: several permissive policies for one role and command."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Policy, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import COMMANDS, policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding for each table, with all that overlap."""
    for relation in own_tables(evidence):
        overlaps = dict(_overlaps(relation))
        if not overlaps:
            continue
        told = "; ".join(f"{who}: {', '.join(map(quote, names))}" for who, names in overlaps.items())
        yield Finding(
            code=CHECK.code,
            severity="minor",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"Joined by OR for each row: {told}.",
            impact="Each of them is asked for each row, and a row passes if any admits it: the widest one decides.",
            remedy="-- join them into one policy with OR, or give each its own role: alter policy … to …;",
        )


def _overlaps(relation: Relation) -> Iterator[tuple[str, tuple[str, ...]]]:
    roles = sorted({role for policy in relation.policies for role in policy.roles})
    for role in roles:
        for command in COMMANDS:
            found = [each.name for each in relation.policies if _applies(each, role, command)]
            own = [each for each in relation.policies if role in each.roles and _applies(each, role, command)]
            if len(found) > 1 and own:
                yield f"{role} {command}", tuple(found)


def _applies(policy: Policy, role: str, command: str) -> bool:
    return policy.is_permissive and policy.command in (command, "all") and bool({role, "public"} & set(policy.roles))


CHECK = Check(
    code="RLS011",
    title="Several permissive policies for one role and command",
    component="rls_policies",
    severity="minor",
    about="""
PostgreSQL joins permissive policies by OR. Several for the same role and command cost time, since each may be asked for
each row, and hide what is allowed: who narrows one of them changes nothing while another lets the row through.

Join them, or write restrictive ones (`as restrictive`) for what must always hold.
""",
    find=find,
    bad=(
        Case(CLEAN + "create policy too on shops for select to authenticated using (name = 'open');", finds=("shops",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create policy too on shops for select to service_role using (name = 'open');"),
        Case(CLEAN + "create policy too on shops as restrictive for select to authenticated using (name <> '');"),
    ),
    covers=("splinter 0006_multiple_permissive_policies",),
)
