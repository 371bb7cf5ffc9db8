"""RLS007: somebody can read rows of another tenant."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.behaviour.values import Tried
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import binding, policy_component
from trunkline.readiness.report import Finding
from trunkline.readiness.tried import by_relation, told


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables and views through which a foreign row was read."""
    for relation, tried in by_relation(evidence, _is_read):
        is_declared = any(each.is_declared for each in tried)
        caution = "" if is_declared else " If it is public on purpose, ignore this: nothing says whom it is for."
        yield Finding(
            code=CHECK.code,
            severity="blocker" if is_declared else "major",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"A row of another tenant was read by {told(tried)}.{caution}",
            impact="People see data of organizations that they don't belong to.",
            remedy=_remedy(evidence, relation, tried),
        )


def _is_read(tried: Tried) -> bool:
    seen = tried.observation
    return seen.rows == "foreign" and seen.command == "select" and seen.outcome == "allowed"


def _remedy(evidence: Evidence, relation: Relation, tried: list[Tried]) -> str:
    if not relation.is_table:
        return f"alter view {relation.name.sql} set (security_invoker = true);  -- it asks policies as its caller"
    if not relation.has_row_security:
        return f"alter table {relation.name.sql} enable row level security;  -- with a policy for each role"
    roles = {each.observation.role for each in tried}
    policies = {each.name for role in roles for each in binding(evidence.catalogue, relation, role, "select")}
    named = ", ".join(sorted(policies)) or "the policies of the table"
    return f"-- narrow what these let in, on {relation.name.sql}: {named}"


CHECK = Check(
    code="RLS007",
    title="Rows of another tenant can be read",
    component="rls_policies",
    severity="blocker",
    about="""
Found by running: rows are made up for two tenants in a transaction that is rolled back, and then nobody (role `anon`),
a stranger who has signed up, and a member of the first tenant ask for the rows of the second. Whatever let them
through, a policy, a missing one, a view, counts.

Whose row is whose is known by how it was made: foreign keys and columns such as `user_id` and `organization_id` were
filled with that tenant's. Tables that have none (countries, plans) are not judged. Where no row could be made, reading
is tried on a row that is there.

A **blocker** where the models declare who may do what; **major** elsewhere, since nothing says which tables are meant
to be public. A list of published articles with an author is one that is; ignore it there.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "create policy all_of_them on orders for select to authenticated using (true);", finds=("orders",)
        ),
        Case(CLEAN + "alter table shops disable row level security;", finds=("shops",)),
        Case(
            CLEAN + "create view dear_shops as select * from shops; grant select on dear_shops to anon;",
            finds=("dear_shops",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN + "create table countries (code text primary key); grant select on countries to anon;"
            " insert into countries values ('ch');"
        ),
        Case(
            CLEAN + "create view dear_shops with (security_invoker = true) as select * from shops;"
            " grant select on dear_shops to anon, authenticated;"
        ),
    ),
)
