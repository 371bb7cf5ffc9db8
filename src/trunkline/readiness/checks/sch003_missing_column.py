"""SCH003: a column that the code needs isn't there."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import column_name, columns, component_of, is_needed
from trunkline.readiness.report import Finding
from trunkline.readiness.target import TargetColumn


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns of tables that are there; those of missing tables come with the table."""
    for table, relation, match in columns(evidence):
        if match.how == "missing":
            yield Finding(
                code=CHECK.code,
                severity="blocker" if is_needed(evidence.target, match.wanted) else "major",
                component=component_of(evidence.target, table.wanted),
                object=column_name(relation.name, match.wanted.name),
                evidence=f"{relation.name} has no column {match.wanted.name}{_formerly(match.wanted)}.",
                impact=f"Statements that name {match.wanted.name} fail.",
                remedy=_remedy(relation, match.wanted),
            )


def _formerly(wanted: TargetColumn) -> str:
    return f", nor one of its former names ({', '.join(wanted.formerly)})" if wanted.formerly else ""


def _remedy(relation: Relation, wanted: TargetColumn) -> str:
    alter = f"alter table {relation.name.sql}"
    if wanted.nullable or wanted.has_default:
        return f"{alter} add column {wanted.ddl};"
    return (
        f"{alter} add column {quote(wanted.name)} {wanted.type};\n"
        "-- fill it in all rows, then:\n"
        f"{alter} alter column {quote(wanted.name)} set not null;"
    )


CHECK = Check(
    code="SCH003",
    title="Missing column",
    component="agent_fields",
    severity="blocker",
    about="""
A column of the models is in the table neither under its name, nor under a former one, nor inside a JSON column that
held it. Statements that name it fail with `column … does not exist`.

It is a **blocker** where the model marks the column as one that existing code asks for, where a row can't be stored
without it (NOT NULL, no default, not filled by a trigger), and in targets that mark nothing, since mapped classes name
all of their columns when they read. It is **major** for columns that came later: the code of their feature fails, and
the migration adds them.

A column with a constant default is added without rewriting the table (PostgreSQL 11 and later); the lock is short.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table orders drop column created_at;", finds=("orders.created_at",)),
        Case(
            "create table stores (id uuid primary key, name text);",
            finds=("stores.owner_id",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders rename column note to remark;"),
        Case(CLEAN + "alter table orders drop column currency; alter table orders add column config jsonb;"),
    ),
)
