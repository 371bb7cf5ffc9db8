"""Orphans: rows that point to a parent which isn't there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from trunkline.postgres.catalogue.model import Catalogue, Column, Name, Relation, quote
from trunkline.readiness.evidence.asking import table
from trunkline.readiness.evidence.data.session import Session
from trunkline.readiness.evidence.data.source import Source, raw
from trunkline.readiness.evidence.data.values import SAMPLES, BadRows
from trunkline.readiness.target import TargetForeignKey

_FAMILIES = (
    ("smallint", "integer", "bigint"),
    ("text", "character varying", "character", "name"),
)
"""Types that compare with each other, and use each other's indexes."""


@dataclass(frozen=True)
class _Reference:
    """A foreign key of the target in the database's names; columns and those of the parent in pairs."""

    child: Relation
    parent: Relation
    pairs: tuple[tuple[str, str], ...]

    @property
    def pointers(self) -> tuple[str, ...]:
        """The columns that point. Those of the same name on both sides, as of a tenant, only say where."""
        return tuple(ours for ours, theirs in self.pairs if ours != theirs) or tuple(ours for ours, _ in self.pairs)

    @property
    def is_enforced(self) -> bool:
        """Whether a foreign key of the database vouches for it already."""
        return any(
            each.kind == "foreign key"
            and each.is_validated
            and each.references == self.parent.name
            and set(zip(each.columns, each.referenced_columns, strict=False)) == set(self.pairs)
            for each in self.child.constraints
        )

    @property
    def rule(self) -> str:
        """In words of SQL."""
        ours = ", ".join(quote(ours) for ours, _ in self.pairs)
        theirs = ", ".join(quote(theirs) for _, theirs in self.pairs)
        return f"foreign key ({ours}) references {self.parent.name} ({theirs})"

    def is_orphan(self) -> sql.Composable:
        """A condition on a row `t` of the child."""
        given = [sql.SQL("{} is not null").format(raw(ours)) for ours, _ in self.pairs]
        same = [self._same(ours, theirs) for ours, theirs in self.pairs]
        return sql.SQL("{} and not exists (select from {} as p where {})").format(
            sql.SQL(" and ").join(given), table(self.parent.name), sql.SQL(" and ").join(same)
        )

    def _same(self, ours: str, theirs: str) -> sql.Composable:
        left, right = sql.SQL("p.{}").format(sql.Identifier(theirs)), raw(ours)
        if not comparable(self.parent.columns[theirs], self.child.columns[ours]):
            left, right = (sql.SQL("{}::pg_catalog.text").format(each) for each in (left, right))
        return sql.SQL("{} = {}").format(left, right)


def orphans(session: Session, catalogue: Catalogue, source: Source, found: Mapping[str, Source]) -> Iterator[BadRows]:
    """Rows of one table whose parents are missing, for each foreign key of the target that nothing enforces yet."""
    done: set[_Pairs] = set()
    for key in source.match.wanted.foreign_keys:
        parent = _parent(session, catalogue, source, key, found)
        reference = None if parent is None else _reference(source, key, parent)
        if reference is None or reference.is_enforced or (pairs := (reference.parent.name, reference.pairs)) in done:
            continue
        done.add(pairs)
        if bad := _count(session, source, reference):
            yield bad


_Pairs = tuple[Name, tuple[tuple[str, str], ...]]


def _parent(
    session: Session, catalogue: Catalogue, source: Source, key: TargetForeignKey, found: Mapping[str, Source]
) -> _Parent | None:
    """The parent's relation with its columns by the target's names; None where there is none, or it can't be read."""
    if (parent := found.get(str(key.parent))) is not None:
        return parent.relation, {name: parent.match.actual(name) for name in key.parent_columns}
    relation = catalogue.relations.get(key.parent)
    if relation is None or not relation.is_table:
        return None
    if not relation.can_select:
        session.skip(
            f"orphans of {source.relation.name}.{', '.join(key.columns)}",
            f"the connected role may not read {relation.name}",
            f"Connect as a role that may read {relation.name}.",
            "DAT001",
        )
        return None
    return relation, {name: name for name in key.parent_columns if name in relation.columns}


_Parent = tuple[Relation, Mapping[str, str | None]]


def _reference(source: Source, key: TargetForeignKey, parent: _Parent) -> _Reference | None:
    """In the database's names, without columns that it doesn't have yet; the parent's key must be among them."""
    relation, their_names = parent
    pairs: list[tuple[str, str]] = []
    for column, parent_column in zip(key.columns, key.parent_columns, strict=True):
        ours, theirs = source.match.actual(column), their_names.get(parent_column)
        if ours is not None and theirs is not None:
            pairs.append((ours, theirs))
    points = {theirs for _, theirs in pairs} & _identifying(relation, key)
    return _Reference(source.relation, relation, tuple(pairs)) if points else None


def _identifying(relation: Relation, key: TargetForeignKey) -> set[str]:
    """The parent's own key; where it has none, all that the foreign key names."""
    return set(relation.primary_key or key.parent_columns)


def _count(session: Session, source: Source, reference: _Reference) -> BadRows | None:
    what = f"orphans of {source.relation.name}.{', '.join(reference.pointers)}"
    rows = sql.SQL("from {} as t{} where {}").format(
        table(source.relation.name), source.sampling(), reference.is_orphan()
    )
    answer = session.ask_or_note(sql.SQL("select count(*) {}").format(rows), what, "DAT001")
    count = 0 if answer is None else int(answer[0][0])
    if not count:
        return None
    pointers = [sql.SQL("{}::pg_catalog.text").format(raw(name)) for name in reference.pointers]
    samples = session.ask_or_note(
        sql.SQL("select distinct pg_catalog.concat_ws(', ', {}) {} order by 1 limit {}").format(
            sql.SQL(", ").join(pointers), rows, sql.Literal(SAMPLES)
        ),
        f"samples of {what}",
        "DAT001",
    )
    return BadRows(
        fault="orphan",
        relation=source.relation.name,
        columns=reference.pointers,
        rule=reference.rule,
        count=source.scaled(count),
        is_estimate=source.is_sampled,
        samples=tuple(str(row[0]) for row in samples or ()),
        rows=source.rows,
        where=reference.is_orphan().as_string(session.connection),
    )


def comparable(one: Column, other: Column) -> bool:
    """Whether two columns compare as they are; if not, their texts do."""
    first, second = (each.base_type.partition("(")[0] for each in (one, other))
    return first == second or any(first in family and second in family for family in _FAMILIES)
