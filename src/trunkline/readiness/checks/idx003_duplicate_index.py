"""IDX003: two indexes are the same but for their names."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Index, Name, Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import concurrently, own_tables, where_of
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Of equal indexes the one that does most is kept, each other is a finding."""
    for relation in own_tables(evidence):
        equal: dict[str, list[Index]] = {}
        for index in sorted(relation.indexes, key=_worth):
            equal.setdefault(_what(index), []).append(index)
        for kept, *others in equal.values():
            for index in others:
                yield _finding(evidence, relation, index, kept)


def _worth(index: Index) -> tuple[bool, bool, bool, bool, str]:
    """Best first."""
    return (not index.is_valid, not index.is_primary, index.constraint is None, not index.is_unique, index.name)


def _what(index: Index) -> str:
    """The definition from the method on; the unique one of two does what the other does."""
    return index.definition.partition(" USING ")[2]


def _finding(evidence: Evidence, relation: Relation, index: Index, kept: Index) -> Finding:
    name = Name(relation.name.schema, index.name)
    drop = f"alter table {relation.name.sql} drop constraint {quote(index.constraint or '')};"
    return Finding(
        code=CHECK.code,
        severity="minor",
        component=where_of(evidence, relation),
        object=str(name),
        evidence=f"{index.name} and {kept.name} of {relation.name} are both over {_what(index)}.",
        impact=f"Every write keeps both, and {index.size_bytes:,} bytes are spent for nothing.",
        remedy=drop if index.constraint else f"drop index {concurrently(relation)}{name.sql};",
    )


CHECK = Check(
    code="IDX003",
    title="Duplicate index",
    component="indexes",
    severity="minor",
    about="""
Two indexes of a table have the same method, columns, order, operators and predicate. Each write pays for both, queries
use one. The one behind a constraint is kept, else the unique one.

An index that another merely begins with is no duplicate: it is smaller, and may be worth it.
""",
    find=find,
    bad=(
        Case(CLEAN + "create index zweiter on shops (owner_id);", finds=("zweiter",)),
        Case(CLEAN + "create index zweiter on orders (id);", finds=("zweiter",)),
    ),
    good=(
        Case(CLEAN),
        Case(CLEAN + "create index on shops (owner_id desc); create index on shops (owner_id) where name <> '';"),
        Case(CLEAN + "create index on shops using hash (owner_id);"),
    ),
    covers=("splinter 0009_duplicate_index",),
)
