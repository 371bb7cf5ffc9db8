"""RLS001: a table that requests from anywhere can reach has no row-level security."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import COMMANDS, declared, held, policy_component, told
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables of the target that declare who may do what, and any table that anon or authenticated hold rights on."""
    for relation in own_tables(evidence):
        rights = held(evidence.catalogue, relation, COMMANDS)
        is_declared = declared(evidence, relation) is not None
        if relation.has_row_security or not (rights or is_declared):
            continue
        yield Finding(
            code=CHECK.code,
            severity="blocker" if is_declared and rights else "major",
            component=policy_component(evidence, relation),
            object=str(relation.name),
            evidence=f"Row-level security is off. {told(rights) or 'Public roles hold no right on it'}.",
            impact="Whoever holds a right on the table uses it on every row, of every tenant.",
            remedy=f"alter table {relation.name.sql} enable row level security;\n"
            f"alter table {relation.name.sql} force row level security;\n"
            "-- and a policy for each role that needs its rows; without one nobody but the owner sees any",
        )


CHECK = Check(
    code="RLS001",
    title="Row-level security is off",
    component="rls_policies",
    severity="blocker",
    about="""
Looks at tables on which `anon` or `authenticated` hold SELECT, INSERT, UPDATE or DELETE (directly, through a role they
are members of, or as everybody), in a schema that they may use, and at tables of the models that declare who may do
what. Without row-level security such a right is a right on all rows: on Supabase, where both roles are granted
everything on new tables, anybody with the public key reads and writes the whole table.

A **blocker** where the models declare who may do what and a public role holds a right; else **major**. Ignore it for
tables of reference that everybody may read and nobody may write.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table shops disable row level security;", finds=("shops",)),
        Case(CLEAN + "create table notes (id int); grant select on notes to anon;", finds=("notes",)),
    ),
    good=(Case(CLEAN), Case(CLEAN + "create table notes (id int);")),
    covers=("splinter 0013_rls_disabled_in_public",),
)
