"""Duplicates: rows that share a key which the target wants to be unique."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from trunkline.postgres.catalogue.model import Index
from trunkline.readiness.evidence.asking import calls_own_function, is_same_condition, mentioned, renamed, verbatim
from trunkline.readiness.evidence.data.session import Session
from trunkline.readiness.evidence.data.source import Source
from trunkline.readiness.evidence.data.values import SAMPLES, BadRows
from trunkline.readiness.target import TargetIndex, TargetTable

_LOOKUPS = 5_000
"""Keys of a large table that are looked up by an index."""
_SAMPLED = sql.Identifier("sampled key")


@dataclass(frozen=True)
class _Key:
    """A unique key of the target, in the target's names."""

    columns: tuple[str, ...]
    """An expression is written out."""
    predicate: str | None
    nulls_are_equal: bool
    expressions: frozenset[str]
    """Those of `columns` that are no columns."""

    @property
    def rule(self) -> str:
        """In words of SQL."""
        nulls = " nulls not distinct" if self.nulls_are_equal else ""
        where = f" where {self.predicate}" if self.predicate else ""
        return f"unique{nulls} ({', '.join(self.columns)}){where}"

    def applies(self) -> sql.Composable:
        """A condition on rows as `Source.renamed` gives them."""
        given = [] if self.nulls_are_equal else [sql.SQL("{} is not null").format(each) for each in self.parts]
        if self.predicate:
            given.append(sql.SQL("({})").format(verbatim(self.predicate)))
        return sql.SQL(" and ").join(given) if given else sql.SQL("true")

    @property
    def parts(self) -> list[sql.Composable]:
        """The columns for SQL."""
        return [verbatim(f"({part})") if part in self.expressions else sql.Identifier(part) for part in self.columns]


def duplicates(session: Session, source: Source) -> Iterator[BadRows]:
    """Rows of one table that share a key, for each unique key of the target that nothing enforces yet."""
    for key in _keys(source):
        found = _look_up(session, source, key) if source.is_sampled else _group(session, source, key)
        if found is not None:
            yield found


def _keys(source: Source) -> Iterator[_Key]:
    wanted = source.match.wanted
    primary = _Key(wanted.primary_key, None, nulls_are_equal=False, expressions=frozenset())
    others = (_key(wanted, index) for index in wanted.indexes if index.is_unique)
    for key in dict.fromkeys((primary, *others)):
        if key.columns and _can_be_asked(source, key) and not _is_enforced(source, key):
            yield key


def _key(wanted: TargetTable, index: TargetIndex) -> _Key:
    return _Key(
        columns=index.columns,
        predicate=index.predicate,
        nulls_are_equal="nulls not distinct" in index.ddl.lower(),
        expressions=frozenset(index.columns).difference(wanted.columns),
    )


def _can_be_asked(source: Source, key: _Key) -> bool:
    """Whether the database has all columns of it, and nobody's own function would run."""
    written = [*key.expressions, key.predicate or ""]
    needed = {name for name in key.columns if name not in key.expressions}
    needed.update(name for each in written for name in mentioned(each, source.match.columns))
    return all(source.match.actual(name) is not None for name in needed) and not any(map(calls_own_function, written))


def _is_enforced(source: Source, key: _Key) -> bool:
    """Whether a unique index of the database, over all or some of the columns, vouches for it already."""
    columns = {source.match.actual(name) for name in key.columns}
    return any(
        index.is_unique
        and index.is_valid
        and columns.issuperset(index.columns)
        and all(_has_expression(source, index, each) for each in key.expressions)
        and _covers_predicate(source, key, index)
        and _covers_nulls(source, key, index)
        for index in source.relation.indexes
    )


def _has_expression(source: Source, index: Index, expression: str) -> bool:
    """Whether an index is made of an expression, however the server spells it."""
    actual = {name: source.match.actual(name) or name for name in mentioned(expression, source.match.columns)}
    words = re.findall(r"\w+", renamed(expression, actual).lower())
    return set(words).issubset(re.findall(r"\w+", index.definition.lower()))


