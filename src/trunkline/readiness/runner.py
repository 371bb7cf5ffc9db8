"""Collects, judges, scores, and makes the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeVar

import psycopg

from trunkline.errors import DatabaseUnavailable, InvalidInput
from trunkline.postgres.catalogue.model import Catalogue
from trunkline.postgres.catalogue.read import read_catalogue
from trunkline.readiness import outlook
from trunkline.readiness.check import Check, Evidence
from trunkline.readiness.checks import all_checks
from trunkline.readiness.connect import CouldNotCheck, Limits, looking, open_connection, preparing, trying
from trunkline.readiness.evidence.asking import refused, words
from trunkline.readiness.evidence.behaviour import Behaviour, observe
from trunkline.readiness.evidence.data import DataEvidence, collect_data
from trunkline.readiness.evidence.operations import Activity, collect_activity
from trunkline.readiness.evidence.statements import StatementEvidence, collect_statements
from trunkline.readiness.matching import match
from trunkline.readiness.report import SECTIONS, SEVERITIES, Finding, NotChecked, Report
from trunkline.readiness.score import grade
from trunkline.readiness.target import Target

__all__ = ["CouldNotCheck", "Event", "analyse"]

_Evidence = TypeVar("_Evidence")
_Collector = Literal["data", "statements", "activity", "behaviour"]

_NEEDS: dict[str, _Collector] = {
    "data": "data",
    "compatibility": "statements",
    "operations": "activity",
    "rls_policies": "behaviour",
    "exposure": "behaviour",
}
"""What the checks of a component look at, beside the catalogue."""

_NOTHING_TRIED = Behaviour((), ())
_NOTHING_COUNTED = DataEvidence((), ())
_NOTHING_PREPARED = StatementEvidence(())
_NO_ACTIVITY = Activity((), 0, (), 0, None)


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
        InvalidInput: there is no check of that code.
    """
    began, analysed_at = time.monotonic(), datetime.now(UTC)
    chosen = _chosen(only, skip)
    tell = on_event or _tell_nobody
    evidence = look(url, target, chosen, in_full=not only, deep=deep, statements=statements, tell=tell)
    tell(Event("Judging", 97, 100))
    found = [finding for check in chosen for finding in check.find(evidence)]
    not_checked = tuple(dict.fromkeys((*evidence.not_checked, *evidence.behaviour.not_checked)))
    unsure = outlook.components_of(outlook.open_questions(not_checked, chosen), chosen)
    components = grade(evidence, found, unsure)
    findings = tuple(sorted(found, key=_order(target)))
    view = outlook.look_out(evidence, components, findings, not_checked, chosen)
    server = evidence.catalogue.server
    tell(Event("Done", 100, 100))
    return Report(
        database=server.database,
        server_version=server.version_text,
        target=target.name,
        analysed_at=analysed_at,
        seconds=round(time.monotonic() - began, 3),
        is_deep=deep,
        verdict=view.verdict,
        score=view.score,
        status=view.status,
        headline=view.headline,
        source=evidence.matching.source,
        components=components,
        findings=findings,
        checklist=view.checklist,
        options=view.options,
        observations=tuple(each.observation for each in evidence.behaviour.tried),
        not_checked=(*not_checked, *_left_out(chosen)),
        risk=view.risk,
        risk_reason=view.risk_reason,
        estimated_run=view.estimated_run,
        estimated_ready=view.estimated_ready,
        bottom_line=view.bottom_line,
        next_steps=view.next_steps,
    )


def look(
    url: str,
    target: Target,
    checks: Sequence[Check],
    *,
    in_full: bool = False,
    deep: bool = False,
    statements: Sequence[tuple[str, str]] = (),
    tell: Callable[[Event], None] | None = None,
) -> Evidence:
    """Collect what these checks need (`in_full`: all that the grades rest on, too), and judge nothing.

    Raises:
        CouldNotCheck: says why, and what to do.
    """
    tell = tell or _tell_nobody
    tell(Event("Connecting", 0, 100))
    with open_connection(url) as connection:
        return _Collection(connection, target, tuple(checks), in_full, deep, statements, tell).collect()


