"""The grades of the components, as docs/readiness-scoring.md explains them. Pure: the same evidence, the same grade.

Percentages are rounded down, so that 100 says that nothing is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from trunkline.postgres.catalogue.model import Index, Relation
from trunkline.readiness.check import Evidence
from trunkline.readiness.matching import As, ColumnMatch, TableMatch
from trunkline.readiness.report import Component, Status
from trunkline.readiness.target import ComponentSpec, Target, TargetColumn, TargetForeignKey, TargetIndex

CREDIT: Mapping[As, Fraction] = {
    "present": Fraction(1),
    "renamed": Fraction(1, 2),
    "reshaped": Fraction(1, 2),
    "retyped": Fraction(1, 2),
    "missing": Fraction(0),
}
"""Half where the data is there and the code can't find or read it."""


@dataclass(frozen=True, slots=True)
class _Grade:
    """What one component's rule makes of the evidence."""

    share: Fraction
    """Of what is needed, 0 to 1."""
    notes: str
    expected: str
    found: str
    is_whole: bool = True
    """False where something is missing that the share doesn't count: then it is never 100."""


def grade(evidence: Evidence) -> tuple[Component, ...]:
    """Each component of the target, in the target's order."""
    return tuple(_component(evidence, spec) for spec in evidence.target.components)


def mean(components: Sequence[Component]) -> int | None:
    """Plain mean of the scores, rounded down; None where one of them is, or there is none."""
    scores = [each.score for each in components if each.score is not None]
    return sum(scores) // len(scores) if scores and len(scores) == len(components) else None


def _component(evidence: Evidence, spec: ComponentSpec) -> Component:
    graded = _RULES[spec.kind](evidence, spec)
    percent = int(graded.share * 100)
    score = percent if graded.is_whole else min(percent, 99)
    status: Status = "ready" if score == 100 else "missing" if score == 0 else "partial"
    return Component(
        key=spec.key,
        name=spec.name,
        score=score,
        status=status,
        notes=graded.notes,
        expected=graded.expected,
        found=graded.found,
    )


# Fields


def counts(column: TargetColumn, target: Target) -> bool:
    """Whether a column is graded: existing code asks for it by name, or no row can be stored without it.

    Where a target names no contract at all, every column is.
    """
    if not _has_contract(target):
        return True
    return column.is_contract or not (column.nullable or column.has_default or column.is_derived)


def _has_contract(target: Target) -> bool:
    return any(column.is_contract for table in target.tables.values() for column in table.columns.values())


def _weight(column: TargetColumn) -> int:
    return 1 if column.nullable else 2


