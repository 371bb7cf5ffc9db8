"""RLS002: row-level security doesn't bind the table's owner."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import declared, policy_component
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables of the target with declared access, and any table whose owner can log in without being a superuser."""
    for relation in own_tables(evidence):
        if not relation.has_row_security or relation.forces_row_security:
            continue
        is_used = _owner_may_be_the_application(evidence, relation)
        if is_used or declared(evidence, relation) is not None:
            yield Finding(
                code=CHECK.code,
                severity="major" if is_used else "minor",
                component=policy_component(evidence, relation),
                object=str(relation.name),
                evidence=f"Row-level security is on but not forced; the owner, {relation.owner}, is not bound by it"
                + (" and can log in." if is_used else "."),
                impact="A connection as the owner sees and changes the rows of all tenants, whatever the policies say.",
                remedy=f"alter table {relation.name.sql} force row level security;",
            )


def _owner_may_be_the_application(evidence: Evidence, relation: Relation) -> bool:
    owner = evidence.catalogue.roles.get(relation.owner)
    return owner is not None and owner.can_login and not owner.is_superuser and not owner.bypasses_rls


CHECK = Check(
    code="RLS002",
    title="Row-level security is not forced",
    component="rls_policies",
    severity="major",
    about="""
PostgreSQL lets a table's owner pass all policies unless row-level security is *forced*. An application that connects as
the owner, as many do, has no tenants at all.

**Major** where the owner can log in; **minor** where it can't or is a superuser (whom nothing binds), but the models
declare policies: forcing costs nothing and holds on the day when somebody changes the owner.

Force it last. Forced, an owner sees no rows unless a policy names it: validating constraints, filling columns and
`pg_dump` by the owner come before.
""",
    find=find,
    bad=(Case(CLEAN + "alter table orders no force row level security;", finds=("orders",)),),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create table notes (id int); alter table notes enable row level security;"),
    ),
)
