"""Whether an index of the database does what an index of the target, or a foreign key, needs."""

from __future__ import annotations

import re

from trunkline.postgres.catalogue.model import Constraint, Index, Relation, quote
from trunkline.readiness.find import actual_or_wanted, concurrently, in_actual_names
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.target import TargetIndex

_METHOD = re.compile(r"\busing\s+(\w+)", re.IGNORECASE)
_CAST = re.compile(
    r"::(character varying|double precision|timestamp with(out)? time zone|[\w.]+)(\(\d+(,\d+)?\))?(\[\])?"
)


def serving(match: TableMatch, wanted: TargetIndex) -> Index | None:
    """An index that answers the same questions: same leading columns in order, no narrower, no weaker."""
    relation = match.relation
    if relation is None:
        return None
    return next((each for each in relation.indexes if _serves(each, wanted, match)), None)


def implied_by(match: TableMatch, wanted: TargetIndex) -> Index | None:
    """A unique index over fewer of the columns: no duplicates get in, but nothing can refer to the wanted columns."""
    relation = match.relation
    if relation is None:
        return None
    columns = {actual_or_wanted(match, column) for column in wanted.columns}
    return next(
        (each for each in relation.indexes if _is_unique_for_all(each) and columns.issuperset(each.columns)), None
    )


def serving_key(relation: Relation, key: Constraint, parent: Relation | None) -> Index | None:
    """An index under a foreign key, so that parent and children find each other.

    Its leading columns, in any order, hold those that point at the parent's primary key; a tenant's column that is in
    every key tells too little.
    """
    pairs = zip(key.columns, key.referenced_columns, strict=True)
    telling = {child for child, column in pairs if parent is not None and column in parent.primary_key}
    needed = telling or set(key.columns)
    return next((each for each in relation.indexes if _is_under(each, key, needed)), None)


def create(match: TableMatch, relation: Relation, wanted: TargetIndex) -> str:
    """SQL that makes a wanted index on the table that is there, under its names, while others write."""
    missing = [column for column in wanted.columns if column in match.columns and match.actual(column) is None]
    note = f"-- first add what it is made of: {', '.join(missing)}\n" if missing else ""
    is_free = match.how == "present" and all(index.name != wanted.name for index in relation.indexes)
    name = f" {quote(wanted.name)}" if is_free else ""
    unique = "unique " if wanted.is_unique else ""
    make = f"create {unique}index {concurrently(relation)}".strip()
    return f"{note}{make}{name} on {relation.name.sql} {_body(match, wanted)};"


def _body(match: TableMatch, wanted: TargetIndex) -> str:
    """What comes after the table's name."""
    if wanted.is_constraint:
        body = wanted.ddl[wanted.ddl.rindex("UNIQUE") :].removeprefix("UNIQUE ")
        nulls, _, columns = body.rpartition("(")
        return in_actual_names(match, f"({columns} {nulls}".strip())
    body = re.sub(r'^.*? ON (?:(?:"(?:[^"]|"")*"|\w+)\.)?(?:"(?:[^"]|"")*"|\w+) ', "", wanted.ddl, count=1)
    return in_actual_names(match, body)


def same(one: str | None, other: str | None) -> bool:
    """Whether two expressions say the same, but for brackets, casts and spaces that PostgreSQL writes."""
    return (one is None) == (other is None) and _plain(one or "") == _plain(other or "")


def _is_under(index: Index, key: Constraint, needed: set[str]) -> bool:
    leading: set[str] = set()
    for column in index.columns:
        if column is None or column not in key.columns:
            break
        leading.add(column)
    is_whole = index.predicate is None or any(same(index.predicate, f"{column} is not null") for column in key.columns)
    return index.is_valid and is_whole and needed <= leading and index.method in ("btree", "hash")


def _serves(index: Index, wanted: TargetIndex, match: TableMatch) -> bool:
    method = _METHOD.search(wanted.ddl)
    if not index.is_valid or index.method != (method[1].lower() if method else "btree"):
        return False
    if len(index.columns) < len(wanted.columns) or not _begins_alike(index, wanted, match):
        return False
    if wanted.is_unique:
        return _is_as_unique(index, wanted, match)
    return index.predicate is None or _is_for_the_same_rows(index, wanted, match)


def _is_as_unique(index: Index, wanted: TargetIndex, match: TableMatch) -> bool:
    nulls = "nulls not distinct"
    return (
        index.is_unique
        and len(index.columns) == len(wanted.columns)
        and _is_for_the_same_rows(index, wanted, match)
        and (nulls in index.definition.lower()) == (nulls in wanted.ddl.lower())
    )


def _begins_alike(index: Index, wanted: TargetIndex, match: TableMatch) -> bool:
    expected = [actual_or_wanted(match, column) for column in wanted.columns]
    found = index.columns[: len(expected)]
    if wanted.is_unique and len(index.columns) == len(expected) and set(found) == set(expected):
        return True  # in whatever order
    return all(_is_key(one, other, index, wanted) for one, other in zip(found, expected, strict=True))


def _is_key(found: str | None, expected: str, index: Index, wanted: TargetIndex) -> bool:
    """Of one name, expressions are taken for the same: the server may have written them in another way."""
    if found is not None:
        return found == expected
    return index.name == wanted.name or _plain(expected) in _plain(index.definition)


def _is_for_the_same_rows(index: Index, wanted: TargetIndex, match: TableMatch) -> bool:
    """Of one name, predicates are taken for the same, as expressions are."""
    predicate = _predicate(wanted, match)
    is_named_so = index.name == wanted.name and None not in (index.predicate, predicate)
    return is_named_so or same(index.predicate, predicate)


def _predicate(wanted: TargetIndex, match: TableMatch) -> str | None:
    return None if wanted.predicate is None else in_actual_names(match, wanted.predicate)


def _is_unique_for_all(index: Index) -> bool:
    return index.is_unique and index.is_valid and index.predicate is None and None not in index.columns


def _plain(sql: str) -> str:
    """`((status)::text = ANY ((ARRAY['a'::text, 'b'::text])))` as `status in ('a', 'b')` is written."""
    written = re.sub(r"[\s()]", "", _CAST.sub("", sql.lower().replace('"', "")))
    listed = re.sub(r"=anyarray\[([^\]]*)\]", r"in\1", written.replace("!=", "<>"))
    return re.sub(r"in('[^']*')(?!,)", r"=\1", listed)
