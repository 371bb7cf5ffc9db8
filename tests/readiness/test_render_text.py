"""The report in the terminal: verdict first, blockers in full, the rest counted; narrow, plain and piped."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.factories.reports import HOSTILE, finding, legacy_report, ready_report, unknown_report

from trunkline.cli.readiness_text import draw, draw_check
from trunkline.readiness.check import Check
from trunkline.readiness.checks import all_checks
from trunkline.readiness.render.checks import example
from trunkline.readiness.report import NotChecked, Report


def drawn(
    report: Report, *, show_all: bool = False, width: int = 80, encoding: str = "utf-8", color: bool = False
) -> str:
    paper = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", write_through=True)
    console = Console(file=paper, width=width, highlight=False, force_terminal=color, no_color=not color)
    draw(console, report, show_all=show_all)
    paper.seek(0)
    return paper.read()


def test_the_verdict_comes_first_and_the_commands_last() -> None:
    lines = drawn(legacy_report()).splitlines()
    assert lines[0].startswith("PARTIALLY READY - NEEDS MIGRATION   score 48 %")
    assert [line[:4] for line in lines[-3:]] == ["  $ "] * 3


def test_it_fits_80_columns_and_says_the_same_with_and_without_colour() -> None:
    plain = drawn(legacy_report(), show_all=True)
    commands = [line for line in plain.splitlines() if line.startswith("  $ ")]
    assert all(len(line) <= 80 or line in commands for line in plain.splitlines())
    assert "\x1b" not in plain
    assert "\x1b[" in drawn(legacy_report(), color=True)


def test_blockers_are_shown_in_full_and_the_rest_is_counted() -> None:
    text = drawn(legacy_report())
    for part in (
        "SCH002 blocker  Table under an old name: bots",
        "alter table public.bots rename to agents;",
        "infinite recursion detected",
    ):
        assert part in text
    assert "Also 1 major, 1 minor, 1 info: --all shows them." in text
    assert "7 rows point to no session." not in text
    assert "7 rows point to no session." in drawn(legacy_report(), show_all=True)


def test_of_many_blockers_one_of_each_kind_is_shown_and_the_others_named() -> None:
    many = tuple(finding("SCH003", "blocker", "agent_fields", f"agents.c{at}") for at in range(20))
    report = legacy_report().model_copy(update={"findings": many})
    text = drawn(report)
    assert "Blockers  20, of 1 kind\n" in text
    assert text.count("The code can't use it.") == 1
    assert "also  agents.c1, agents.c2," in text
    assert "and 7 more" in " ".join(text.split())
    assert drawn(report, show_all=True).count("The code can't use it.") == 20


def test_a_long_remedy_is_cut_and_says_so() -> None:
    long = finding("SCH001", "blocker", "table_names", "agents", remedy="\n".join(f"line {at};" for at in range(9)))
    report = legacy_report().model_copy(update={"findings": (long,)})
    assert "line 4;" in drawn(report)
    assert "line 5;" not in drawn(report)
    assert "… 4 more lines: --all shows them." in drawn(report)
    assert "line 8;" in drawn(report, show_all=True)


def test_the_migration_is_told_at_a_glance() -> None:
    text = " ".join(drawn(legacy_report()).split())
    for part in ("steps 3", "exclusive locks 6, each for milliseconds", "rows touched 1,203", "estimated time 4 s"):
        assert part in text
    assert "the old application works until `complete`" in text


def test_what_was_not_checked_is_said_and_no_score_is_made_up() -> None:
    text = drawn(unknown_report())
    assert text.startswith("COULD NOT CHECK   score not checked\n")
    assert "Nothing found in what was checked." in text
    assert "the role `reader` may not act as anon." in " ".join(text.split())
    many = tuple(NotChecked(what=f"table {at}", why="why.", how="how.") for at in range(7))
    report = unknown_report().model_copy(update={"not_checked": many})
    assert "Not checked (7)" in drawn(report)
    assert "and 2 more: --all shows them." in drawn(report)
    assert "table 6" in drawn(report, show_all=True)


def test_what_is_ready_is_said_shortly() -> None:
    text = drawn(ready_report())
    assert text.startswith("READY   score 100 %\n")
    assert "Migration at a glance" not in text


def test_names_are_shown_as_they_are() -> None:
    report = legacy_report().model_copy(update={"headline": "[bold]x[/] " + HOSTILE})
    assert "[bold]x[/]" in drawn(report, width=200)
    assert HOSTILE in drawn(report, width=200)


def test_bars_are_drawn_where_blocks_can_not_be() -> None:
    assert "############" in drawn(ready_report(), encoding="ascii")


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
def test_every_check_is_explained_with_its_example(check: Check) -> None:
    paper = io.StringIO()
    draw_check(Console(file=paper, width=80, highlight=False), check)
    text = paper.getvalue()
    assert text.startswith(f"{check.code}  {check.title}")
    sentence, sql = example(check) or ("", "")
    assert " ".join(sentence.split()) in " ".join(text.split())
    assert all(line in text for line in sql.splitlines())


def test_most_checks_have_an_example_to_try() -> None:
    without = [check for check in all_checks() if not (example(check) or ("", ""))[1]]
    assert all(each.as_if for check in without for each in check.bad), "only a state of the server triggers these"
