"""SCH014: the database computes a column that the code writes."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import column_name, columns, component_of
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Generated columns that are plain ones in the target."""
    for table, relation, match in columns(evidence):
        column, wanted = match.column, match.wanted
        if column is None or match.how == "reshaped" or not column.is_generated or wanted.is_computed:
            continue
        yield Finding(
            code=CHECK.code,
            severity="blocker",
            component=component_of(evidence.target, table.wanted),
            object=column_name(relation.name, column.name),
            evidence=f"{column_name(relation.name, column.name)} is GENERATED ALWAYS; the code writes {wanted.name}.",
            impact=f"Inserts and updates of the code that give {wanted.name} a value are refused.",
            remedy=_remedy(relation.kind == "partitioned table", relation.name.sql, quote(column.name)),
        )


def _remedy(is_partitioned: bool, table: str, column: str) -> str:
    note = "-- on each partition too\n" if is_partitioned else ""
    return f"{note}alter table {table} alter column {column} drop expression;"


CHECK = Check(
    code="SCH014",
    title="Computed column that the code writes",
    component="session_fields",
    severity="blocker",
    about="""
A column is generated (`generated always as (…) stored`, or virtual since PostgreSQL 18), while it is a plain column in
the models. PostgreSQL refuses every value that is given to it.

The remedy keeps what was computed and makes it a plain column; a virtual one keeps nothing and has to be added anew.
Whoever relied on the computing must write the column from then on.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "alter table orders drop column note,"
            " add column note text generated always as (upper(status)) stored;",
            finds=("orders.note",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders add column upper text generated always as (upper(status)) stored;"),
    ),
)
