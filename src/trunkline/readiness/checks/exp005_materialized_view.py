"""EXP005: a public role can read a materialized view."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import held, told
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Materialized views that anon or authenticated may select from."""
    for relation in evidence.catalogue.own_relations():
        rights = held(evidence.catalogue, relation, ("select",)) if relation.kind == "materialized view" else {}
        if rights:
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="exposure",
                object=str(relation.name),
                evidence=f"{told(rights)}; row-level security can't be put on a materialized view.",
                impact="All rows that it holds, of all tenants, are open to these roles.",
                remedy=f"revoke all on {relation.name.sql} from public, anon, authenticated;\n"
                "-- and show it through a view with a condition, or a function",
            )


CHECK = Check(
    code="EXP005",
    title="Materialized view within reach",
    component="exposure",
    severity="major",
    about="""
A materialized view is a copy, made with its owner's rights, and PostgreSQL has no row-level security for it. Supabase's
default privileges grant it to `anon` and `authenticated` like any table.

Take the rights away and show what is needed through a view that filters by who asks. Ignore it where the copy holds
nothing of anybody, as a count over all.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "create materialized view totals as select shop_id, count(*) from orders group by 1;"
            " grant select on totals to authenticated;",
            finds=("totals",),
        ),
    ),
    good=(Case(CLEAN + "create materialized view totals as select shop_id, count(*) from orders group by 1;"),),
    covers=("splinter 0016_materialized_view_in_api",),
)
