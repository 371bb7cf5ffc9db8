"""RLS004: row-level security is on, roles hold rights, and no policy lets anybody in."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.reach import COMMANDS, declared, held, told
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables of which the target declares nothing; RLS013 speaks of the others."""
    for relation in own_tables(evidence):
        rights = held(evidence.catalogue, relation, COMMANDS)
        if relation.has_row_security and not relation.policies and rights and declared(evidence, relation) is None:
            yield Finding(
                code=CHECK.code,
                severity="info",
                component="exposure",
                object=str(relation.name),
                evidence=f"Row-level security is on without a policy. {told(rights)}.",
                impact="These roles see no row and can write none; requests end empty, without an error.",
                remedy=f"revoke all on {relation.name.sql} from anon, authenticated;\n"
                "-- or, if they are meant to see rows, a policy that says which",
            )


CHECK = Check(
    code="RLS004",
    title="Row-level security without a policy",
    component="exposure",
    severity="info",
    about="""
Nothing is exposed: without a policy nobody but the owner (and who bypasses policies) gets a row. But the rights say
that somebody was meant to. Either write the policy, or take the rights away, so that a policy added later for one role
doesn't open the table to another.

Ignore it for tables that only the server's own role uses.
""",
    find=find,
    bad=(
        Case(
            "create table notes (id int); alter table notes enable row level security; grant select on notes to anon;",
            finds=("notes",),
        ),
    ),
    good=(Case(CLEAN), Case("create table notes (id int); alter table notes enable row level security;")),
    covers=("splinter 0008_rls_enabled_no_policy",),
)
