"""Which relation of the database is which table of the target, and which column which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trunkline.postgres.catalogue.model import Catalogue, Column, Relation
from trunkline.readiness.target import Target, TargetColumn, TargetTable

As = Literal["present", "renamed", "reshaped", "retyped", "missing"]
"""present: same name, fitting type · renamed: fitting type under a former name · reshaped: inside a JSON column ·
retyped: there (under either name), of a type that doesn't fit · missing."""


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """Where a column of the target is."""

    wanted: TargetColumn
    how: As
    column: Column | None
    """The column that holds it; the JSON column where it is reshaped."""


@dataclass(frozen=True, slots=True)
class TableMatch:
    """Where a table of the target is."""

    wanted: TargetTable
    how: Literal["present", "renamed", "missing"]
    relation: Relation | None
    columns: Mapping[str, ColumnMatch]
    """By the target's name of the column; all of them, also where the table is missing."""
    extra: tuple[Column, ...]
    """Columns of the relation that no column of the target claims."""

    def actual(self, column: str) -> str | None:
        """The database's name of a target's column; None where no column of its own holds it."""
        match = self.columns.get(column)
        if match is None or match.column is None or match.how == "reshaped":
            return None
        return match.column.name


@dataclass(frozen=True)
class Matching:
    """The whole comparison of names."""

    tables: Mapping[str, TableMatch]
    """By `str(name)` of the target's table."""
    unclaimed: tuple[Relation, ...]
    """Tables that no table of the target claims."""
    source: str | None
    """What kind of legacy it looks like, in a few words."""
    is_related: bool
    """Whether the database has anything to do with the target at all."""

    def of(self, relation: Relation) -> TableMatch | None:
        """The match whose relation this is."""
        return next((each for each in self.tables.values() if each.relation is relation), None)


def match(catalogue: Catalogue, target: Target) -> Matching:
    """Compare names. A table of the right name comes before one of a former name; a view is never taken for a table."""
    raise NotImplementedError