def _fields(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    matches = [each for table in _tables(evidence, spec) for each in table.columns.values()]
    graded = [each for each in matches if counts(each.wanted, evidence.target)]
    additive = [each for each in matches if not counts(each.wanted, evidence.target)]
    lacking = [each.wanted.name for each in additive if each.how == "missing"]
    found = _by_kind(graded)
    notes = _sentence(f"{_names(names)} {how}" for how, names in found.items() if how != "present" and names)
    if lacking:
        notes = _join(notes, f"{_count(len(lacking), 'further field')} can be added without harm")
    return _Grade(
        share=_share((_weight(each.wanted), CREDIT[each.how]) for each in graded),
        notes=notes or "all there",
        expected=f"{_count(len(graded), 'field')} that code asks for or rows need, {len(additive)} more",
        found=", ".join(f"{len(names)} {how}" for how, names in found.items() if names) or "no such table",
        is_whole=not lacking,
    )


def _by_kind(matches: Iterable[ColumnMatch]) -> dict[As, list[str]]:
    kinds: dict[As, list[str]] = {how: [] for how in CREDIT}
    for each in matches:
        kinds[each.how].append(each.wanted.name)
    return kinds


# Names of tables


def _table_names(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    tables = _tables(evidence, spec)
    old = [f"{table.wanted.name} is {table.relation.name}" for table in tables if table.relation and not _right(table)]
    missing = [str(table.wanted.name) for table in tables if table.relation is None]
    return _Grade(
        share=_share((1, Fraction(_right(table))) for table in tables),
        notes=_sentence([*old, *(f"{name} is missing" for name in missing)]) or "all there",
        expected=_names(str(table.wanted.name) for table in tables),
        found=_names(str(table.relation.name) for table in tables if table.relation) or "none of them",
    )


def _right(table: TableMatch) -> bool:
    return table.how == "present"


# Architecture


def _architecture(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    """One item for each table with its keys, and one for each table of code that belongs to one of them.

    Where the target has no such table marked, one for each foreign key between its tables.
    """
    items = dict(_marked_items(evidence, spec) if _is_marked(evidence.target) else _foreign_key_items(evidence, spec))
    lacking = [item for item, there in items.items() if not there]
    return _Grade(
        share=_share((1, Fraction(there)) for there in items.values()),
        notes=_sentence(f"no {item}" for item in lacking) or "all there",
        expected=_names(items) or "no foreign keys",
        found=f"{len(items) - len(lacking)} of {len(items)}",
    )


def _is_marked(target: Target) -> bool:
    return any(table.component == "architecture" for table in target.tables.values())


def _marked_items(evidence: Evidence, spec: ComponentSpec) -> Iterator[tuple[str, bool]]:
    for table in _tables(evidence, spec):
        keys = {column for key in table.wanted.foreign_keys for column in key.columns}
        yield (
            str(table.wanted.name),
            table.relation is not None and _are_there(table, keys | {*table.wanted.primary_key}),
        )
    for child in evidence.target.tables.values():
        match = evidence.matching.tables.get(str(child.name))
        if match is None or child.component in (None, "architecture"):
            continue
        for key in child.foreign_keys:
            if key.parent in spec.tables and any(not child.columns[column].is_derived for column in key.columns):
                yield f"{child.name} that belong to {key.parent}", _are_there(match, key.columns)


def _are_there(table: TableMatch, columns: Iterable[str]) -> bool:
    """Under any name; what the database derives from a parent needs no column of its own."""
    return all(table.columns[name].wanted.is_derived or table.columns[name].how != "missing" for name in columns)


def _foreign_key_items(evidence: Evidence, spec: ComponentSpec) -> Iterator[tuple[str, bool]]:
    for table in _tables(evidence, spec):
        for key in table.wanted.foreign_keys:
            yield f"{table.wanted.name}({', '.join(key.columns)}) to {key.parent}", _is_enforced(evidence, table, key)


def _is_enforced(evidence: Evidence, table: TableMatch, key: TargetForeignKey) -> bool:
    parent = evidence.matching.tables.get(str(key.parent))
    if table.relation is None or parent is None or parent.relation is None:
        return False
    columns = {table.actual(column) for column in key.columns}
    return any(
        each.kind == "foreign key" and each.references == parent.relation.name and set(each.columns) == columns
        for each in table.relation.constraints
    )


# Policies


def _policies(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    """By what happened where policies were run, by what is written elsewhere; a plain mean over the tables."""
    tables = _tables(evidence, spec)
    there = [(table, table.relation) for table in tables if table.relation is not None]
    absent = len(tables) - len(there)
    paper = [_on_paper(evidence, table, relation) for table, relation in there]
    tried = [_when_run(evidence, relation) for _, relation in there]
    share = _mean([written if ran is None else ran.share for written, ran in zip(paper, tried, strict=True)])
    return _Grade(
        share=share,
        notes=_policy_notes(paper, tried, share, absent),
        expected="row security on, forced, and a policy for each declared role and command, "
        f"on {_count(len(tables), 'table')}",
        found=f"{sum(relation.has_row_security for _, relation in there)} with row security on, "
        f"{sum(relation.forces_row_security for _, relation in there)} forced, "
        f"{_count(sum(len(relation.policies) for _, relation in there), 'policy', 'policies')}",
        is_whole=not absent and all(each == 1 for each in paper),
    )


def _on_paper(evidence: Evidence, table: TableMatch, relation: Relation) -> Fraction:
    declared = {(each.role, command) for each in table.wanted.access or () for command in each.commands}
    items = [relation.has_row_security, relation.forces_row_security]
    items += [_has_policy(evidence, relation, role, command) for role, command in sorted(declared)]
    return Fraction(sum(items), len(items))


def _has_policy(evidence: Evidence, relation: Relation, role: str, command: str) -> bool:
    roles = evidence.catalogue.roles_of(role)
    return any(
        policy.is_permissive and policy.command in (command, "all") and not roles.isdisjoint(policy.roles)
        for policy in relation.policies
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """How a table's policies did when they were run."""

    attempts: int
    failed: int
    """Came out otherwise than they must."""

    @property
    def share(self) -> Fraction:
        return Fraction(self.attempts - self.failed, self.attempts)


def _when_run(evidence: Evidence, relation: Relation) -> _Run | None:
    cells = [each.is_expected for each in evidence.behaviour.tried if each.relation == relation.name]
    return _Run(len(cells), cells.count(False)) if cells else None


def _policy_notes(paper: Sequence[Fraction], tried: Sequence[_Run | None], share: Fraction, absent: int) -> str:
    runs = [each for each in tried if each is not None]
    if runs:
        attempts, failed = sum(each.attempts for each in runs), sum(each.failed for each in runs)
        came_out = (
            f"{failed} of {attempts} attempts came out otherwise than they must" if failed else "all as they must"
        )
        when_run = f"when run, {_percent(_mean([each.share for each in runs]))} ({came_out})"
    else:
        when_run = "the policies were not run"
    unrun = len(paper) - len(runs)
    return _join(
        f"{_percent(_mean(paper))} on paper",
        when_run,
        f"{_count(unrun, 'table')} on paper only: {_percent(share)} together" if runs and unrun else "",
        f"{_count(absent, 'table')} not there yet" if absent else "",
    )


# Indexes


@dataclass(frozen=True, slots=True)
class Need:
    """An index that queries or a foreign key need, in the target's names."""

    columns: tuple[str, ...]
    is_unique: bool = False
    predicate: str | None = None
    method: str = "btree"
    is_any_order: bool = False
    """Of a foreign key: enough are, in any order, the columns that tell one parent from another."""


def needs(table: TableMatch) -> tuple[Need, ...]:
    """What a table of the target needs: its indexes, and one under each foreign key that none of them is under."""
    wanted = table.wanted
    own = [_need(index) for index in wanted.indexes]
    leading = [need.columns for need in own if need.predicate is None or "is not null" in need.predicate.lower()]
    leading.append(wanted.primary_key)
    keys = [_telling(key, wanted.foreign_keys) for key in wanted.foreign_keys]
    free = [Need(key, is_any_order=True) for key in keys if not any(_begins_with(each, key) for each in leading)]
    return tuple(dict.fromkeys((*own, *free)))


def is_served(need: Need, table: TableMatch) -> bool:
    """Whether a valid index of the database does it."""
    if table.relation is None:
        return False
    columns = [_actual(table, column) for column in need.columns]
    if None in columns:
        return False
    return any(_serves(index, need, [str(column) for column in columns]) for index in table.relation.indexes)


def _indexes(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    """Over the tables that are there; a missing table is counted where it is missed, and its indexes come with it."""
    tables = _tables(evidence, spec)
    there = [table for table in tables if table.relation is not None]
    items = {(table.wanted.name, need): is_served(need, table) for table in there for need in needs(table)}
    lacking = [f"{name}({', '.join(need.columns)})" for (name, need), served in items.items() if not served]
    absent = len(tables) - len(there)
    notes = f"missing: {_names(lacking)}" if lacking else "all there" if there else "no such table"
    return _Grade(
        share=_share((1, Fraction(served)) for served in items.values()) if there or not tables else Fraction(0),
        notes=_join(notes, f"{_count(absent, 'table')} not there yet" if absent else ""),
        expected=f"{_count(len(items), 'index', 'indexes')} on {_count(len(there), 'table')} that are there",
        found=f"{len(items) - len(lacking)} of {len(items)}",
        is_whole=not absent,
    )


def _need(index: TargetIndex) -> Need:
    using = re.search(r"\busing (\w+)", index.ddl, re.IGNORECASE)
    return Need(
        columns=tuple(re.sub(r"\s+(asc|desc)\b.*$", "", column, flags=re.IGNORECASE) for column in index.columns),
        is_unique=index.is_unique,
        predicate=index.predicate,
        method=using[1].lower() if using else "btree",
    )


def _telling(key: TargetForeignKey, keys: Sequence[TargetForeignKey]) -> tuple[str, ...]:
    """Columns of a key that no other key has: `organization_id`, part of all, tells nothing about the parent."""
    shared = {column for each in keys if each is not key for column in each.columns}
    return tuple(column for column in key.columns if column not in shared) or key.columns


def _begins_with(columns: Sequence[str | None], key: Sequence[str]) -> bool:
    """Whether the leading columns that belong to the key are all of it."""
    return set(key) <= set(columns[: len(key)])


def _actual(table: TableMatch, column: str) -> str | None:
    """The database's name; an expression stays as it is."""
    return table.actual(column) if column in table.columns else _plain(column)


def _serves(index: Index, need: Need, columns: Sequence[str]) -> bool:
    if not index.is_valid or index.method != need.method:
        return False
    if need.is_any_order:
        return _begins_with(index.columns, columns) and _admits(index.predicate, f"{columns[0]} is not null")
    if need.is_unique and not (index.is_unique and len(index.columns) == len(columns)):
        return False
    leading = index.columns[: len(columns)]
    return (
        len(leading) == len(columns)
        and all(_is_same(there, wanted, index) for there, wanted in zip(leading, columns, strict=True))
        and _admits(index.predicate, need.predicate)
    )


def _is_same(there: str | None, wanted: str, index: Index) -> bool:
    return there == wanted if there is not None else wanted in _plain(index.definition)


def _admits(predicate: str | None, wanted: str | None) -> bool:
    """Whether rows that are looked for are all in the index."""
    return predicate is None or (wanted is not None and _plain(predicate) == _plain(wanted))


def _plain(sql: str) -> str:
    """Without casts, brackets, spaces and case, which PostgreSQL adds."""
    return re.sub(r'[\s()"]', "", re.sub(r"::[a-z ]+(\[\])?", "", sql.lower()))


# Words and numbers


def _tables(evidence: Evidence, spec: ComponentSpec) -> list[TableMatch]:
    return [evidence.matching.tables[str(name)] for name in spec.tables]


def _share(items: Iterable[tuple[int, Fraction]]) -> Fraction:
    """Weighted mean of credits; 1 where nothing is asked for."""
    weighted = [(weight, weight * credit) for weight, credit in items]
    total = sum(weight for weight, _ in weighted)
    return sum((credit for _, credit in weighted), Fraction(0)) / total if total else Fraction(1)


def _mean(shares: Sequence[Fraction]) -> Fraction:
    return sum(shares, Fraction(0)) / len(shares) if shares else Fraction(0)


def _percent(share: Fraction) -> str:
    return f"{int(share * 100)} %"


def _names(names: Iterable[str]) -> str:
    """The first six, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
    return ", ".join(listed[:6]) + more


def _sentence(parts: Iterable[str]) -> str:
    return "; ".join(parts)


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


_RULES: Mapping[str, Callable[[Evidence, ComponentSpec], _Grade]] = {
    "architecture": _architecture,
    "table_names": _table_names,
    "fields": _fields,
    "policies": _policies,
    "indexes": _indexes,
}
