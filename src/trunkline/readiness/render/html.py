"""The report as one HTML file: no script, nothing loaded from elsewhere; light, dark and on paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import groupby

from trunkline.readiness.render import words
from trunkline.readiness.render.element import Html, element, joined
from trunkline.readiness.report import ChecklistItem, Component, Finding, Observation, Option, Report

_TONES = {
    "READY": "good",
    "PARTIALLY READY - NEEDS MIGRATION": "fair",
    "NOT READY": "poor",
    "COULD NOT CHECK": "dark",
}
_SEVERITY_TONES = {"blocker": "poor", "major": "fair", "minor": "calm", "info": "calm"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_FEW = 2
"""Findings of one kind that are shown one by one."""
_STATUS_TONES = {"ready": "good", "partial": "fair", "missing": "poor", "not ready": "poor", "not checked": "dark"}


def render_html(report: Report) -> str:
    """The whole report as a page."""
    title = f"{report.status}: {report.database}"
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", title),
        element("style", Html(_css())),
    )
    main = element(
        "main",
        _summary(report),
        _components(report),
        _blockers(report),
        _details(report),
        _beside(report),
        _behaviour(report.observations),
        _checklist(report.checklist),
        _options(report.options),
        _risk(report),
        _not_checked(report),
        _end(report),
    )
    return "<!doctype html>\n" + element("html", head, element("body", main, _foot(report)), lang="en") + "\n"


def _css() -> str:
    return files("trunkline.readiness.render").joinpath("report.css").read_text(encoding="utf-8")


def _summary(report: Report) -> Html:
    """What a reader with ten seconds sees."""
    facts = [
        ("Score", words.percent(report.score)),
        ("Findings", words.counted(report.findings)),
        ("Risk", report.risk),
        ("Migration runs", report.estimated_run),
        ("Production-ready", report.estimated_ready.partition(":")[0]),
    ]
    known = words.known(report)
    return element(
        "header",
        element("p", f"Is the database {report.database} ready for {report.target}?", class_="question"),
        element("h1", report.status),
        element("p", *_prose(report.headline), class_="headline"),
        element("dl", *(_fact(name, value) for name, value in facts), class_="facts"),
        element("p", known, class_="aside") if known else Html(""),
        class_=f"summary {_TONES.get(report.status, 'dark')}",
    )


def _fact(name: str, value: str) -> Html:
    return element("div", element("dt", name), element("dd", *_prose(value)))


def _components(report: Report) -> Html:
    rows = [
        _row(
            element("a", each.name, href=f"#{each.key}"),
            _status(words.status_of(each)),
            _score(each.score, words.status_of(each)),
            joined(*_prose(each.notes)),
        )
        for each in report.components
    ]
    verdict = words.VERDICTS[report.verdict]
    overall = _row("Overall", _status(verdict), _score(report.score, verdict), "the plain mean")
    return _section("Components", _table(("Component", "Status", "Score", "Notes"), [*rows, overall]))


def _blockers(report: Report) -> Html:
    """What stands in the way, a line for each kind."""
    kinds = words.kinds(report.at_least("blocker"))
    if not kinds:
        return Html("")
    rows = [
        _row(
            joined(words.title_of(kind[0].code), " ", element("small", kind[0].code)),
            words.number(len(kind)),
            words.objects(kind, 3),
            joined(*_prose(kind[0].impact)),
        )
        for kind in kinds
    ]
    return _section("What stands in the way", _table(("Blocker", "Times", "Where", "What it breaks"), rows))


def _details(report: Report) -> Html:
    parts = (_component(each, words.of(report, each.key)) for each in report.components)
    return _section("What is there, and what is missing", *parts)


def _component(component: Component, findings: Sequence[Finding]) -> Html:
    return element(
        "section",
        element(
            "h3",
            component.name,
            " ",
            element("small", f"{words.percent(component.score)}, {words.status_of(component)}"),
        ),
        element(
            "dl",
            _fact("The code expects", component.expected),
            _fact("The database has", component.found),
            class_="compared",
        ),
        *_findings(findings),
        id=component.key,
        class_="part",
    )


def _beside(report: Report) -> Html:
    parts = [
        element(
            "section",
            element("h3", name, " ", element("small", words.counted(findings))),
            element("p", f"{subject}.", class_="aside"),
            *_findings(findings),
            class_="part",
        )
        for name, subject, findings in words.beside(report)
    ]
    return _section("Beside the score", *parts)


def _findings(findings: Sequence[Finding]) -> list[Html]:
    """Each by itself; many of one kind are folded under one line."""
    kinds = words.kinds(findings)
    return [part for kind in kinds for part in (map(_finding, kind) if len(kind) <= _FEW else [_folded(kind)])]


def _folded(findings: Sequence[Finding]) -> Html:
    first = findings[0]
    title = f"{words.number(len(findings))} times: {words.title_of(first.code)}"
    badge = _badge(first.severity, _SEVERITY_TONES[first.severity])
    names = words.objects(findings, _FEW)
    summary = element("summary", badge, " ", element("strong", title), " ", element("small", first.code), " ", names)
    return element("details", summary, *map(_finding, findings), class_="kind")


def _finding(finding: Finding) -> Html:
    is_code = words.is_code(finding.remedy)
    remedy = (
        element("pre", element("code", finding.remedy), tabindex="0") if is_code else joined(*_prose(finding.remedy))
    )
    return element(
        "article",
        element(
            "h4",
            _badge(finding.severity, _SEVERITY_TONES[finding.severity]),
            f" {words.title_of(finding.code)}: ",
            element("code", finding.object),
            " ",
            element("small", finding.code),
        ),
        element(
            "dl",
            _fact("Seen", finding.evidence),
            _fact("What it breaks", finding.impact),
            element("div", element("dt", "Remedy"), element("dd", remedy)),
        ),
        class_=f"finding {_SEVERITY_TONES[finding.severity]}",
    )


def _behaviour(observations: Sequence[Observation]) -> Html:
    if not observations:
        return Html("")
    groups = groupby(observations, lambda each: (each.table, each.role, each.principal, each.rows))
    rows = [
        _row(element("code", table), f"{role}, {who}", whose, element("ul", *map(_outcome, cells), class_="outcomes"))
        for (table, role, who, whose), cells in groups
    ]
    return _section(
        "Policies as they were run",
        element("p", words.tried(observations)),
        element("details", element("summary", "Every attempt"), _table(("Table", "Who", "Rows", "Could"), rows)),
    )


def _outcome(observation: Observation) -> Html:
    text = f"{observation.command}: {observation.outcome}"
    if observation.detail:
        text = f"{text} ({observation.detail})"
    return element("li", element("strong", text) if words.is_bad(observation) else text)


def _checklist(items: Sequence[ChecklistItem]) -> Html:
    if not items:
        return Html("")
    done = sum(item.done for item in items)
    return _section(
        "Migration checklist",
        element("p", f"{done} of {len(items)} done.", class_="aside"),
        element("ul", *map(_item, items), class_="checklist"),
    )


def _item(item: ChecklistItem) -> Html:
    box = element(
        "span", "✓" if item.done else "", class_="box", role="img", aria_label="done" if item.done else "to do"
    )
    ways = [element("li", *_prose(way)) for way in item.ways]
    marks = [_badge("critical", "poor")] if item.critical and not item.done else []
    return element(
        "li",
        box,
        element(
            "div",
            element("strong", *_prose(item.title)),
            " ",
            *marks,
            " ",
            element("small", ", ".join(item.codes)),
            element("ul", *ways, class_="ways" if len(ways) > 1 else "way") if ways else Html(""),
        ),
        class_="done" if item.done else "open",
    )


def _options(options: Sequence[Option]) -> Html:
    if not options:
        return Html("")
    titles = [
        joined(words.STRATEGIES[each.strategy], " ", _badge("advised", "good") if each.advised else Html(""))
        for each in options
    ]
    rows = [
        _row("Why", *(joined(*_prose(each.reason)) for each in options)),
        _row("Steps", *(element("ol", *(element("li", *_prose(step)) for step in each.steps)) for each in options)),
        _row("Exclusive locks", *(words.locks(each) for each in options)),
        _row("Rows touched", *(words.number(each.rows_touched) for each in options)),
        _row("Estimated time", *(words.duration(each.seconds) for each in options)),
        _row("What breaks", *(joined(*_prose(each.breaks)) for each in options)),
    ]
    return _section("The ways to migrate", _table(("Question", *titles), rows))


def _risk(report: Report) -> Html:
    return _section(
        "Risk and time",
        element(
            "dl",
            _fact(f"Risk: {report.risk}", report.risk_reason),
            _fact("Time that the migration runs", report.estimated_run),
            _fact("Time to production-ready", report.estimated_ready),
            class_="pairs",
        ),
    )


def _not_checked(report: Report) -> Html:
    if not report.not_checked:
        return _section("What was not checked", element("p", "Everything was checked."))
    items = [
        element("li", element("strong", *_prose(each.what)), ": ", *_prose(f"{each.why} {each.how}"))
        for each in report.not_checked
    ]
    return _section("What was not checked", element("ul", *items))


def _end(report: Report) -> Html:
    steps = [element("li", element("code", step)) for step in report.next_steps]
    return _section(
        "Bottom line",
        element("p", *_prose(report.bottom_line), class_="headline"),
        *([element("h3", "Next steps"), element("ol", *steps, class_="steps")] if steps else []),
    )


def _foot(report: Report) -> Html:
    facts = [
        f"PostgreSQL {report.server_version}",
        *([f"looks like: {report.source}"] if report.source else []),
        f"analysed {report.analysed_at:%Y-%m-%d %H:%M %Z} in {report.seconds:.1f} s",
        *(["in depth"] if report.is_deep else []),
        "nothing was changed",
    ]
    return element("footer", element("p", " · ".join(facts)))


def _section(title: str, *children: str) -> Html:
    return element("section", element("h2", title), *children)


def _table(titles: Iterable[str], rows: Iterable[Html]) -> Html:
    """In a frame that scrolls by itself where the page is narrow."""
    head = element("thead", element("tr", *(element("th", title, scope="col") for title in titles)))
    return element("div", element("table", head, element("tbody", *rows)), class_="scroll", tabindex="0")


def _row(first: str, *others: str) -> Html:
    return element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in others))


def _badge(word: str, tone: str) -> Html:
    return element("span", word, class_=f"badge {tone}")


def _status(word: str) -> Html:
    return _badge(word, _STATUS_TONES[word])


def _score(score: int | None, status: str) -> Html:
    """The number, and a bar beside it that says nothing more."""
    if score is None:
        return joined(words.percent(None))
    bar = Html(
        f'<svg class="bar {_STATUS_TONES[status]}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rail" width="100" height="8"/><rect class="fill" width="{score}" height="8"/></svg>'
    )
    return element("span", bar, element("span", words.percent(score), class_="percent"), class_="score")


def _prose(text: str) -> list[str]:
    """Text in which what stands between backticks is code."""
    return [element("code", piece) if is_code else piece for is_code, piece in words.pieces(text)]
