"""The newer legacy shape, graded: where the rules land beside the analysis that was made by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.factories.legacy.make import make_legacy

from trunkline.models import Base
from trunkline.readiness.report import Report
from trunkline.readiness.runner import analyse
from trunkline.readiness.target import target_of

PAGE = Path(__file__).parents[2] / "docs/readiness-scoring.md"
BY_HAND = {
    "Architecture": 100,
    "Table names": 0,
    "Session fields": 20,
    "Message fields": 60,
    "Agent fields": 30,
    "RLS policies": 90,
    "Indexes": 50,
}


@pytest.fixture
def report(empty_url: str) -> Report:
    make_legacy(empty_url, "newer")
    return analyse(empty_url, target_of(Base.metadata, name="Trunkline"))


def table_of_the_page() -> dict[str, tuple[int, int]]:
    """Component to (by hand, by rule), as the page says."""
    part = re.search(r"<!-- founding analysis.*?-->(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert part
    rows = re.findall(
        r"^\| ([A-Z*][\w *]+) \| \**(\d+)\** \| \**(\d+)\** \|", part[1].replace("**mean**", "Mean"), re.MULTILINE
    )
    return {name: (int(hand), int(rule)) for name, hand, rule in rows}


def test_the_page_says_where_the_rules_land_beside_the_hand(report: Report) -> None:
    expected = {each.name: (BY_HAND[each.name], each.score) for each in report.components}
    assert table_of_the_page() == expected | {"Mean": (50, report.score)}


def test_every_version_of_postgresql_is_graded_alike(any_url: str) -> None:
    make_legacy(any_url, "newer")
    report = analyse(any_url, target_of(Base.metadata, name="Trunkline"))
    expected = {name: rule for name, (_, rule) in table_of_the_page().items() if name != "Mean"}
    assert {each.name: each.score for each in report.components} == expected


def test_what_both_can_see_is_near(report: Report) -> None:
    """Names and fields are read alike by a person and by the rules; policies and indexes only the rules try and map."""
    scores = {each.name: each.score for each in report.components}
    for name in ("Architecture", "Table names", "Session fields", "Message fields", "Agent fields"):
        score = scores[name]
        assert score is not None
        assert abs(score - BY_HAND[name]) <= 10, name


def test_policies_that_read_well_fail_when_run_and_the_report_says_both(report: Report) -> None:
    (policies,) = (each for each in report.components if each.key == "rls_policies")
    notes = re.match(r"(\d+) % on paper; when run, (\d+) %", policies.notes)
    assert notes, policies.notes
    assert int(notes[1]) >= 70
    assert int(notes[2]) <= 30
    assert any("infinite recursion" in each.detail for each in report.observations)


def test_it_is_partially_ready_and_says_what_it_is(report: Report) -> None:
    assert report.verdict == "not_ready"
    assert report.source == "legacy, with organizations"
    assert [each.key for each in report.components] == [
        "architecture",
        "table_names",
        "session_fields",
        "message_fields",
        "agent_fields",
        "rls_policies",
        "indexes",
    ]


def test_both_ways_out_are_offered_for_the_names(report: Report) -> None:
    (names,) = (each for each in report.checklist if each.codes == ("SCH002",))
    assert names.critical
    assert not names.done
    database, models = names.ways
    assert "trunkline migrate start" in database
    assert '__tablename__ = "bots"' in models


def test_both_strategies_are_compared_and_renaming_is_advised(report: Report) -> None:
    assert [(each.strategy, each.advised) for each in report.options] == [("rename", True), ("create", False)]
    for option in report.options:
        assert option.steps
        assert option.exclusive_locks > 0
        assert option.reason
        assert option.breaks