@dataclass(frozen=True)
class _Collection:
    """One run through the collectors that the chosen checks need."""

    connection: psycopg.Connection
    target: Target
    checks: tuple[Check, ...]
    in_full: bool
    deep: bool
    statements: Sequence[tuple[str, str]]
    tell: Callable[[Event], None]
    notes: list[NotChecked] = field(default_factory=list[NotChecked])

    @property
    def limits(self) -> Limits:
        return Limits.of(deep=self.deep)

    def collect(self) -> Evidence:
        catalogue = self._read_catalogue()
        self.notes.extend(_not_seen(catalogue, self.checks))
        matching = match(catalogue, self.target)
        asked = (self.connection, catalogue, self.target, matching)

        activity = self._run(
            "activity",
            Event("Looking at the server", 20, 100),
            looking,
            lambda: collect_activity(self.connection, catalogue, self.notes),
            _NO_ACTIVITY,
        )
        data = self._run(
            "data",
            Event("Counting rows that the target would refuse", 25, 100),
            looking,
            lambda: collect_data(*asked, deep=self.deep, note=self.notes),
            _NOTHING_COUNTED,
        )
        prepared = self._run(
            "statements",
            Event("Preparing statements", 45, 100),
            preparing,
            lambda: collect_statements(*asked, self.statements, self.notes),
            _NOTHING_PREPARED,
        )
        behaviour = self._run(
            "behaviour",
            Event("Trying the policies", 55, 100),
            trying,
            lambda: observe(*asked, deep=self.deep, note=self.notes, on_step=self._tried),
            _NOTHING_TRIED,
        )
        return Evidence(catalogue, self.target, matching, data, behaviour, prepared, activity, self.notes)

    def _read_catalogue(self) -> Catalogue:
        stage = "Reading the catalogue"
        self.tell(Event(stage, 5, 100))
        try:
            with looking(self.connection, self.limits):
                return read_catalogue(self.connection)
        except DatabaseUnavailable as error:
            raise CouldNotCheck(error.detail) from None
        except psycopg.Error as error:
            self._raise_if_lost(stage, error)
            unseen = refused(self.connection, error, stage, codes=())
            raise CouldNotCheck(f"The catalogue could not be read: {unseen.why}. {unseen.how}") from None

    def _run(
        self,
        collector: _Collector,
        event: Event,
        transaction: Callable[[psycopg.Connection, Limits], AbstractContextManager[None]],
        collect: Callable[[], _Evidence],
        nothing: _Evidence,
    ) -> _Evidence:
        """What a collector saw; `nothing` where nobody asks for it, or where the database refuses."""
        codes = tuple(check.code for check in self.checks if _NEEDS.get(check.component) == collector)
        if not (codes or self.in_full):
            return nothing
        self.tell(event)
        try:
            with transaction(self.connection, self.limits):
                return collect()
        except psycopg.Error as error:
            self._raise_if_lost(event.stage, error)
            self.notes.append(refused(self.connection, error, event.stage, codes=codes))
        return nothing

    def _raise_if_lost(self, stage: str, error: psycopg.Error) -> None:
        if self.connection.closed:
            raise CouldNotCheck(
                f"The connection was lost ({stage[0].lower()}{stage[1:]}): {words(error)}. Nothing was changed: "
                "what was tried is rolled back by the server. Run it again."
            ) from None

    def _tried(self, done: int, total: int) -> None:
        self.tell(Event("Trying the policies", 55 + 40 * done // max(total, 1), 100))


def _order(target: Target) -> Callable[[Finding], tuple[int, int, str, str]]:
    """Worst first, then in the order of components and sections."""
    keys = [component.key for component in target.components] + list(SECTIONS)

    def of(finding: Finding) -> tuple[int, int, str, str]:
        at = keys.index(finding.component) if finding.component in keys else len(keys)
        return SEVERITIES.index(finding.severity), at, finding.code, finding.object

    return of


def _chosen(only: Sequence[str], skip: Sequence[str]) -> tuple[Check, ...]:
    checks = all_checks()
    known = {check.code for check in checks}
    wanted, unwanted = ({code.strip().upper() for code in codes} for codes in (only, skip))
    for name, codes in (("only", wanted), ("skip", unwanted)):
        if strange := sorted(codes - known):
            raise InvalidInput(
                f"There is no check {', '.join(strange)}. `trunkline explain` lists them all.", field=name
            )
    return tuple(each for each in checks if (not wanted or each.code in wanted) and each.code not in unwanted)


def _left_out(chosen: Sequence[Check]) -> Iterator[NotChecked]:
    codes = tuple(check.code for check in all_checks() if check not in chosen)
    if codes:
        yield NotChecked(
            what=f"{len(codes)} of {len(all_checks())} checks",
            why="They were left out by choice.",
            how="Run it without --only and --skip.",
            codes=codes,
        )


def _not_seen(catalogue: Catalogue, checks: Sequence[Check]) -> Iterator[NotChecked]:
    """Rows, sizes and settings out of sight. What could hold a blocker for it is noted by who tries it."""
    codes = tuple(
        check.code for check in checks if check.component in ("data", "operations") and check.severity != "blocker"
    )
    for sentence in catalogue.not_seen if codes else ():
        yield NotChecked(
            what=sentence, why="These rights are missing.", how="Connect as the tables' owner.", codes=codes
        )


def _tell_nobody(event: Event) -> None:
    """Nobody asked for progress."""
