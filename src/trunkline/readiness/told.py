"""Evidence in words: what the server said to prepared statements, sizes and spans of time."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.postgres.catalogue.model import Catalogue, Relation
from trunkline.readiness.evidence.statements import Prepared

_TYPES = frozenset({"42804", "42883", "42846", "42704"})
"""Another type in a column; no such operator or function; no such cast; no such type."""


def is_about_types(statement: Prepared) -> bool:
    """Whether a statement fails for the types of its values, and not for a name."""
    return statement.sqlstate in _TYPES


def failures(failing: Sequence[Prepared], of: int) -> str:
    """Which of `of` statements fail, and what the server says to them; each answer once."""
    answers: dict[str, list[str]] = {}
    for each in failing:
        answers.setdefault(f"{each.error} ({each.sqlstate})", []).append(each.label)
    if len(answers) == 1 and len(failing) == of:
        whole = f"All {of} statements fail" if of > 1 else f"The statement fails ({failing[0].label})"
        return f"{whole}: {next(iter(answers))}."
    told = "; ".join(f"{answer} ({_some(labels)})" for answer, labels in answers.items())
    return f"{len(failing)} of {of} statements fail: {told}."


def _some(labels: Sequence[str]) -> str:
    """The first of many."""
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return f"{', '.join(labels[:3])}{more}"


def size(of_bytes: int) -> str:
    """Bytes as people say them: `12.5 GB`."""
    value = float(of_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def span(seconds: float) -> str:
    """Seconds as people say them: `90 seconds`, `12 minutes`, `5 hours`."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def whole_size(catalogue: Catalogue, relation: Relation) -> int:
    """Bytes of a table with its partitions and heirs."""
    heirs = (each for each in catalogue.relations.values() if relation.name in each.parents)
    return relation.size_bytes + sum(whole_size(catalogue, each) for each in heirs)


def whole_rows(catalogue: Catalogue, relation: Relation) -> int:
    """Estimated rows of a table with its partitions and heirs."""
    heirs = [each for each in catalogue.relations.values() if relation.name in each.parents]
    if relation.kind == "partitioned table":  # its own number is the sum already, where there is one
        return sum(whole_rows(catalogue, each) for each in heirs) or relation.rows
    return relation.rows + sum(whole_rows(catalogue, each) for each in heirs)
