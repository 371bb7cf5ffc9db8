"""The grades of the components, as docs/readiness-scoring.md explains them. Pure: the same evidence, the same grade.

Percentages are rounded down, so that 100 says that nothing is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile

from trunkline.postgres.catalogue.model import Constraint, Relation
from trunkline.readiness.check import Evidence
from trunkline.readiness.find import is_needed
from trunkline.readiness.matching import As, ColumnMatch, Matching, TableMatch
from trunkline.readiness.report import Component, Finding, Status
from trunkline.readiness.serving import serving, serving_key
from trunkline.readiness.target import ComponentSpec, Target, TargetColumn, TargetForeignKey, TargetIndex

CREDIT: Mapping[As, Fraction] = {
    "present": Fraction(1),
    "renamed": Fraction(1, 2),
    "reshaped": Fraction(1, 2),
    "retyped": Fraction(1, 2),
    "missing": Fraction(0),
}
"""Half where the data is there and the code can't find or read it."""

_NOTHING_ASKED = "nothing asked for"


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


def grade(evidence: Evidence, findings: Iterable[Finding], unsure: Collection[str] = ()) -> tuple[Component, ...]:
    """Each component of the target, in the target's order. One with a blocker in it isn't ready, whatever its score.

    `unsure` are keys of components of which something could not be checked that could hold a blocker: they are never
    100, and have no score where nothing else is missing.
    """
    blocked = Counter(each.component for each in findings if each.severity == "blocker")
    graded = (_component(evidence, spec, blocked[spec.key]) for spec in evidence.target.components)
    return tuple(_unknown(each) if each.score == 100 and each.key in unsure else each for each in graded)


def _unknown(component: Component) -> Component:
    notes = f"{component.notes}; not all of it could be checked"
    return component.model_copy(update={"score": None, "status": None, "notes": notes})


def mean(components: Sequence[Component]) -> int | None:
    """Plain mean of the scores, rounded down; None where one of them is, or there is none."""
    scores = [each.score for each in components if each.score is not None]
    return sum(scores) // len(scores) if scores and len(scores) == len(components) else None


def _component(evidence: Evidence, spec: ComponentSpec, blockers: int) -> Component:
    graded = _RULES[spec.kind](evidence, spec)
    percent = int(graded.share * 100)
    score = percent if graded.is_whole else min(percent, 99)
    status: Status = "missing" if score == 0 else "ready" if score == 100 and not blockers else "partial"
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


def _weight(column: TargetColumn) -> int:
    return 1 if column.nullable else 2


