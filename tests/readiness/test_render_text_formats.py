"""JSON, Markdown and SARIF say what the report says, and no name in a database becomes markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.factories.reports import HOSTILE, finding, legacy_report, ready_report, unknown_report

from trunkline.readiness.checks import all_checks
from trunkline.readiness.render import RENDERERS
from trunkline.readiness.render.json import published_schema, render_json
from trunkline.readiness.render.markdown import render_markdown
from trunkline.readiness.render.sarif import render_sarif
from trunkline.readiness.render.words import beside, counted, duration
from trunkline.readiness.report import Report

REPORTS = [legacy_report(), ready_report(), unknown_report()]
SCHEMA = Path(__file__).parents[2] / "docs" / "readiness.schema.json"


def names(report: Report) -> list[str]:
    return [report.status, *(each.name for each in report.components), *(each.code for each in report.findings)]


@pytest.mark.parametrize("style", RENDERERS)
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.status)
def test_every_format_has_the_status_every_component_and_every_finding(style: str, report: Report) -> None:
    text = RENDERERS[style](report)
    wanted = [each for each in names(report) if style != "sarif" or each in (report.status, *codes(report))]
    assert [each for each in wanted if each not in text] == []


def codes(report: Report) -> set[str]:
    return {each.code for each in report.findings}


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.status)
def test_json_is_the_report(report: Report) -> None:
    assert Report.model_validate_json(render_json(report)) == report


def test_the_published_schema_is_the_reports() -> None:
    assert SCHEMA.read_text() == published_schema(), "Run scripts/write_checks.py."


def test_the_published_schema_has_what_is_promised() -> None:
    schema = json.loads(published_schema())
    promised = {"verdict", "score", "status", "components", "checklist", "findings", "not_checked"}
    assert promised <= set(schema["required"])
    assert set(schema["properties"]["verdict"]["enum"]) == {"ready", "not_ready", "unknown"}
    parts = schema["$defs"]
    assert {"key", "name", "score", "status", "notes"} <= set(parts["Component"]["required"])
    fields = {"code", "severity", "component", "object", "evidence", "impact", "remedy"}
    assert fields <= set(parts["Finding"]["required"])


def test_markdown_has_all_that_the_founding_analysis_had() -> None:
    text = render_markdown(legacy_report())
    for part in (
        "PARTIALLY READY",
        "| Component | Status | Score | Notes |",
        "| Table names | missing | 0 % |",
        "*The code expects:*",
        "*The database has:*",
        "*What it breaks:*",
        "```sql\n  alter table public.bots rename to agents;",
        "- [x] **Organizations and members** (critical)",
        '- or: keep them: `__tablename__ = "bots"`',
        "Rename and extend (advised)",
        "| Rows touched | 1,203 | 2,406 |",
        "| Risk | **medium**",
        "## Bottom line",
        "trunkline migrate plan",
        "## What was not checked\n\n- **writing into audit_events**",
    ):
        assert part in text, part


def test_markdown_takes_no_name_for_markup() -> None:
    text = render_markdown(legacy_report())
    assert f"``{HOSTILE}``" in text
    without_code = re.sub(r"(`+).+?\1", "", text)
    assert "<script>" not in without_code.replace(r"\<", "")


def test_a_cell_of_a_markdown_table_ends_where_it_should() -> None:
    report = ready_report()
    odd = report.components[0].model_copy(update={"notes": "a|b\nc `d|e` \\"})
    line = next(
        line
        for line in render_markdown(report.model_copy(update={"components": (odd,)})).splitlines()
        if line.startswith("| Architecture")
    )
    assert line == r"| Architecture | ready | 100 % | a\|b c `d\|e` \\ |"


def test_a_remedy_that_holds_a_fence_stays_one_block() -> None:
    odd = finding("SCH001", "blocker", "indexes", "t", remedy="select '```';")
    text = render_markdown(ready_report().model_copy(update={"findings": (odd,)}))
    assert "  ````sql\n  select '```';\n  ````" in text


def test_findings_of_no_component_are_shown_too() -> None:
    odd = finding("NEW001", "major", "something_new", "t")
    report = ready_report().model_copy(update={"findings": (odd,)})
    assert beside(report)[-1] == ("Others", "What belongs to no component", (odd,))
    assert all("NEW001" in render(report) for render in RENDERERS.values())


def test_many_findings_of_one_kind_are_folded_in_markdown() -> None:
    many = tuple(finding("SCH003", "major", "agent_fields", f"agents.<c{at}>") for at in range(3))
    text = render_markdown(ready_report().model_copy(update={"findings": many}))
    assert "3 times</b>: agents.&lt;c0&gt;, agents.&lt;c1&gt; and 1 more</summary>" in text
    assert all(f"`{each.object}`" in text for each in many)
    assert text.count("<details>") == text.count("</details>") == 1


def test_what_the_baseline_has_is_counted() -> None:
    report = ready_report().model_copy(update={"known_findings": 1})
    assert "1 finding is in the baseline and not shown." in render_markdown(report)


def sarif(report: Report) -> dict[str, Any]:
    return json.loads(render_sarif(report))


def test_sarif_has_what_its_schema_requires() -> None:
    log = sarif(legacy_report())
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    assert {check.code for check in all_checks()} <= set(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in {"none", "note", "warning", "error"}
        (location,) = result["locations"]
        assert location["logicalLocations"][0]["fullyQualifiedName"]
        assert re.fullmatch(r"database/[\w.%()*-]+", location["physicalLocation"]["artifactLocation"]["uri"])
    fingerprints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(fingerprints) == len(set(fingerprints))


def test_sarif_says_what_was_not_checked() -> None:
    (invocation,) = sarif(unknown_report())["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "may not act as anon" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    assert sarif(ready_report())["runs"][0]["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "under a second"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (9000, "2.5 h")],
)
def test_times_are_told_in_the_unit_that_fits(seconds: int, words: str) -> None:
    assert duration(seconds) == words


def test_findings_are_counted_by_severity() -> None:
    assert counted(legacy_report().findings) == "3 blockers, 1 major, 1 minor, 1 info"
    assert counted(()) == "nothing found"
