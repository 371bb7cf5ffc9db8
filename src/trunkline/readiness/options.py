"""The two ways to migrate, worked out for one database: steps, locks, rows, time. All of it is estimated.

How the numbers are made stands in docs/readiness-scoring.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from trunkline.postgres.catalogue.model import Relation
from trunkline.readiness.check import Evidence
from trunkline.readiness.matching import As, ColumnMatch, TableMatch
from trunkline.readiness.report import Option
from trunkline.readiness.score import Need, is_served, needs

FILLED_ROWS_PER_S = 5_000
"""Rows that a backfill rewrites in place, paced so that others hardly notice."""
COPIED_ROWS_PER_S = 3_000
"""Rows that are copied into a table beside, with triggers that keep both in step."""
INDEX_BYTES_PER_S = 20_000_000
"""What `create index concurrently` builds, both of its passes together."""
VALIDATED_BYTES_PER_S = 100_000_000
"""What a constraint that is validated reads."""
SECONDS_PER_LOCK = 0.1
"""To get a lock, retries of some of them included; it is then held for milliseconds."""


@dataclass(frozen=True)
class Work:
    """What lies between a database and the target, counted from the matching."""

    evidence: Evidence

    @cached_property
    def there(self) -> tuple[tuple[TableMatch, Relation], ...]:
        """Tables of the target that the database has under any name."""
        matches = self.evidence.matching.tables.values()
        return tuple((match, match.relation) for match in matches if match.relation is not None)

    @cached_property
    def missing(self) -> tuple[TableMatch, ...]:
        """Tables of the target that it hasn't."""
        return tuple(match for match in self.evidence.matching.tables.values() if match.relation is None)

    @cached_property
    def renamed(self) -> tuple[tuple[TableMatch, Relation], ...]:
        """Tables under a former name."""
        return tuple((match, relation) for match, relation in self.there if match.how == "renamed")

    @cached_property
    def unserved(self) -> tuple[tuple[TableMatch, Need], ...]:
        """Indexes that are missing on tables that are there."""
        return tuple(
            (match, need)
            for match, _ in self.there
            for need in needs(match)
            if not is_served(need, match, self.evidence.matching)
        )

    @cached_property
    def without_policies(self) -> tuple[Relation, ...]:
        """Tables that are there, with declared access and row security off or not forced."""
        return tuple(
            relation
            for match, relation in self.there
            if match.wanted.access is not None and not (relation.has_row_security and relation.forces_row_security)
        )

    @cached_property
    def changed(self) -> tuple[Relation, ...]:
        """Tables that are there, of another name or with fields to change."""
        return tuple(
            relation
            for match, relation in self.there
            if match.how == "renamed" or any(each.how != "present" for each in match.columns.values())
        )

    @cached_property
    def filled(self) -> tuple[Relation, ...]:
        """Tables whose rows must be rewritten: a value of another type, place or spelling, or derived from a parent."""
        return tuple(relation for match, relation in self.there if any(map(_is_filled, match.columns.values())))

    def columns(self, *kinds: As) -> tuple[tuple[TableMatch, ColumnMatch], ...]:
        """Columns of tables that are there, by how they are found."""
        return tuple((match, each) for match, _ in self.there for each in match.columns.values() if each.how in kinds)

    @property
    def is_any(self) -> bool:
        """Whether there is anything that a migration would do."""
        return bool(self.missing or self.changed or self.unserved or self.without_policies)


def options(evidence: Evidence) -> tuple[Option, ...]:
    """The ways, the advised one first; none where nothing is to be done."""
    work = Work(evidence)
    if not work.is_any:
        return ()
    if not work.there:
        return (_from_nothing(work),)
    obstacle = _why_not_rename(work)
    ways = (_rename(work, obstacle), _create(work, obstacle))
    return tuple(sorted(ways, key=lambda way: not way.advised))


def _why_not_rename(work: Work) -> str | None:
    """What a rename can't do here; None where it can do all."""
    for match, relation in work.there:
        key = [match.columns[name] for name in match.wanted.primary_key]
        wrong = next((each for each in key if each.how == "retyped" and each.column is not None), None)
        if wrong is not None and wrong.column is not None:
            return f"{relation.name}.{wrong.column.name} is {wrong.column.type}, and the code needs {wrong.wanted.type}"
    parents = {name for each in work.evidence.catalogue.relations.values() for name in each.parents}
    for _, relation in work.there:
        if relation.kind == "partitioned table":
            return f"{relation.name} is partitioned"
        if relation.parents or relation.name in parents:
            return f"{relation.name} is part of an inheritance"
    return None


