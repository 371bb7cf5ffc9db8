"""CMP004: statements of the new application whose parameters the database refuses."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.report import Finding
from trunkline.readiness.told import failures, is_about_types


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each table, with the columns of another type."""
    for match in evidence.matching.tables.values():
        mine = [
            each
            for each in evidence.statements.prepared
            if each.origin == "new application" and each.table == match.wanted.name
        ]
        failing = [each for each in mine if is_about_types(each)]
        if failing:
            yield Finding(
                code=CHECK.code,
                severity="blocker",
                component="compatibility",
                object=str(match.wanted.name),
                evidence=failures(failing, len(mine)) + _other_types(match),
                impact=f"The new application's values for {match.wanted.name} are refused.",
                remedy=(
                    f"{MIGRATE}\n"
                    "-- where ids aren't uuid: trunkline migrate start URL --strategy create\n"
                    "-- or give the models the types that the database has."
                ),
            )


def _other_types(match: TableMatch) -> str:
    other = [
        f"{quote(each.column.name)} is {each.column.type}, the models want {each.wanted.type}"
        for each in match.columns.values()
        if each.how == "retyped" and each.column is not None
    ]
    return f" {'; '.join(other)}." if other else ""


CHECK = Check(
    code="CMP004",
    title="Types refuse the new application's values",
    component="compatibility",
    severity="blocker",
    about="""
The names are right and the types are not: the code sends a `uuid` where the column is a `bigint`, or compares one with
the other. The server refuses such statements when they are prepared (42804, 42883), or doesn't know the type at all
(42704), as `vector` without its extension.

Types that take the value but change it, as a timestamp without a zone, pass here and are told by SCH006.

A column's type is changed by the migration (`rename` for those that convert in place, `create` where ids become uuid),
or the models are given the database's types.
""",
    find=find,
    bad=(
        Case(
            """create table shops (id bigint primary key, owner_id uuid not null, name text not null);""" + "\n",
            finds=("shops",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders alter column note type varchar(200);"),
        Case("create table shops (id uuid primary key, owner_id uuid);"),
    ),
)
