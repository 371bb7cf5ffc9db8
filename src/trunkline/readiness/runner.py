"""Collects, judges, scores, and makes the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.readiness.report import Report
from trunkline.readiness.target import Target


class CouldNotCheck(TrunklineError):
    """The database could not be looked at: it doesn't answer, refuses the connection, or is no database."""

    status = 503
    title = "The database could not be checked"


@dataclass(frozen=True, slots=True)
class Event:
    """Progress: a stage begins, or goes on."""

    stage: str
    """In words: `Reading the catalogue`, `Trying the policies`."""
    done: int
    total: int
    """Of the whole analysis; both 0 where that isn't known."""


def analyse(
    url: str,
    target: Target,
    on_event: Callable[[Event], None] | None = None,
    *,
    deep: bool = False,
    statements: Sequence[tuple[str, str]] = (),
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> Report:
    """Grade the database at `url` against `target`. Changes nothing and leaves nothing behind.

    `statements` are (label, SQL) pairs of the user's own, prepared and never run. `only` and `skip` are codes of
    checks. `deep` reads tables in full, and write-probes those with triggers and sequences.

    Raises:
        CouldNotCheck: says why, and what to do.
    """
    raise NotImplementedError