def _rename(work: Work, obstacle: str | None) -> Option:
    locks = (
        len({relation.name for _, relation in work.renamed} | _tables(work, "renamed"))
        + len(_tables(work, "missing", "reshaped", "retyped"))
        + 2 * len(work.changed)
        + len(work.without_policies)
    )
    rows = sum(relation.rows for relation in work.filled)
    return Option(
        strategy="rename",
        advised=obstacle is None,
        reason=f"it can't serve: {obstacle}" if obstacle else "rows stay where they are, and ids stay what they are",
        steps=tuple(_rename_steps(work)),
        exclusive_locks=locks,
        rows_touched=rows,
        seconds=_seconds(rows, FILLED_ROWS_PER_S, locks, work.unserved, work.changed),
        breaks="Nothing until `complete`: the old names stay as views that can be read and written. After it, only the "
        "new application works.",
    )


def _rename_steps(work: Work) -> Iterable[str]:
    if work.missing:
        yield f"create {_count(len(work.missing), 'table')}: {_listed(str(each.wanted.name) for each in work.missing)}"
    if work.renamed:
        pairs = (f"{relation.name} to {match.wanted.name}" for match, relation in work.renamed)
        yield f"rename {_count(len(work.renamed), 'table')}, with views under the old names: {_listed(pairs)}"
    if columns := work.columns("renamed"):
        yield f"rename {_count(len(columns), 'column')}"
    if columns := work.columns("missing", "reshaped", "retyped"):
        yield f"add {_count(len(columns), 'column')}"
    if work.filled:
        yield f"fill {_rows(work.filled)} in batches: organizations, settings out of JSON, values of another type"
    yield from _last_steps(work, len(work.unserved))


def _create(work: Work, obstacle: str | None) -> Option:
    tables = work.changed
    indexes = [(match, need) for match, relation in work.there if relation in tables for need in needs(match)]
    rows = sum(relation.rows for relation in tables)
    locks = 2 * len(tables) + len(work.without_policies)
    return Option(
        strategy="create",
        advised=obstacle is not None,
        reason=f"rename can't serve: {obstacle}" if obstacle else "every row is written twice, for no gain here",
        steps=(
            f"create {_count(len(work.missing) + len(tables), 'table')} of the target, beside those that are there",
            f"put triggers on {_count(len(tables), 'old table')} and as many new ones, which keep both in step",
            f"copy {_rows(tables)} in batches",
            "verify that both sides hold the same, and switch",
            *_last_steps(work, len(indexes)),
        ),
        exclusive_locks=locks,
        rows_touched=rows,
        seconds=_seconds(rows, COPIED_ROWS_PER_S, locks, indexes, (*tables, *tables)),  # both sides are verified
        breaks="Nothing until `complete`: both sides are kept in step. It needs room for a second copy, and each write "
        "costs two meanwhile.",
    )


def _from_nothing(work: Work) -> Option:
    return Option(
        strategy="create",
        advised=True,
        reason="there is nothing of the target yet",
        steps=(f"create {_count(len(work.missing), 'table')} with their indexes and policies",),
        exclusive_locks=0,
        rows_touched=0,
        seconds=math.ceil(len(work.missing) * 0.1),
        breaks="Nothing: no table that is there is touched.",
    )


def _last_steps(work: Work, indexes: int) -> Iterable[str]:
    if indexes:
        yield f"make {_count(indexes, 'index', 'indexes')} concurrently"
    if work.changed:
        yield "add constraints, not valid at first, then validated"
    if work.without_policies or work.changed:
        yield "put the declared policies in place, and force them"


def _is_filled(column: ColumnMatch) -> bool:
    wanted = column.wanted
    must_be_made = column.how == "missing" and not wanted.nullable and (wanted.is_derived or not wanted.has_default)
    return (
        must_be_made
        or column.how in ("reshaped", "retyped")
        or (column.how == "renamed" and bool(wanted.formerly_values))
    )


def _tables(work: Work, *kinds: As) -> set[object]:
    return {match.relation.name for match, _ in work.columns(*kinds) if match.relation is not None}


def _seconds(
    rows: int, rate: int, locks: int, indexes: Sequence[tuple[TableMatch, Need]], validated: Iterable[Relation]
) -> int:
    index_bytes = sum(
        match.relation.rows * (24 + 16 * len(need.columns)) for match, need in indexes if match.relation is not None
    )
    return math.ceil(
        rows / rate
        + index_bytes / INDEX_BYTES_PER_S
        + sum(each.size_bytes for each in validated) / VALIDATED_BYTES_PER_S
        + locks * SECONDS_PER_LOCK
    )


def _listed(names: Iterable[str]) -> str:
    """The first five, and how many more."""
    every = list(names)
    return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")


def _rows(relations: Iterable[Relation]) -> str:
    """The planner's estimate; a table that was never analysed counts as empty."""
    return f"about {sum(each.rows for each in relations):,} rows"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
