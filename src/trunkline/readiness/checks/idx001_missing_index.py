"""IDX001: an index that the code's queries are written for isn't there."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import actual_or_wanted, key_name, tables
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.report import Finding
from trunkline.readiness.serving import create, serving
from trunkline.readiness.target import TargetIndex


def find(evidence: Evidence) -> Iterator[Finding]:
    """Indexes that aren't unique and aren't just those of a foreign key: SCH008 and IDX002 speak of these."""
    for match, relation in tables(evidence):
        for wanted in match.wanted.indexes:
            is_other = wanted.is_unique or _is_of_foreign_key(match, relation, wanted)
            if not is_other and serving(match, wanted) is None:
                yield _finding(match, relation, wanted)


def _is_of_foreign_key(match: TableMatch, relation: Relation, wanted: TargetIndex) -> bool:
    columns = tuple(actual_or_wanted(match, column) for column in wanted.columns)
    return any(each.kind == "foreign key" and each.columns == columns for each in relation.constraints)


def _finding(match: TableMatch, relation: Relation, wanted: TargetIndex) -> Finding:
    columns = tuple(actual_or_wanted(match, column) for column in wanted.columns)
    only = f" where {wanted.predicate}" if wanted.predicate else ""
    missing = [column for column in wanted.columns if _is_missing(match, column)]
    reads = f"look for rows by {', '.join(columns)} read the whole table ({_rows(relation)})"
    return Finding(
        code=CHECK.code,
        severity="major" if wanted.is_contract else "minor",
        component="indexes",
        object=key_name(relation.name, columns),
        evidence=f"No valid index of {relation.name} begins with ({', '.join(columns)}){only}"
        + (f"; still missing: {', '.join(missing)}." if missing else "."),
        impact=f"Queries that {reads}." if not missing else f"Once the columns are there, queries that {reads}.",
        remedy=create(match, relation, wanted),
    )


def _rows(relation: Relation) -> str:
    return f"about {relation.rows:,} rows" if relation.rows > 0 else "its size is not known"


def _is_missing(match: TableMatch, column: str) -> bool:
    return column in match.columns and match.actual(column) is None


CHECK = Check(
    code="IDX001",
    title="Missing index",
    component="indexes",
    severity="major",
    about="""
The models declare an index, and no valid index of the table can take its place: one whose leading key columns are the
same in the same order, of the same method, over all rows or over those of the same predicate. A unique one serves too,
and so does one with further columns behind. Names don't matter.

**Major** where queries are written for it (the model gives it a name or marks it with `info={"contract": True}`); minor
where it only lies under a foreign key or a policy.

`create index concurrently` lets writers work, and can't run inside a transaction.
""",
    find=find,
    bad=(
        Case(CLEAN + "drop index orders_shop_id_created_at_idx;", finds=("orders (shop_id, created_at)",)),
        Case(
            CLEAN + "drop index orders_shop_id_created_at_idx; create index on orders (created_at, shop_id);",
            finds=("orders (shop_id, created_at)",),
        ),
        Case(
            CLEAN + "drop index shops_owner_id_idx; alter table shops drop constraint shops_owner_id_name_key;"
            "create index on shops (owner_id) where name <> '';",
            finds=("shops.owner_id",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "drop index shops_owner_id_idx;"),  # the unique one begins with the same column
        Case(
            CLEAN + "drop index orders_shop_id_created_at_idx;"
            "create index on orders (shop_id, created_at desc, status);"
        ),
    ),
)
