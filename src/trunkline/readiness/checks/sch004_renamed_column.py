"""SCH004: a column that the code needs is there, under an old name."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, column_name, columns, component_of, is_needed
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns that were matched by a former name, whatever their type (SCH006 tells of that)."""
    for table, relation, match in columns(evidence):
        column, wanted = match.column, match.wanted
        if column is None or match.how == "reshaped" or column.name == wanted.name:
            continue
        yield Finding(
            code=CHECK.code,
            severity="blocker" if is_needed(evidence.target, wanted) else "major",
            component=component_of(evidence.target, table.wanted),
            object=column_name(relation.name, column.name),
            evidence=f"The code asks for {wanted.name}; {relation.name} has it as {column.name}.",
            impact=f"Statements that name {wanted.name} fail, though the values are there.",
            remedy=(
                f"{MIGRATE}\n"
                "-- or, where nothing uses the old name: "
                f"alter table {relation.name.sql} rename column {quote(column.name)} to {quote(wanted.name)};\n"
                f'-- or in the model: {wanted.name} = mapped_column("{column.name}", …)'
            ),
        )


CHECK = Check(
    code="SCH004",
    title="Column under an old name",
    component="message_fields",
    severity="blocker",
    about="""
A column of the models exists under a name that it once had (`info={"formerly": (…)}` in the model). Statements that
name the new one fail, while all values are there. Where both names exist, the new one is taken and nothing is said.

Change the database (`trunkline migrate start URL` keeps the old name alive for the old application),
or give the model's attribute the old column: `content = mapped_column("text", …)`.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table orders rename column note to remark;", finds=("orders.remark",)),
        Case("create table orders (id uuid primary key, remark int);", finds=("orders.remark",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "alter table orders add column remark text;"),
    ),
)
