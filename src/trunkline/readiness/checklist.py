"""What is to be done before the code can run: findings in groups, each with its ways out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trunkline.readiness.check import Evidence
from trunkline.readiness.options import Work
from trunkline.readiness.report import ChecklistItem, Finding, Option

URL = '"$DATABASE_URL"'
"""Stands for the database in commands: its own URL may hold a password."""

_BY_HAND = frozenset({"data", "exposure", "operations"})
"""Sections whose findings a migration leaves to people."""
_MAPPED_VALUES = "DAT005"
"""Values that are written otherwise: the migration maps them."""


_OF_TABLES_THAT_ARE_THERE = frozenset({"rls_policies", "indexes"})
"""What nothing can be said of without a table."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One item of the list."""

    done: str
    todo: str
    is_critical: bool
    claims: Callable[[Finding], bool]
    ways: Callable[[Evidence, str], Iterable[str]]
    """From the evidence and the advised strategy; the findings' own remedies where it gives none."""
    section: str | None = None
    """Where all findings of one component come here: nothing is ticked that wasn't looked at."""


def checklist(
    evidence: Evidence, findings: Sequence[Finding], advised: Option | None, unchecked: frozenset[str]
) -> tuple[ChecklistItem, ...]:
    """All items in the order of work, ticked where nothing is left of them.

    `unchecked` are the components of which something could not be checked, or was left out.
    """
    strategy = advised.strategy if advised else "rename"
    if not Work(evidence).there:
        unchecked |= _OF_TABLES_THAT_ARE_THERE
    claimed: dict[int, list[Finding]] = {}
    for finding in findings:
        claimed.setdefault(_index(finding), []).append(finding)
    return tuple(
        _item(task, claimed.get(at, []), evidence, strategy, is_checked=task.section not in unchecked)
        for at, task in enumerate(_TASKS)
    )


def migrated_names(evidence: Evidence) -> frozenset[str]:
    """Tables that the migration works on, by the target's names and by the database's."""
    there = (relation.name for _, relation in Work(evidence).there)
    return frozenset(str(name) for name in (*evidence.target.tables, *there))


def migrates(finding: Finding, names: frozenset[str]) -> bool:
    """Whether the migration mends it; the rest is for people. `names` are those of `migrated_names`."""
    if finding.component in _BY_HAND:
        return finding.code == _MAPPED_VALUES
    ends = (at for at, character in enumerate(f"{finding.object} ") if character in ". ")
    return any(finding.object[:end] in names for end in ends)  # `bots`, `bots.name`, `bots policy "…"`


def _index(finding: Finding) -> int:
    return next(at for at, task in enumerate(_TASKS) if task.claims(finding))


def _item(
    task: _Task, findings: Sequence[Finding], evidence: Evidence, strategy: str, *, is_checked: bool
) -> ChecklistItem:
    if not findings and not is_checked:
        way = "see what was not checked, and why"
        return ChecklistItem(title=f"{task.done}, as far as could be seen", critical=False, done=False, ways=(way,))
    if not findings:
        return ChecklistItem(title=task.done, critical=task.is_critical, done=True, ways=())
    objects = list(dict.fromkeys(each.object for each in findings))
    shown = ", ".join(objects[:4]) + (f" and {len(objects) - 4} more" if len(objects) > 4 else "")
    return ChecklistItem(
        title=f"{task.todo}: {shown}",
        critical=any(each.severity == "blocker" for each in findings),
        done=False,
        ways=tuple(task.ways(evidence, strategy)) or (_own_remedies(findings),),
        codes=tuple(sorted({each.code for each in findings})),
    )


def _own_remedies(findings: Sequence[Finding]) -> str:
    codes = sorted({each.code for each in findings})
    return f"each finding of {', '.join(codes)} says how"


def _migrate(strategy: str) -> str:
    return f"`trunkline migrate start {URL} --strategy {strategy}`"


def _ways_for_names(evidence: Evidence, strategy: str) -> Iterable[str]:
    yield f"the database: {_migrate(strategy)}"
    if renamed := Work(evidence).renamed:
        names = ", ".join(
            f'`__tablename__ = "{relation.name.name}"` for {match.wanted.name}' for match, relation in renamed
        )
        yield f"the models: {names}"


def _ways_for_fields(evidence: Evidence, strategy: str) -> Iterable[str]:
    yield f"the database: {_migrate(strategy)}"
    renamed = [each for _, each in Work(evidence).columns("renamed") if each.column is not None]
    if renamed:
        names = ", ".join(
            f'`{each.wanted.name} = mapped_column("{each.column.name}")`' for each in renamed[:4] if each.column
        )
        more = f" and {len(renamed) - 4} more" if len(renamed) > 4 else ""
        yield f"the models, for fields of another name: {names}{more}"


def _ways_by_migration(_evidence: Evidence, strategy: str) -> Iterable[str]:
    yield f"{_migrate(strategy)}; where it doesn't, each finding says how"


def _no_other_way(_evidence: Evidence, _strategy: str) -> Iterable[str]:
    return ()


def _in_section(
    component: str,
    done: str,
    todo: str,
    ways: Callable[[Evidence, str], Iterable[str]] = _no_other_way,
    *,
    is_critical: bool = False,
) -> _Task:
    return _Task(done, todo, is_critical, lambda finding: finding.component == component, ways, component)


_TASKS = (
    _Task(
        "The names of the tables are right",
        "Bring the tables to their names",
        True,
        lambda finding: finding.code in ("SCH002", "SCH011") or finding.component == "table_names",
        _ways_for_names,
    ),
    _Task(
        "No table is missing",
        "Create the missing tables",
        True,
        lambda finding: finding.code == "SCH001",
        _ways_by_migration,
    ),
    _Task(
        "Keys tie rows to their organization and to each other",
        "Add the keys that tie rows to their organization and to each other",
        True,
        lambda finding: finding.code in ("SCH008", "SCH009") or finding.object.endswith(".organization_id"),
        _ways_by_migration,
    ),
    _Task(
        "The fields are there",
        "Add, rename and convert fields",
        True,
        lambda finding: finding.code.startswith("SCH") or finding.component.endswith("fields"),
        _ways_for_fields,
    ),
    _in_section("rls_policies", "The policies hold", "Put the policies right", _ways_by_migration, is_critical=True),
    _in_section("indexes", "The indexes are there", "Make the missing indexes", _ways_by_migration),
    _in_section("data", "The data fits", "Clean up rows that don't fit"),
    _in_section("exposure", "Nothing is exposed", "Take back what is exposed", is_critical=True),
    _in_section("compatibility", "Statements can run", "Make statements run", _ways_by_migration, is_critical=True),
    _in_section("operations", "The server is fit", "Get the server ready"),
)
