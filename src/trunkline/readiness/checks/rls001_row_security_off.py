"""RLS001: a table that requests from anywhere can reach has no row-level security."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import COMMANDS, declared, held, policy_component, told, whole
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables of the target that declare who may do what, and any table that anon or authenticated hold rights on."""
    for relation in evidence.catalogue.own_relations():
        if not relation.is_table or relation.has_row_security:
            continue
        rights = held(evidence.catalogue, relation, COMMANDS)
        table = whole(evidence.catalogue, relation)
        is_declared = declared(evidence, table) is not None
        if not rights and (relation.is_partition or not is_declared):
            continue
        who = told(rights) or "Public roles hold no right on it"
        yield Finding(
            code=CHECK.code,
            severity="blocker" if is_declared and rights else "major",
            component=policy_component(evidence, table),
            object=str(relation.name),
            evidence=f"Row-level security is off{_beside(relation)}. {who}.",
            impact="Whoever holds a right on the table uses it on every row, of every tenant.",
            remedy=f"alter table {relation.name.sql} enable row level security;\n"
            f"alter table {relation.name.sql} force row level security;\n"
            "-- and a policy for each role that needs its rows; without one nobody but the owner sees any",
        )


def _beside(relation: Relation) -> str:
    return f"; policies of {relation.parents[0]} don't bind who names its partition" if relation.is_partition else ""


CHECK = Check(
    code="RLS001",
    title="Row-level security is off",
    component="rls_policies",
    severity="blocker",
    about="""
Looks at tables on which `anon` or `authenticated` hold SELECT, INSERT, UPDATE or DELETE (directly, through a role they
are members of, or as everybody), in a schema that they may use, and at tables of the models that declare who may do
what. Without row-level security such a right is a right on all rows: on Supabase, where both roles are granted
everything on new tables, anybody with the public key reads and writes the whole table. A partition needs its own: the
policies of the table that it is part of bind only who names that table.

A **blocker** where the models declare who may do what and a public role holds a right; else **major**. Ignore it for
tables of reference that everybody may read and nobody may write.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table shops disable row level security;", finds=("shops",)),
        Case(CLEAN + "create table notes (id int); grant select on notes to anon;", finds=("notes",)),
        Case(
            "create table orders (id uuid, shop_id uuid) partition by list (id);"
            "alter table orders enable row level security;"
            "create table some_orders partition of orders default; grant select on some_orders to anon;",
            finds=("some_orders",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create table notes (id int);"),
        Case(
            "create table orders (id uuid, shop_id uuid) partition by list (id);"
            "alter table orders enable row level security; create table some_orders partition of orders default;"
        ),
    ),
    covers=("splinter 0013_rls_disabled_in_public",),
)