def _covers_predicate(source: Source, key: _Key, index: Index) -> bool:
    if index.predicate is None or key.predicate is None:
        return index.predicate is None
    return is_same_condition(index.predicate, key.predicate, source.match.columns)


def _covers_nulls(source: Source, key: _Key, index: Index) -> bool:
    if not key.nulls_are_equal or "nulls not distinct" in index.definition.lower():
        return True
    return not any(name is not None and source.relation.columns[name].nullable for name in index.columns)


def _group(session: Session, source: Source, key: _Key) -> BadRows | None:
    """All rows by their key."""
    names = sql.SQL(", ").join(key.parts)
    query = sql.SQL(
        "select pg_catalog.sum(count(*)) over (), {} from {} where {} group by {} having count(*) > 1 limit {}"
    ).format(_shown(key), source.renamed(), key.applies(), names, sql.Literal(SAMPLES))
    answer = session.ask_or_note(query, _what(source, key), "DAT004")
    if not answer:
        return None
    return _bad(source, key, int(answer[0][0]), tuple(str(row[1]) for row in answer))


def _look_up(session: Session, source: Source, key: _Key) -> BadRows | None:
    """Some keys of a large table, each looked up by an index."""
    if key.expressions or not _has_index(source, key):
        session.skip(
            _what(source, key),
            f"the table has about {source.rows:,} rows and no index to look these keys up by",
            "Run it again with --deep, which reads the whole table.",
            "DAT004",
        )
        return None
    table = sql.Identifier(source.match.wanted.name.name)
    never_null = _never_null(source, key)
    same = [
        sql.SQL("{}.{} {} {}.{}").format(
            table,
            sql.Identifier(name),
            sql.SQL("=" if name in never_null else "is not distinct from"),
            _SAMPLED,
            sql.Identifier(name),
        )
        for name in key.columns
    ]
    query = sql.SQL(
        "select {shown}, ("
        "select count(*) from (select from {rows} where {same} and {applies} limit 2) as twice) > 1"
        " from (select * from {sample} where {applies} limit {lookups}) as {sampled}"
    ).format(
        shown=_shown(key),
        rows=source.renamed(sample_rows=None),
        same=sql.SQL(" and ").join(same),
        applies=key.applies(),
        sample=source.renamed(_LOOKUPS),
        lookups=sql.Literal(_LOOKUPS),
        sampled=_SAMPLED,
    )
    answer = session.ask_or_note(query, _what(source, key), "DAT004")
    shared = [str(row[0]) for row in answer or () if row[1]]
    if not answer or not shared:
        return None
    count = round(len(shared) * source.rows / len(answer))
    return _bad(source, key, count, tuple(dict.fromkeys(shared))[:SAMPLES])


def _never_null(source: Source, key: _Key) -> tuple[str, ...]:
    """Columns that can be compared by `=`, which an index serves."""
    if not key.nulls_are_equal:
        return key.columns
    matches = ((name, source.match.columns[name].column) for name in key.columns)
    return tuple(name for name, column in matches if column is not None and not column.nullable)


def _has_index(source: Source, key: _Key) -> bool:
    names = [source.match.actual(name) for name in _never_null(source, key)]
    return any(
        index.is_valid and index.predicate is None and index.columns[:1] and index.columns[0] in names
        for index in source.relation.indexes
    )


def _shown(key: _Key) -> sql.Composable:
    texts = [sql.SQL("pg_catalog.left({}::pg_catalog.text, 40)").format(each) for each in key.parts]
    return sql.SQL("pg_catalog.concat_ws(', ', {})").format(sql.SQL(", ").join(texts))


def _what(source: Source, key: _Key) -> str:
    return f"duplicates of {source.relation.name} ({', '.join(key.columns)})"


def _bad(source: Source, key: _Key, count: int, samples: tuple[str, ...]) -> BadRows:
    return BadRows(
        fault="duplicate",
        relation=source.relation.name,
        columns=tuple(source.match.actual(name) or name for name in key.columns),
        rule=key.rule,
        count=count,
        is_estimate=source.is_sampled,
        samples=samples,
        rows=source.rows,
    )
