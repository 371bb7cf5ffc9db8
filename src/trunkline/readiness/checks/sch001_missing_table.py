"""SCH001: a table that the code needs isn't there."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, component_of_name
from trunkline.readiness.report import Finding
from trunkline.readiness.target import TargetTable


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables without a match; where a view stands under the name, SCH011 speaks."""
    for match in evidence.matching.tables.values():
        wanted = match.wanted
        if match.relation is None and wanted.name not in evidence.catalogue.relations:
            yield Finding(
                code=CHECK.code,
                severity="blocker",
                component=component_of_name(evidence.target, wanted),
                object=str(wanted.name),
                evidence=f"There is no table {wanted.name}{_formerly(wanted)}.",
                impact=f"Everything that reads or writes {wanted.name} fails.",
                remedy=_remedy(evidence, wanted),
            )


def _formerly(wanted: TargetTable) -> str:
    return f", nor one of its former names ({', '.join(wanted.formerly)})" if wanted.formerly else ""


def _remedy(evidence: Evidence, wanted: TargetTable) -> str:
    made = ";\n".join(wanted.statements) + ";"
    if any(match.how == "renamed" for match in evidence.matching.tables.values()):
        return f"{MIGRATE}\n-- or, once what it refers to has its name:\n{made}"
    return made


CHECK = Check(
    code="SCH001",
    title="Missing table",
    component="table_names",
    severity="blocker",
    about="""
A table of the models is in the database neither under its name, nor under a name that it once had, nor in another
schema. Every statement that names it fails with `relation … does not exist`.

Create it with the SQL of the remedy, or let the migration do it: it also fills parents before children. Ignore it only
for parts of the code that you don't run.
""",
    find=find,
    bad=(
        Case("create table shops (id uuid primary key, owner_id uuid, name text);", finds=("orders",)),
        Case("create table customers (id uuid primary key);", finds=("shops", "orders")),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table shops rename to stores;"),
        Case(CLEAN + "drop table orders; create view orders as select 1 as id;"),
    ),
)
