"""The page of the checks is the checks' own words."""

from __future__ import annotations

from pathlib import Path

from trunkline.readiness.checks import all_checks
from trunkline.readiness.render.checks import render_checks

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"


def test_the_page_of_the_checks_is_current() -> None:
    assert PAGE.read_text() == render_checks(all_checks()), "Run scripts/write_checks.py."


def test_every_check_is_on_the_page_once() -> None:
    headings = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert headings == [f"## {check.code}" for check in all_checks()]
