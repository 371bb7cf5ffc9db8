"""A report, and the documentation of checks, as the terminal shows them: at 80 columns, with and without colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from textwrap import shorten

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trunkline.readiness.check import Check
from trunkline.readiness.render import words
from trunkline.readiness.render.checks import example
from trunkline.readiness.report import Component, Finding, Report

_STYLES = {
    "READY": "bold green",
    "PARTIALLY READY - NEEDS MIGRATION": "bold yellow",
    "NOT READY": "bold red",
    "COULD NOT CHECK": "bold magenta",
}
_SEVERITY_STYLES = {"blocker": "bold red", "major": "yellow", "minor": "cyan", "info": "dim"}
_STATUS_STYLES = {"ready": "green", "partial": "yellow", "missing": "red", None: "magenta"}
_FEW, _NAMED, _REMEDY, _NOTES = 5, 12, 5, 76
"""Unless all is to be shown: blockers that are shown one by one (of more, one of each kind), names of others, lines of
a remedy, letters of a component's notes."""
_BAR = 12
"""Width of a component's bar, in characters."""


def draw(console: Console, report: Report, *, show_all: bool = False) -> None:
    """Draw the report; without `show_all` blockers in full and the rest as counts."""
    parts = [
        _verdict(report),
        _components(report.components, show_all=show_all, is_ascii=console.options.ascii_only),
        _findings(report, show_all=show_all),
        _beside(report),
        _not_checked(report, show_all=show_all),
        _checklist(report) if show_all else None,
        _migration(report),
        _end(report),
    ]
    for part in filter(None, parts):
        console.print(part)
        console.print()
    for step in report.next_steps:
        console.print(f"  $ {escape(step)}", soft_wrap=True)


def draw_check(console: Console, check: Check) -> None:
    """Draw a check's documentation."""
    console.print(f"[bold]{check.code}  {escape(check.title)}[/]")
    console.print(f"{_severity(check.severity)} at worst, in {check.component.replace('_', ' ')}\n")
    console.print(Markdown(check.about.strip()))
    if shown := example(check):
        sentence, sql = shown
        console.print(f"\n{escape(sentence)}")
        if sql:
            console.print(escape("\n" + "\n".join(f"    {line}" for line in sql.splitlines())), soft_wrap=True)
    if check.covers:
        console.print(f"\nCovers: {escape(', '.join(check.covers))}")


def draw_checks(console: Console, checks: Iterable[Check]) -> None:
    """Draw a list of checks."""
    table = Table(box=None, pad_edge=False)
    for column in ("code", "at worst", "in", "finds"):
        table.add_column(column, no_wrap=column == "code")
    for check in checks:
        table.add_row(check.code, _severity(check.severity), check.component.replace("_", " "), escape(check.title))
    console.print(table)
    console.print("\n`trunkline explain CODE` tells all about one.")


def _verdict(report: Report) -> RenderableType:
    facts = [
        f"database {report.database}",
        f"PostgreSQL {report.server_version}",
        f"against {report.target}",
        *([f"looks like: {report.source}"] if report.source else []),
        f"{report.seconds:.1f} s",
    ]
    return Group(
        Text.assemble((report.status, _STYLES.get(report.status, "bold")), f"   score {words.percent(report.score)}"),
        Text(report.headline),
        Text(" · ".join(facts), style="dim"),
        *([Text(words.known(report), style="dim")] if report.known_findings else []),
    )


