"""SCH007: NULL is admitted where the code expects none, or refused where the code writes it."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Column, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import column_name, component_of, insert_triggers, tables
from trunkline.readiness.matching import ColumnMatch, TableMatch
from trunkline.readiness.report import Finding, NotChecked


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns of the target, and columns beside them that refuse the code's new rows."""
    for table, relation in tables(evidence):
        for match in table.columns.values():
            yield from _of_target(evidence, table, relation, match)
        for column in table.extra:
            if not _fills_itself(column):
                yield from _refusing(evidence, table, relation, column, "The code doesn't know it and writes no value.")


def _of_target(evidence: Evidence, table: TableMatch, relation: Relation, match: ColumnMatch) -> Iterator[Finding]:
    column, wanted = match.column, match.wanted
    if column is None or match.how == "reshaped" or column.nullable == wanted.nullable:
        return
    if column.nullable:
        yield _too_open(evidence, table, relation, match, column)
    elif not (_fills_itself(column) or wanted.has_default or wanted.is_sent or column.name in relation.primary_key):
        yield from _refusing(evidence, table, relation, column, "The code may leave it empty.")


def _too_open(evidence: Evidence, table: TableMatch, relation: Relation, match: ColumnMatch, column: Column) -> Finding:
    name = quote(column.name)
    rule = quote(f"{relation.name.name}_{column.name}_not_null"[:63])
    alter = f"alter table {relation.name.sql}"
    return Finding(
        code=CHECK.code,
        severity="major" if match.wanted.is_contract else "minor",
        component=component_of(evidence.target, table.wanted),
        object=column_name(relation.name, column.name),
        evidence=f"{match.wanted.name} is NOT NULL in the code; the column {column.name} admits NULL.",
        impact="Other writers can leave it empty, and code that reads such a row fails.",
        remedy=(
            f"{alter} add constraint {rule} check ({name} is not null) not valid;\n"
            f"{alter} validate constraint {rule};\n"
            f"{alter} alter column {name} set not null;\n"
            f"{alter} drop constraint {rule};"
        ),
    )


def _fills_itself(column: Column) -> bool:
    return column.nullable or column.default is not None or column.is_generated or column.is_identity


def _refusing(evidence: Evidence, table: TableMatch, relation: Relation, column: Column, why: str) -> Iterator[Finding]:
    name = column_name(relation.name, column.name)
    if triggers := insert_triggers(relation):
        evidence.not_checked.append(
            NotChecked(
                what=f"whether new rows get a value for {name}",
                why=f"it is NOT NULL without a default, and a trigger may fill it: {', '.join(triggers)}",
                how="insert a row without it, in a transaction that is rolled back",
                codes=(CHECK.code,),
            )
        )
        return
    yield Finding(
        code=CHECK.code,
        severity="blocker",
        component=component_of(evidence.target, table.wanted),
        object=name,
        evidence=f"{name} is NOT NULL and has no default. {why}",
        impact=f"Inserts of the code into {relation.name} are refused.",
        remedy=f"alter table {relation.name.sql} alter column {quote(column.name)} drop not null;",
    )


CHECK = Check(
    code="SCH007",
    title="NULL admitted or refused otherwise than the code expects",
    component="session_fields",
    severity="blocker",
    about="""
Two faults of one kind.

The database **refuses** NULL where the code leaves a column empty: a column that the code doesn't know at all, or that
is optional in the models, is NOT NULL without a default (SCH012 speaks of defaults that are missing). Every insert of
the code fails, hence a blocker. Where a trigger may fill the column this isn't decided, and stands among what was not
checked.

The database **admits** NULL where the models say NOT NULL: nothing fails until another writer leaves it empty. Major
for columns that existing code asks for, else minor. The remedy checks rows while others work; the last step is short,
since PostgreSQL believes the validated CHECK.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table orders alter column created_at drop not null;", finds=("orders.created_at",)),
        Case(CLEAN + "alter table orders alter column note set not null;", finds=("orders.note",)),
        Case(CLEAN + "alter table shops add column region text not null;", finds=("shops.region",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table shops add column region text not null default 'north', add column note text;"),
        Case(CLEAN + "alter table orders add column number bigint generated always as identity;"),
    ),
)