def _fields(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    matches = [each for table in _tables(evidence, spec) for each in table.columns.values()]
    graded = [each for each in matches if is_needed(evidence.target, each.wanted)]
    additive = [each for each in matches if not is_needed(evidence.target, each.wanted)]
    lacking = [each.wanted.name for each in additive if each.how == "missing"]
    found = _by_kind(graded)
    notes = _sentence(f"{_names(names)} {how}" for how, names in found.items() if how != "present" and names)
    if lacking:
        notes = _join(notes, f"{_count(len(lacking), 'further field')} can be added without harm")
    return _Grade(
        share=_share((_weight(each.wanted), CREDIT[each.how]) for each in graded),
        notes=notes or "all there",
        expected=f"{_count(len(graded), 'field')} that code asks for or rows need"
        + f", {len(additive)} more" * bool(additive),
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
        notes=_sentence(f"no {item}" for item in lacking) or ("all there" if items else _NOTHING_ASKED),
        expected=_names(items) or "no foreign keys",
        found=f"{len(items) - len(lacking)} of {len(items)}",
    )


def _is_marked(target: Target) -> bool:
    return any(table.component == "architecture" for table in target.tables.values())


def _marked_items(evidence: Evidence, spec: ComponentSpec) -> Iterator[tuple[str, bool]]:
    for table in _tables(evidence, spec):
        yield str(table.wanted.name), table.relation is not None and _has_its_keys(evidence, table)
    for child in evidence.target.tables.values():
        if child.component in (None, "architecture"):
            continue
        match = evidence.matching.tables[str(child.name)]
        for key in child.foreign_keys:
            if key.parent in spec.tables and not all(child.columns[column].is_derived for column in key.columns):
                is_tied = all(_is_tied(evidence, match, column) for column in key.columns)
                yield f"{child.name} that belong to {key.parent}", is_tied


def _has_its_keys(evidence: Evidence, table: TableMatch) -> bool:
    keys = {column for key in table.wanted.foreign_keys for column in key.columns}
    needed = {name for name in keys if not table.wanted.columns[name].nullable} | {*table.wanted.primary_key}
    return all(_is_tied(evidence, table, name) for name in needed)


def _is_tied(evidence: Evidence, table: TableMatch, column: str, below: tuple[TableMatch, ...] = ()) -> bool:
    """Whether a key column is there under any name, or a parent that the row names tells its value.

    `below` are the children that ask their parent: tables may refer to each other in a circle.
    """
    match = table.columns.get(column)
    if match is None or table.relation is None:
        return False
    if match.how != "missing" or match.wanted.is_derived:
        return True
    for key in table.wanted.foreign_keys:
        others = [name for name in key.columns if name != column]
        if column in key.columns and others and all(table.columns[name].how != "missing" for name in others):
            parent_column = key.parent_columns[key.columns.index(column)]
            parent = evidence.matching.tables.get(str(key.parent))
            asked = (*below, table)
            is_new = all(parent is not each for each in asked)
            if parent is not None and is_new and _is_tied(evidence, parent, parent_column, asked):
                return True
    return False


def _foreign_key_items(evidence: Evidence, spec: ComponentSpec) -> Iterator[tuple[str, bool]]:
    for table in _tables(evidence, spec):
        for key in table.wanted.foreign_keys:
            yield f"{table.wanted.name}({', '.join(key.columns)}) to {key.parent}", _is_enforced(evidence, table, key)


def _is_enforced(evidence: Evidence, table: TableMatch, key: TargetForeignKey) -> bool:
    parent = evidence.matching.tables.get(str(key.parent))
    parent_name = key.parent  # of somebody else's table, which isn't compared: as it is
    if parent is not None and parent.relation is not None:
        parent_name = parent.relation.name
    columns = {table.actual(column) for column in key.columns}
    return table.relation is not None and any(
        each.kind == "foreign key" and each.references == parent_name and set(each.columns) == columns
        for each in table.relation.constraints
    )


# Policies


def _policies(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    """By what happened where policies were run, by what is written elsewhere; a plain mean over the tables."""
    tables = _tables(evidence, spec)
    if not evidence.matching.is_related:
        return _nothing_to_grade(len(tables))
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

Need = TargetIndex | TargetForeignKey
"""An index that queries need, or a foreign key that needs one under it."""


def needs(table: TableMatch) -> tuple[Need, ...]:
    """What a table of the target needs: its indexes, and one under each foreign key that none of them is under."""
    wanted = table.wanted
    leading = [*(index.columns for index in wanted.indexes), wanted.primary_key]
    keys = (key for key in wanted.foreign_keys if not any(_is_under(columns, key) for columns in leading))
    return (*wanted.indexes, *keys)


def is_served(need: Need, table: TableMatch, matching: Matching) -> bool:
    """Whether a valid index of the database does it."""
    if isinstance(need, TargetIndex):
        return serving(table, need) is not None
    columns = actual_columns(table, need.columns)
    parent = matching.tables.get(str(need.parent))
    if table.relation is None or columns is None:
        return False
    referenced = need.parent_columns if parent is None else (actual_columns(parent, need.parent_columns) or ())
    if len(referenced) != len(columns):
        return False
    key = Constraint(need.name, "foreign key", columns, need.ddl, is_validated=True, referenced_columns=referenced)
    return serving_key(table.relation, key, parent.relation if parent else None) is not None


def actual_columns(match: TableMatch, wanted: Iterable[str]) -> tuple[str, ...] | None:
    """The database's names of columns of the target; None where one of them isn't there."""
    found = [match.actual(column) for column in wanted]
    return None if None in found else tuple(str(name) for name in found)


def _indexes(evidence: Evidence, spec: ComponentSpec) -> _Grade:
    """A plain mean over the tables that are there; what is made of missing things is counted where those are."""
    tables = _tables(evidence, spec)
    if not evidence.matching.is_related:
        return _nothing_to_grade(len(tables))
    if not tables:
        return _Grade(Fraction(1), _NOTHING_ASKED, expected="no index", found="0 of 0")
    there = [table for table in tables if table.relation is not None]
    items = {str(table.wanted.name): _items(table, evidence.matching) for table in there}
    lacking = [f"{name} ({', '.join(columns)})" for name, of in items.items() for columns, served in of if not served]
    unserved = any(not is_served(need, table, evidence.matching) for table in there for need in needs(table))
    count = sum(len(of) for of in items.values())
    absent = len(tables) - len(there)
    notes = f"missing: {_names(lacking)}" if lacking else "all there" if there else "no such table"
    if unserved and not lacking:
        notes = "the rest comes with missing fields"
    shares = [_share((1, Fraction(served)) for _, served in of) for of in items.values()]
    return _Grade(
        share=_mean(shares),
        notes=_join(notes, f"{_count(absent, 'table')} not there yet" if absent else ""),
        expected=f"{_count(count, 'index', 'indexes')} on {_count(len(there), 'table')} that are there",
        found=f"{count - len(lacking)} of {count}",
        is_whole=not absent and not unserved,
    )


def _nothing_to_grade(tables: int) -> _Grade:
    """Of another product's database: a table that happens to bear the same name says nothing."""
    return _Grade(
        share=Fraction(0),
        notes="none of the models' tables is there",
        expected=f"what {_count(tables, 'table')} need",
        found="nothing",
        is_whole=False,
    )


def _items(table: TableMatch, matching: Matching) -> list[tuple[tuple[str, ...], bool]]:
    """What is graded on a table: the target's columns of each index, and whether one is there.

    A column that doesn't exist is left out of an index: it is counted as a field, and comes with it. Of an index by
    organization, session and number, one by session is left where only that is there.
    """
    items: dict[tuple[str, ...], bool] = {}
    for need in needs(table):
        columns = tuple(each for each in need.columns if each not in table.columns or table.actual(each) is not None)
        whole = columns == tuple(need.columns)
        served = is_served(need, table, matching) if whole else _begins_with(table, columns)
        if columns:
            items[columns] = items.get(columns, True) and served
    return list(items.items())


def _begins_with(table: TableMatch, columns: Sequence[str]) -> bool:
    """Whether a whole, valid index begins with these columns of the target."""
    actual = actual_columns(table, columns)
    indexes = table.relation.indexes if table.relation else ()
    usable = (each for each in indexes if each.is_valid and each.predicate is None)
    return actual is not None and any(each.columns[: len(actual)] == actual for each in usable)


def _is_under(columns: Sequence[str], key: TargetForeignKey) -> bool:
    """Whether an index over these columns begins with those of the key, in any order.

    Of a composite key its last column is enough: the others, as a tenant's, are in every key.
    """
    leading = list(takewhile(key.columns.__contains__, columns))
    return key.columns[-1] in leading


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
