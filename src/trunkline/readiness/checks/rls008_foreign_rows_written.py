"""RLS008: somebody can write rows of another tenant, or put rows among them."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.behaviour.values import Tried
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import binding, policy_component
from trunkline.readiness.report import Finding
from trunkline.readiness.tried import by_relation, details, told


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables on which a foreign row was written."""
    for relation, tried in by_relation(evidence, _is_write):
        is_certain = any(each.is_declared or each.observation.command != "insert" for each in tried)
        yield Finding(
            code=CHECK.code,
            severity="blocker" if is_certain else "major",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"Rows of another tenant were written by {told(tried)}. What got through: {details(tried)}.",
            impact="People change, delete or slip in data of organizations that they don't belong to.",
            remedy=_remedy(evidence, relation, tried),
        )


def _is_write(tried: Tried) -> bool:
    seen = tried.observation
    return seen.rows == "foreign" and seen.command != "select" and seen.outcome == "allowed"


def _remedy(evidence: Evidence, relation: Relation, tried: list[Tried]) -> str:
    if not relation.has_row_security:
        return f"alter table {relation.name.sql} enable row level security;  -- with a policy for each role"
    policies = {
        each.name
        for one in tried
        for each in binding(evidence.catalogue, relation, one.observation.role, one.observation.command)
    }
    named = ", ".join(sorted(policies)) or "the policies of the table"
    return (
        f"-- narrow what these let in, on {relation.name.sql}: {named}\n"
        "-- WITH CHECK must say whose the new row is, and that its parent is the caller's too"
    )


CHECK = Check(
    code="RLS008",
    title="Rows of another tenant can be written",
    component="rls_policies",
    severity="blocker",
    about="""
Found by running, on made-up rows of two tenants that are rolled back. Tried are: changing and deleting a foreign row;
moving one's own row to another organization or parent; adding a row in somebody else's name, a row with one's own name
among theirs, and a row of one's own organization under their parent. The last is what `with check (true)` and policies
that compare only `user_id` let through: anybody writes into anybody's conversation.

A row that passed the policies and was stopped by a constraint counts (another value would pass), except by a foreign
key: one over `(organization_id, parent_id)` holds whatever the policies say.

A **blocker** where the models declare who may do what, and wherever a row was changed or deleted; **major** for added
rows in other tables, since some are meant for everybody: a contact form, an order.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "create policy anybody on orders for insert to authenticated with check (true);",
            finds=("orders",),
        ),
        Case(
            CLEAN
            + "create policy seen on shops for select to authenticated using (true);"
            + "create policy given on shops for update to authenticated"
            + " using (owner_id = (select auth.uid())) with check (true);",
            finds=("shops",),
        ),
        Case(
            CLEAN + "grant delete, select on shops to anon;"
            " create policy tidy on shops for all to anon using (true) with check (false);",
            finds=("shops",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create policy anybody on orders for insert to service_role with check (true);"),
    ),
)
