"""EXP001: a public role may TRUNCATE a table, or put triggers on it."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.reach import held, told
from trunkline.readiness.report import Finding

_BESIDE = ("truncate", "trigger", "references")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Rights that row-level security doesn't limit."""
    for relation in evidence.catalogue.own_relations():
        rights = held(evidence.catalogue, relation, _BESIDE)
        if rights and relation.kind not in ("sequence", "materialized view"):  # these take no triggers either
            can_empty = relation.is_table and any("truncate" in each for each in rights.values())
            yield Finding(
                code=CHECK.code,
                severity="major" if can_empty else "minor",
                component="exposure",
                object=str(relation.name),
                evidence=f"Beside all policies: {told(rights)}.",
                impact="Whoever gets a connection as this role can "
                + (
                    "empty the table for all tenants."
                    if can_empty
                    else "hang code on it, or find out which keys exist."
                ),
                remedy=f"revoke {', '.join(_BESIDE)} on {relation.name.sql} from public, {', '.join(rights)};",
            )


CHECK = Check(
    code="EXP001",
    title="Rights that policies don't limit",
    component="exposure",
    severity="major",
    about="""
Row-level security limits SELECT, INSERT, UPDATE and DELETE. TRUNCATE empties a table whatever the policies say; TRIGGER
lets a role run its code in everybody's statements; REFERENCES lets it find out which keys exist. Supabase's default
privileges grant all of them to `anon` and `authenticated` on each new table. PostgREST offers no TRUNCATE, so it takes
another way in (a SQL injection in a function, a direct connection) to use it: **major**, and taken away in one line. On
views, where TRUNCATE does nothing, **minor**.
""",
    find=find,
    bad=(
        Case(CLEAN + "grant truncate on orders to anon;", finds=("orders",)),
        Case(CLEAN + "grant all on shops to authenticated;", finds=("shops",)),
        Case(
            "create table parcels (id int) partition by list (id); create table small partition of parcels default;"
            "grant truncate on small to anon;",
            finds=("small",),
        ),
    ),
    good=(Case(CLEAN), Case(CLEAN + "grant truncate on orders to service_role;")),
)
