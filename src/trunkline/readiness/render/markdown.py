"""The report as Markdown (GitHub's flavour): for a pull request, an issue, a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from trunkline.readiness.render import words
from trunkline.readiness.report import ChecklistItem, Component, Finding, Observation, Option, Report

_FEW = 2
"""Findings of one kind that are shown one by one."""
_SPECIAL = re.compile(r"([\\`*\[\]<>~]|(?<!\w)_|_(?!\w))")


def render_markdown(report: Report) -> str:
    """The whole report."""
    parts = [
        _head(report),
        _table_of_components(report),
        _blockers(report),
        "## What is there, and what is missing",
        *(_component(each, words.of(report, each.key)) for each in report.components),
        "## Beside the score",
        *(_section(*each) for each in words.beside(report)),
        _behaviour(report.observations),
        _checklist(report.checklist),
        _options(report.options),
        _risk(report),
        _not_checked(report),
        _end(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: Report) -> str:
    facts = (
        f"Database {_code(report.database)}",
        f"PostgreSQL {_text(report.server_version)}",
        f"against {_text(report.target)}",
        *([f"looks like: {_text(report.source)}"] if report.source else []),
        f"{report.analysed_at:%Y-%m-%d %H:%M %Z}",
        f"{report.seconds:.1f} s",
        *(["deep"] if report.is_deep else []),
    )
    counts = f"Score: **{words.percent(report.score)}** · Findings: {words.counted(report.findings)}."
    lines = [
        f"# {report.status}: {_text(report.database)}",
        f"**{_text(report.headline)}**",
        f"{counts} {words.known(report)}".rstrip(),
        " · ".join(facts),
    ]
    return "\n\n".join(lines)


def _table_of_components(report: Report) -> str:
    rows = [
        (each.name, words.status_of(each), words.percent(each.score), _text(each.notes)) for each in report.components
    ]
    overall = ("**Overall**", f"**{report.status}**", f"**{words.percent(report.score)}**", "the plain mean")
    return "## Components\n\n" + _table(("Component", "Status", "Score", "Notes"), [*rows, overall])


def _blockers(report: Report) -> str:
    """What stands in the way, a line for each kind."""
    kinds = words.kinds(report.at_least("blocker"))
    if not kinds:
        return ""
    rows = [
        (
            f"{_text(words.title_of(kind[0].code))} ({kind[0].code})",
            words.number(len(kind)),
            _text(words.objects(kind, 3)),
            _text(kind[0].impact),
        )
        for kind in kinds
    ]
    return "## What stands in the way\n\n" + _table(("Blocker", "Times", "Where", "What it breaks"), rows)


def _component(component: Component, findings: Sequence[Finding]) -> str:
    title = f"### {component.name}: {words.percent(component.score)}, {words.status_of(component)}"
    shapes = f"*The code expects:* {_text(component.expected)}\n\n*The database has:* {_text(component.found)}"
    return "\n\n".join([title, shapes, *_findings(findings)])


def _section(name: str, subject: str, findings: Sequence[Finding]) -> str:
    return "\n\n".join([f"### {name}: {words.counted(findings)}", f"{subject}.", *_findings(findings)])


def _findings(findings: Sequence[Finding]) -> list[str]:
    """Each by itself; many of one kind are folded under one line."""
    return ["\n\n".join(map(_finding, kind)) if len(kind) <= _FEW else _folded(kind) for kind in words.kinds(findings)]


def _folded(findings: Sequence[Finding]) -> str:
    first = findings[0]
    title = f"{first.code} {words.title_of(first.code)} ({first.severity}), {words.number(len(findings))} times"
    names = escape(words.objects(findings, _FEW))
    summary = f"<details><summary><b>{escape(title)}</b>: {names}</summary>"
    return "\n\n".join([summary, *map(_finding, findings), "</details>"])


def _finding(finding: Finding) -> str:
    """One item of a list, its remedy as a block in it."""
    lines = [
        f"- **{finding.code} {_text(words.title_of(finding.code))}** ({finding.severity}), {_code(finding.object)}",
        f"  *Seen:* {_text(finding.evidence)}",
        f"  *What it breaks:* {_text(finding.impact)}",
        _indented(_remedy(finding.remedy)),
    ]
    return "\n\n".join(lines)


def _remedy(remedy: str) -> str:
    return f"*Remedy:*\n\n{_block(remedy, 'sql')}" if words.is_code(remedy) else f"*Remedy:* {_text(remedy)}"


def _behaviour(observations: Sequence[Observation]) -> str:
    """What each role could do when it was tried; folded, since it is long."""
    if not observations:
        return ""
    groups = groupby(observations, lambda each: (each.table, each.role, each.principal, each.rows))
    rows = [
        (_code(table), f"{_text(role)}, {_text(who)}", rows, _outcomes(cells))
        for (table, role, who, rows), cells in groups
    ]
    return "\n\n".join(
        [
            "## Policies as they were run",
            words.tried(observations),
            "<details><summary>Every attempt</summary>",
            _table(("Table", "Who", "Rows", "Could"), rows),
            "</details>",
        ]
    )


def _outcomes(cells: Iterable[Observation]) -> str:
    return ", ".join(
        f"**{each.command}: {each.outcome}**" if words.is_bad(each) else f"{each.command}: {each.outcome}"
        for each in cells
    )


def _checklist(items: Sequence[ChecklistItem]) -> str:
    if not items:
        return ""
    return "## Migration checklist\n\n" + "\n".join(map(_item, items))


def _item(item: ChecklistItem) -> str:
    mark = "x" if item.done else " "
    weight = " (critical)" if item.critical else ""
    codes = f" · {', '.join(item.codes)}" if item.codes else ""
    ways = [f"  - {'or' if at else 'advised'}: {_text(way)}" for at, way in enumerate(item.ways)]
    if len(ways) == 1:
        ways = [f"  - {_text(item.ways[0])}"]
    return "\n".join([f"- [{mark}] **{_text(item.title)}**{weight}{codes}", *ways])


def _options(options: Sequence[Option]) -> str:
    if not options:
        return ""
    titles = ("", *(f"{words.STRATEGIES[each.strategy]}{' (advised)' if each.advised else ''}" for each in options))
    rows = [
        ("Why", *(_text(each.reason) for each in options)),
        ("Steps", *(str(len(each.steps)) for each in options)),
        ("Exclusive locks", *(words.locks(each) for each in options)),
        ("Rows touched", *(words.number(each.rows_touched) for each in options)),
        ("Estimated time", *(words.duration(each.seconds) for each in options)),
        ("What breaks", *(_text(each.breaks) for each in options)),
    ]
    return "\n\n".join(["## The ways to migrate", _table(titles, rows), *map(_steps, options)])


def _steps(option: Option) -> str:
    return f"{words.STRATEGIES[option.strategy]}, step by step:\n\n" + _numbered(map(_text, option.steps))


def _risk(report: Report) -> str:
    rows = [
        ("Risk", f"**{report.risk}**: {_text(report.risk_reason)}"),
        ("Time that the migration runs", _text(report.estimated_run)),
        ("Time to production-ready", _text(report.estimated_ready)),
    ]
    return "## Risk and time\n\n" + _table(("", "Estimate"), rows)


def _not_checked(report: Report) -> str:
    if not report.not_checked:
        return "## What was not checked\n\nEverything was checked."
    items = [f"- **{_text(each.what)}**: {_text(each.why)} {_text(each.how)}" for each in report.not_checked]
    return "## What was not checked\n\n" + "\n".join(items)


def _end(report: Report) -> str:
    steps = _block("\n".join(report.next_steps), "sh") if report.next_steps else ""
    return "\n\n".join(
        filter(None, ["## Bottom line", _text(report.bottom_line), "Next steps:" if steps else "", steps])
    )


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _numbered(items: Iterable[str]) -> str:
    return "\n".join(f"{at}. {item}" for at, item in enumerate(items, start=1))


def _text(text: str) -> str:
    """Prose as it is meant: code stays code, nothing else is taken for markup."""
    line = " ".join(text.split())
    return "".join(_code(piece) if is_code else _SPECIAL.sub(r"\\\1", piece) for is_code, piece in words.pieces(line))


def _code(text: str) -> str:
    """Code in a line."""
    fence = _fence(text, "`")
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _block(text: str, language: str) -> str:
    fence = _fence(text, "```")
    return f"{fence}{language}\n{text}\n{fence}"


def _fence(text: str, least: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(len(least), longest + 1) if longest >= len(least) else least


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else line for line in text.splitlines())
