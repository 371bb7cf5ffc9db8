"""SCH005: what the code wants as a column is kept inside a JSON column."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Column, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, column_name, columns, component_of, is_needed
from trunkline.readiness.report import Finding
from trunkline.readiness.target import TargetColumn


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns that were matched inside a JSON column."""
    for table, relation, match in columns(evidence):
        column, wanted = match.column, match.wanted
        if match.how != "reshaped" or column is None:
            continue
        keys = ", ".join(_keys(wanted))
        yield Finding(
            code=CHECK.code,
            severity="blocker" if is_needed(evidence.target, wanted) else "major",
            component=component_of(evidence.target, table.wanted),
            object=column_name(relation.name, wanted.name),
            evidence=(
                f"{relation.name} has no column {wanted.name}. Its {column.base_type} column {column.name}"
                f" is where older versions kept it (under {keys})."
            ),
            impact=f"Statements that name {wanted.name} fail; what was set there is not seen by the code.",
            remedy=f"{MIGRATE}\n-- or, where the keys are flat:\n{_sql(relation, column, wanted)}",
        )


def _keys(wanted: TargetColumn) -> tuple[str, ...]:
    return wanted.formerly_in[1] if wanted.formerly_in else ()


def _sql(relation: Relation, column: Column, wanted: TargetColumn) -> str:
    values = [f"{quote(column.name)} ->> '{key}'" for key in _keys(wanted)]
    value = values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"
    filled = f"({value})::{wanted.type}" if wanted.type != "text" else value
    return (
        f"alter table {relation.name.sql} add column {wanted.ddl};\n"
        f"update {relation.name.sql} set {quote(wanted.name)} = {filled} where {value} is not null;"
    )


CHECK = Check(
    code="SCH005",
    title="Setting inside a JSON column",
    component="agent_fields",
    severity="blocker",
    about="""
The models want a column that older versions kept as a key of a JSON column (`info={"formerly_in": …}` in the model),
as `temperature` in `config`. The JSON column is there; the column isn't, and statements that name it fail.

Only the presence of the JSON column is judged, not what single rows hold. The migration looks into the rows: keys in
camelCase or snake_case, flat or one level down, numbers that are written as strings. The SQL of the remedy serves
plain keys only.
""",
    find=find,
    bad=(
        Case(
            CLEAN + "alter table orders drop column currency; alter table orders add column config jsonb;",
            finds=("orders.currency",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders add column config jsonb;"),
        Case(CLEAN + "alter table orders drop column currency; alter table orders add column config text;"),
    ),
)
