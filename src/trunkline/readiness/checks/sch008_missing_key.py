"""SCH008: a primary key or unique constraint of the target isn't there."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import actual_or_wanted, component_of, key_name, names, tables
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.report import Finding
from trunkline.readiness.serving import create, implied_by, serving
from trunkline.readiness.target import TargetIndex


def find(evidence: Evidence) -> Iterator[Finding]:
    """Keys of tables that are there."""
    for match, relation in tables(evidence):
        columns = tuple(actual_or_wanted(match, column) for column in match.wanted.primary_key)
        if columns and set(columns) != set(relation.primary_key):
            yield _primary_key(evidence, match, relation, columns)
        for wanted in match.wanted.indexes:
            if wanted.is_unique and serving(match, wanted) is None:
                yield _unique(match, relation, wanted)


def _primary_key(evidence: Evidence, match: TableMatch, relation: Relation, columns: tuple[str, ...]) -> Finding:
    found = f"it is ({names(relation.primary_key)})" if relation.primary_key else "there is none"
    return Finding(
        code=CHECK.code,
        severity="major",
        component=component_of(evidence.target, match.wanted),
        object=key_name(relation.name, columns),
        evidence=f"The code wants ({names(columns)}) as primary key; {found}.",
        impact="Two rows can bear the same key, and no table can refer to it by a foreign key.",
        remedy=_primary_key_remedy(relation, columns),
    )


def _primary_key_remedy(relation: Relation, columns: tuple[str, ...]) -> str:
    alter = f"alter table {relation.name.sql}"
    if not relation.primary_key:
        return f"{alter} add primary key ({names(columns)});"
    if relation.kind == "partitioned table":
        return (
            "trunkline migrate start URL --strategy create\n"
            "-- every key of a partitioned table has to hold the columns that it is partitioned by"
        )
    return f"{alter} add unique ({names(columns)});\n-- the primary key itself: see what refers to it first"


def _unique(match: TableMatch, relation: Relation, wanted: TargetIndex) -> Finding:
    columns = tuple(actual_or_wanted(match, column) for column in wanted.columns)
    stronger = implied_by(match, wanted)
    only = f" where {wanted.predicate}" if wanted.predicate else ""
    seen = f"No unique constraint or index is over ({', '.join(columns)}){only}"
    if stronger is not None:
        seen += f"; duplicates are kept out by {stronger.name}"
    return Finding(
        code=CHECK.code,
        severity="major" if stronger is None else "minor",
        component="indexes",
        object=key_name(relation.name, columns),
        evidence=f"{seen}.",
        impact="Duplicates get in, and INSERT … ON CONFLICT on these columns fails."
        if stronger is None
        else "Foreign keys and INSERT … ON CONFLICT can't refer to these columns.",
        remedy=create(match, relation, wanted),
    )


CHECK = Check(
    code="SCH008",
    title="Missing primary key or unique constraint",
    component="indexes",
    severity="major",
    about="""
The models declare a primary key or a unique constraint that the database doesn't enforce: as a constraint or as a
unique index over the same columns, whatever its name and the order of its columns, with the same predicate.

Without it duplicates get in, `INSERT … ON CONFLICT` on these columns fails, and no foreign key can refer to them. Where
a stricter key keeps duplicates out anyhow, only the last two remain and the finding is minor.

Look for duplicates first (the section Data counts them); `create unique index concurrently` doesn't block writers, and
`alter table … add constraint … unique using index …` turns it into a constraint.
""",
    find=find,
    bad=(
        Case(CLEAN + "alter table shops drop constraint shops_owner_id_name_key;", finds=("shops (owner_id, name)",)),
        Case(CLEAN + "alter table orders drop constraint orders_pkey;", finds=("orders.id",)),
        Case(
            CLEAN + "alter table shops drop constraint shops_owner_id_name_key;"
            "create unique index on shops (owner_id, name) where name <> '';",
            finds=("shops (owner_id, name)",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN + "alter table shops drop constraint shops_owner_id_name_key;"
            "create unique index anything on shops (name, owner_id);"
        ),
    ),
)
