"""SCH011: something that is no table bears the name of one."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import component_of_name
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Relations under the name of a table of the target that aren't its match."""
    for match in evidence.matching.tables.values():
        wanted = match.wanted
        relation = evidence.catalogue.relations.get(wanted.name)
        if relation is None or relation is match.relation:
            continue
        kind = "partition" if relation.is_partition else relation.kind
        yield Finding(
            code=CHECK.code,
            severity="blocker",
            component=component_of_name(evidence.target, wanted),
            object=str(wanted.name),
            evidence=f"{wanted.name} is a {kind}{_reads(relation)}; the code needs a table of this name.",
            impact=f"Writes of the code fail or go astray, and the table {wanted.name} can't be made.",
            remedy=_remedy(relation),
        )


def _reads(relation: Relation) -> str:
    return f" over {', '.join(map(str, relation.reads))}" if relation.reads else ""


def _remedy(relation: Relation) -> str:
    kind = "table" if relation.is_partition else relation.kind
    return f"alter {kind} {relation.name.sql} rename to {quote(f'{relation.name.name}_old')};"


CHECK = Check(
    code="SCH011",
    title="View in the way of a table",
    component="table_names",
    severity="blocker",
    about="""
A view, materialized view, foreign table, sequence or partition bears the name that the models give to a table. A view
is never taken for the table: it may hide rows or columns, run with its owner's rights and go around row-level security,
and refuse writes. As long as it is there, neither a new table nor a renamed one can take the name.

Give it another name with the remedy (whoever uses it must follow), then create or rename the table.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table shops rename to stores; create view shops as table stores;", finds=("shops",)),
        Case("create materialized view orders as select 1 as id;", finds=("orders",)),
        Case(
            "create table parcels (id int) partition by list (id);"
            "create table orders partition of parcels for values in (1);",
            finds=("orders",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create view stores as table shops;"),
        Case("create schema trade; create view trade.orders as select 1 as id;"),
    ),
)
