"""SCH002: a table that the code needs is there, under another name."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, component_of_name, tables
from trunkline.readiness.report import Finding
from trunkline.readiness.target import TargetTable


def find(evidence: Evidence) -> Iterator[Finding]:
    """Matches by a former name or in another schema."""
    for match, relation in tables(evidence):
        wanted = match.wanted
        if match.how == "renamed":
            yield Finding(
                code=CHECK.code,
                severity="blocker",
                component=component_of_name(evidence.target, wanted),
                object=str(relation.name),
                evidence=f"The code asks for {wanted.name}; the database has it as {relation.name}.",
                impact=f"Everything that reads or writes {wanted.name} fails, though the rows are there.",
                remedy=_remedy(wanted, relation),
            )


def _remedy(wanted: TargetTable, relation: Relation) -> str:
    old, new = relation.name, wanted.name
    if old.schema != new.schema:
        return (
            f"alter table {old.sql} set schema {quote(new.schema)};\n"
            f'-- or in the model: __table_args__ = {{"schema": "{old.schema}"}}'
        )
    return (
        f"{MIGRATE}\n"
        f"-- or, where nothing uses the old name: alter table {old.sql} rename to {quote(new.name)};\n"
        f'-- or in the model: __tablename__ = "{old.name}"'
    )


CHECK = Check(
    code="SCH002",
    title="Table under an old name",
    component="table_names",
    severity="blocker",
    about="""
A table of the models exists under a name that it had in an older version (the model says so with
`info={"formerly": (…)}`), or in another schema. The code asks for the new name and fails; the rows are all there.

There are two ways out. Change the database: `trunkline migrate start URL` renames the table in one
short transaction and leaves a view under the old name, so that the old application works on; a bare `alter table …
rename` does for databases that nothing else uses. Or change the model's `__tablename__`.

In another schema a table is recognized only if it is the only one of that name and has half of the columns.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table shops rename to stores;", finds=("stores",)),
        Case(CLEAN + "create schema trade; alter table orders set schema trade;", finds=("trade.orders",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create table stores (id int primary key);"),  # the right name comes first
        Case("create view stores as select 1 as id;"),
        Case("create schema trade; create table trade.orders (id int primary key, parcel text);"),
    ),
)
