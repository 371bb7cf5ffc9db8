"""EXP018: pg_graphql tells everybody the names of tables and columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.postgres.catalogue.model import Extension
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.reach import held
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Once for the database, where the extension is installed and public roles may select from anything."""
    catalogue = evidence.catalogue
    if "pg_graphql" not in catalogue.extensions:
        return
    shown = [each for each in catalogue.own_relations() if held(catalogue, each, ("select",))]
    if shown:
        first = ", ".join(str(each.name) for each in shown[:5]) + (" …" if len(shown) > 5 else "")
        yield Finding(
            code=CHECK.code,
            severity="info",
            component="exposure",
            object="extension pg_graphql",
            evidence=f"anon or authenticated may select from {len(shown)} relations: {first}.",
            impact="Anybody with the public key can ask for the names of these tables and of all their columns.",
            remedy="drop extension pg_graphql;  -- where nothing uses /graphql/v1\n"
            "-- else: revoke select from anon on what needn't be known",
        )


def _as_if_installed(evidence: Evidence) -> Evidence:
    installed = {**evidence.catalogue.extensions, "pg_graphql": Extension("pg_graphql", "graphql", "1.5", None)}
    return replace(evidence, catalogue=replace(evidence.catalogue, extensions=installed))


CHECK = Check(
    code="EXP018",
    title="Names shown by pg_graphql",
    component="exposure",
    severity="info",
    about="""
`pg_graphql` describes to each caller all that its role may select: tables, columns, relationships. Row-level security
hides rows, not names. That is how it is meant to be; worth knowing if you don't use it, or if a table's name tells
something.
""",
    find=find,
    bad=(
        Case(
            "create table plans (id int); grant select on plans to anon;",
            finds=("extension pg_graphql",),
            as_if=_as_if_installed,
        ),
    ),
    good=(
        Case("create table plans (id int);", as_if=_as_if_installed),
        Case("create table plans (id int); grant select on plans to anon;"),
    ),
    covers=("splinter 0026_pg_graphql_anon_table_exposed", "splinter 0027_pg_graphql_authenticated_table_exposed"),
)