def _components(components: Sequence[Component], *, show_all: bool, is_ascii: bool) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Component", no_wrap=True)
    table.add_column("Score", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Notes")
    for each in components:
        style = _STATUS_STYLES[each.status]
        table.add_row(
            Text(each.name),
            Text.assemble(_bar(each.score, style, is_ascii=is_ascii), f" {_short_percent(each.score):>6}"),
            Text(words.status_of(each), style=style),
            Text(each.notes if show_all else shorten(each.notes, _NOTES, placeholder=" …")),
        )
    return table


def _bar(score: int | None, style: str, *, is_ascii: bool) -> Text:
    full, empty = ("#", ".") if is_ascii else ("█", "░")
    filled = round((score or 0) * _BAR / 100)
    return Text.assemble((full * filled, style), (empty * (_BAR - filled), "dim"))


def _short_percent(score: int | None) -> str:
    return "-" if score is None else f"{score} %"


def _findings(report: Report, *, show_all: bool) -> RenderableType | None:
    """Blockers with their evidence and remedy, the first ones of each kind; of the others how many there are."""
    if not report.findings:
        return Text("Nothing found." if report.verdict == "ready" else "Nothing found in what was checked.")
    if show_all:
        return Group(Text("Findings", style="bold"), *map(_finding, report.findings))
    blockers = report.at_least("blocker")
    others = report.findings[len(blockers) :]
    rest = [Text(f"{'Also ' if blockers else ''}{words.counted(others)}: --all shows them.")] if others else []
    if not blockers:
        return Group(*rest)
    kinds = words.kinds(blockers)
    in_full = len(blockers) if len(blockers) <= _FEW else 1
    title = Text.assemble(
        ("Blockers", "bold"), f"  {words.number(len(blockers))}, of {len(kinds)} kind{'s' * (len(kinds) > 1)}"
    )
    parts = chain.from_iterable(_kind(kind, in_full) for kind in kinds)
    return Group(title, *parts, *([Text(), *rest] if rest else []))


def _kind(findings: Sequence[Finding], in_full: int) -> Iterable[RenderableType]:
    """Findings of one code: the first ones with all but the end of a long remedy, the others by name."""
    yield from (_finding(each, lines=_REMEDY) for each in findings[:in_full])
    others = findings[in_full:]
    if others:
        grid = _grid()
        grid.add_row("also", Text(words.objects(others, _NAMED)))
        yield _inset(grid)


def _finding(finding: Finding, lines: int | None = None) -> RenderableType:
    """One finding; of its remedy this many lines."""
    remedy = finding.remedy.splitlines()
    if lines is not None and len(remedy) > lines:
        remedy = [*remedy[:lines], f"… {len(remedy) - lines} more lines: --all shows them."]
    grid = _grid()
    grid.add_row("seen", Text(finding.evidence))
    grid.add_row("breaks", Text(finding.impact))
    grid.add_row("remedy", Text("\n".join(remedy)))
    title = Text.assemble(
        (f"{finding.code} {finding.severity}", _SEVERITY_STYLES[finding.severity]),
        f"  {words.title_of(finding.code)}: ",
        (finding.object, "bold"),
    )
    return Group(Text(), title, _inset(grid))


def _beside(report: Report) -> RenderableType:
    """What isn't averaged, one line a section with its worst."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Beside the score", no_wrap=True)
    table.add_column("Found")
    table.add_column("Worst of it")
    for name, _, findings in words.beside(report):
        worst = f"{findings[0].code} {findings[0].object}" if findings else ""
        table.add_row(name, words.counted(findings), Text(worst, overflow="fold"))
    return table


def _not_checked(report: Report, *, show_all: bool) -> RenderableType | None:
    """Each thing and why; the first ones, where there are many."""
    if not report.not_checked:
        return None
    shown = report.not_checked if show_all else report.not_checked[:5]
    grid = _grid()
    for each in shown:
        grid.add_row("·", Text.assemble((each.what, "bold"), f": {each.why} {each.how}"))
    left = len(report.not_checked) - len(shown)
    if left:
        grid.add_row("·", f"and {left} more: --all shows them.")
    return Group(Text(f"Not checked ({len(report.not_checked)})", style="bold"), _inset(grid))


def _checklist(report: Report) -> RenderableType | None:
    if not report.checklist:
        return None
    grid = _grid()
    for item in report.checklist:
        critical = " (critical)" if item.critical and not item.done else ""
        grid.add_row(Text("[x]" if item.done else "[ ]"), Text(f"{item.title}{critical}"))
        for at, way in enumerate(item.ways):
            grid.add_row("or" if at else "", Text(way))
    return Group(Text("Migration checklist", style="bold"), _inset(grid))


def _migration(report: Report) -> RenderableType | None:
    """The advised way at a glance."""
    option = words.advised(report)
    if option is None:
        return None
    grid = _grid()
    rows = (
        ("way", f"{words.STRATEGIES[option.strategy]}: {option.reason}"),
        ("steps", words.number(len(option.steps))),
        ("exclusive locks", words.locks(option)),
        ("rows touched", words.number(option.rows_touched)),
        ("estimated time", words.duration(option.seconds)),
        ("what breaks", option.breaks),
        ("risk", f"{report.risk}: {report.risk_reason}"),
        ("production-ready", report.estimated_ready),
    )
    for name, value in rows:
        grid.add_row(name, Text(value))
    return Group(Text("Migration at a glance", style="bold"), _inset(grid))


def _end(report: Report) -> RenderableType:
    return Text.assemble(("Bottom line  ", "bold"), report.bottom_line)


def _grid() -> Table:
    """Names on the left, what belongs to them on the right."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    return grid


def _inset(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _severity(severity: str) -> str:
    return f"[{_SEVERITY_STYLES[severity]}]{severity}[/]"
