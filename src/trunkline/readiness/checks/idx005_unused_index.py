"""IDX005: an index was never used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.postgres.catalogue.model import Index, Name, Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import concurrently, own_tables, where_of
from trunkline.readiness.report import Finding, NotChecked

ROWS = 10_000
"""In smaller tables reading everything is often the better plan, and an unused index costs little."""
DAYS = 7
"""Statistics must be this old, so that weekly work has had its turn."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """Indexes that enforce nothing and that no query has read."""
    idle = [
        (relation, index)
        for relation in own_tables(evidence)
        for index in relation.indexes
        if _is_idle(relation, index)
    ]
    age = evidence.activity.statistics_age_days
    if idle and (age is None or age < DAYS):
        known = "isn't known" if age is None else f"is {age:.1f} days"
        evidence.not_checked.append(
            NotChecked(
                what=f"whether indexes that show no use are never used ({len(idle)} of them)",
                why=f"the age of the server's statistics {known}; {DAYS} days are needed",
                how=f"run it again {DAYS} days after the statistics were reset",
                codes=(CHECK.code,),
            )
        )
        return
    for relation, index in idle:
        yield _finding(evidence, relation, index, age or 0)


def _is_idle(relation: Relation, index: Index) -> bool:
    enforces = index.is_unique or index.is_primary or index.constraint is not None
    return index.scans == 0 and index.is_valid and not enforces and relation.rows >= ROWS


def _finding(evidence: Evidence, relation: Relation, index: Index, age: float) -> Finding:
    name = Name(relation.name.schema, index.name)
    return Finding(
        code=CHECK.code,
        severity="info",
        component=where_of(evidence, relation),
        object=str(name),
        evidence=f"{name} on {relation.name} was not read once in {age:.0f} days of statistics.",
        impact=f"Every write keeps it up, and it takes {index.size_bytes:,} bytes.",
        remedy=f"drop index {concurrently(relation)}{name.sql};  -- after a look at each replica",
    )


def _seen(days: float | None) -> Case:
    """Age and use that no SQL of a case can bring about."""

    def as_if(evidence: Evidence) -> Evidence:
        relations = {
            name: replace(
                each, rows=ROWS, indexes=tuple(replace(index, scans=0) for index in each.indexes), oid=each.oid
            )
            for name, each in evidence.catalogue.relations.items()
        }
        return replace(
            evidence,
            catalogue=replace(evidence.catalogue, relations=relations),
            activity=replace(evidence.activity, statistics_age_days=days),
        )

    old = days is not None and days >= DAYS
    return Case(
        "create table notes (id int primary key, body text, tag text unique); create index by_body on notes (body);",
        finds=("by_body",) if old else (),
        as_if=as_if,
    )


CHECK = Check(
    code="IDX005",
    title="Unused index",
    component="indexes",
    severity="info",
    about=f"""
An index that enforces nothing was not read once since the server's statistics began, at least {DAYS} days ago, on a
table of at least {ROWS:,} rows. Where the statistics are younger, or their age isn't known, this isn't decided and
stands among what was not checked.

Look before you drop it: replicas count their own use, work at the end of the month may need it, and an index under a
foreign key is read when a parent is deleted.
""",
    find=find,
    bad=(_seen(days=30),),
    good=(_seen(days=2), _seen(days=None), Case(CLEAN)),
    covers=("splinter 0005_unused_index",),
)
