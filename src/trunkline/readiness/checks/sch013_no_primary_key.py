"""SCH013: a table has no primary key."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables that the target doesn't ask a key of; SCH008 speaks of those that it does."""
    for relation in own_tables(evidence):
        match = evidence.matching.of(relation)
        if relation.primary_key or (match is not None and match.wanted.primary_key):
            continue
        yield Finding(
            code=CHECK.code,
            severity="minor",
            component="operations",
            object=str(relation.name),
            evidence=f"{relation.name} has no primary key.",
            impact="One row can't be told from another: logical replication refuses its updates and deletes.",
            remedy=_remedy(relation),
        )


def _remedy(relation: Relation) -> str:
    name = next(name for name in ("id", "row_id", "primary_key") if name not in relation.columns)
    alter = f"alter table {relation.name.sql}"
    return (
        f"{alter} add column {name} bigint generated always as identity primary key;\n"
        f"-- or, where columns tell its rows apart: {alter} add primary key (those columns);"
    )


CHECK = Check(
    code="SCH013",
    title="Table without a primary key",
    component="operations",
    severity="minor",
    about="""
A table has no primary key. Rows that are equal can't be told apart, tools that page or synchronize by key don't work,
and logical replication (so also a move to a new major version by it) refuses updates and deletes.

Tables of the models that should have a key and haven't are told by SCH008. Ignore it for tables that are only appended
to, as logs, and never published.
""",
    find=find,
    bad=(Case("create table notes (body text);", finds=("notes",)),),
    good=(
        Case(CLEAN + "create table notes (id int primary key); create view bodies as select 1 as id;"),
        Case(
            "create table parcels (id int primary key) partition by list (id);"
            "create table small partition of parcels for values in (1);"
        ),
    ),
    covers=("splinter 0004_no_primary_key",),
)
