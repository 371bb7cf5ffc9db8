"""Planted and found: what legacy databases were given wrong is found, and what is said of them is so.

Each finding is asked again in SQL that shares nothing with the analyser (`truth`), and each that a variation brings
must be one of its faults, or follow from them (`FOLLOWS`). `WRITE_DOCS=1` writes the table in docs anew.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, get_args

import psycopg
import pytest
from psycopg import sql
from tests.factories.legacy import variations as owners
from tests.factories.legacy.make import GENERATIONS, Fault, Generation, Planted, Shape, Variation, make_legacy
from tests.factories.legacy.truth import is_so

from trunkline.db.urls import with_database
from trunkline.models import Base
from trunkline.readiness import Finding, Report, analyse, target_of

PAGE = Path(__file__).parents[2] / "docs/readiness-planted.md"
OURS = target_of(Base.metadata, name="Trunkline")

FOUND_BY: dict[Fault, tuple[str, ...]] = {
    "anybody writes": ("RLS008", "RLS005", "RLS001"),  # tried, read, or for want of any row-level security
    "config value does not fit": ("DAT007",),
    "definer function": ("EXP003",),
    "duplicates": ("DAT004",),
    "foreign key without index": ("IDX002",),
    "function for each row in policy": ("RLS010",),
    "grant option": ("EXP020",),
    "granted to everybody": ("EXP019",),
    "materialized view is exposed": ("EXP005",),
    "mixed-case column": (),
    "no foreign key": ("SCH009",),
    "no primary key": ("SCH013",),
    "nulls": ("DAT002",),
    "orphans": ("DAT001",),
    "other name": ("SCH004",),
    "other type": ("SCH006",),
    "outside check": ("DAT003",),
    "partitioned": ("SCH008",),
    "policies without effect": ("RLS003",),
    "policy fails": ("RLS006",),
    "policy names an old table": ("CMP005",),
    "publication": ("OPS006",),
    "row security off": ("RLS001",),
    "rows of others are visible": ("RLS007",),
    "search_path not set": ("EXP002",),
    "trigger": ("CMP005",),
    "truncate granted to visitors": ("EXP001",),
    "view goes around policies": ("EXP004",),
}
"""Any one of these codes, on the object."""

HARMLESS = {
    "mixed-case column": "a column more than the code asks for; it stays as it is",
    "truncate granted to visitors": "on a materialized view, which is never truncated and takes no triggers",
    "view goes around policies": "where the table under it has row-level security off, which is said instead",
}
"""Planted for the migration's sake: nothing is wrong, so nothing may be said."""

FOLLOWS: dict[str, tuple[tuple[str, str], ...]] = {
    "nulls": (("SCH007", "chat_messages.__text__"), ("SCH007", "__bots__.name")),
    "duplicates": (("SCH008", "organization_members (organization_id, user_id)"),),
    "views": (
        ("RLS007", "recent_messages"),
        ("CMP005", "recent_messages"),
        ("CMP005", "message_counts"),
    ),
    "definer function": (("CMP005", "get_history(session text)"),),
    "triggers": (("CMP005", "touch_session()"),),
    "own table": (("RLS006", "feedback"), ("RLS014", "feedback")),
    "row security off": (("RLS007", "chat_messages"), ("RLS015", "chat_messages")),
}
"""What else is true once a variation is made, by its name: each was read and found to be so."""

GOES: dict[str, tuple[tuple[str, str], ...]] = {
    "bigint ids": (("RLS008", "chat_sessions"), ("RLS008", "chat_messages"), ("RLS009", "chat_sessions")),
    "content for text": (("SCH004", "chat_messages.text"),),
    "message for text": (("SCH004", "chat_messages.text"),),
    "orphans": (("IDX002", "chat_messages.session_id"), ("IDX002", "chat_sessions.__bot_id__")),
    "row security off": (
        ("RLS002", "chat_messages"),
        ("RLS005", 'chat_messages policy "Anyone can write messages"'),
        ("RLS006", "chat_messages"),
    ),
}
"""What is no more said of it. Of counted ids: writing would use up their numbers, and is said not to be tried."""


class Made(NamedTuple):
    """How a database is made."""

    generation: Generation
    variations: tuple[Variation, ...]

    def __str__(self) -> str:
        names = " + ".join(each.name for each in self.variations[:2]) or "as it was"
        more = len(self.variations) - 2
        return f"{self.generation}, {names}{f' + {more} more' if more > 0 else ''}"


def ways_to_make(generation: Generation) -> list[Made]:
    """As it was, with each variation alone, and with as many at once as can be."""
    possible = [each for each in owners.VARIATIONS if generation in each.generations]
    alone = [Made(generation, (each,)) for each in possible]
    left_out = ((owners.ENUM_ROLE, owners.CONTENT_FOR_TEXT), (owners.STRAY_ROLES, owners.MESSAGE_FOR_TEXT))
    crowds = [Made(generation, tuple(each for each in possible if each not in left)) for left in left_out]
    return [Made(generation, ()), *alone, *crowds]


ALL = [made for generation in GENERATIONS for made in ways_to_make(generation)]


@dataclass(frozen=True)
class Seen:
    """One database: what it was given, what was said of it, and what of that is not so."""

    planted: tuple[Planted, ...]
    report: Report
    untrue: tuple[Finding, ...]


Look = Callable[[Made], Seen]


@pytest.fixture(scope="module")
def seen(admin_url: str) -> Look:
    """Looks at each database once for all tests."""
    known: dict[Made, Seen] = {}

    def look(made: Made) -> Seen:
        if made not in known:
            known[made] = _look(admin_url, made)
        return known[made]

    return look


def _look(admin_url: str, made: Made) -> Seen:
    name = sql.Identifier(f"trunkline_test_{secrets.token_hex(6)}")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template template0").format(name))
        try:
            url = with_database(admin_url, name.as_string().strip('"'))
            planted = make_legacy(url, *made)
            report = analyse(url, OURS)
            with psycopg.connect(url) as owner:
                untrue = tuple(each for each in report.findings if not is_so(owner, each, OURS))
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(name))
    return Seen(tuple(planted), report, untrue)


def is_about(finding: Finding, planted: Planted) -> bool:
    """Whether a finding is one of the fault's, on its very object: `bots`, `bots policy …`, `get_history(text)`."""
    thing = re.sub(r"\.(.*),(.*)", r" (\1, \2)", planted.object)
    if planted.fault == "publication":
        thing = f"publication {thing}"
    # A table that was partitioned has another key; a function has arguments; a policy stands after its table.
    after = finding.object.removeprefix(thing)
    exact = {"partitioned": ".", "anybody writes": " ", "policy names an old table": " "}.get(planted.fault, "(")
    return (
        finding.code in FOUND_BY[planted.fault]
        and finding.object.startswith(thing)
        and (not after or after.startswith(exact))
    )


def is_harmless(made: Made, planted: Planted) -> bool:
    """Whether nothing is to be found."""
    if planted.fault == "view goes around policies":
        return owners.ROW_SECURITY_OFF in made.variations
    return planted.fault == "mixed-case column" or planted == ("truncate granted to visitors", "message_counts")


def named(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    """Code and object."""
    return {(each.code, each.object) for each in findings}


@pytest.mark.parametrize("made", ALL, ids=str)
def test_every_planted_fault_is_found_and_what_is_harmless_is_not(seen: Look, made: Made) -> None:
    found = seen(made).report.findings
    missed = [each for each in seen(made).planted if is_harmless(made, each) == any(is_about(f, each) for f in found)]
    assert missed == []


@pytest.mark.parametrize("made", ALL, ids=str)
def test_what_is_said_is_so_when_it_is_asked_in_another_way(seen: Look, made: Made) -> None:
    assert named(seen(made).untrue) == set()


@pytest.mark.parametrize("made", [each for each in ALL if len(each.variations) == 1], ids=str)
def test_a_change_brings_its_own_faults_and_nothing_else(seen: Look, made: Made) -> None:
    (variation,) = made.variations
    shape = Shape(made.generation, variation.text or "text")
    before, after = seen(Made(made.generation, ())), seen(made)
    said = [each for each in after.report.findings if (each.code, each.object) not in named(before.report.findings)]
    own = set(after.planted) - set(before.planted)
    unplanned = named(each for each in said if not any(is_about(each, planted) for planted in own))
    assert unplanned - _filled(FOLLOWS.get(variation.name, ()), shape) == set()
    silent = named(before.report.findings) - named(after.report.findings)
    assert silent - _filled(GOES.get(variation.name, ()), shape) == set()


def test_what_could_not_be_tried_is_said(seen: Look) -> None:
    said = seen(Made("newer", (owners.BIGINT_IDS,))).report.not_checked
    assert {each.what for each in said} == {
        f"what roles may do with rows of {table}" for table in ("chat_sessions", "chat_messages")
    }
    assert seen(Made("newer", ())).report.not_checked == ()


def test_the_page_tells_what_was_planted_and_found(seen: Look) -> None:
    page = render(seen)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page


def _filled(objects: Iterable[tuple[str, str]], shape: Shape) -> set[tuple[str, str]]:
    return {(code, shape.fill(each)) for code, each in objects}


def render(seen: Look) -> str:
    """The page."""
    rows = "\n".join(_rows(seen))
    counts = [(len(seen(each).report.findings), len(seen(each).untrue)) for each in ALL]
    said, untrue = (sum(column) for column in zip(*counts, strict=True))
    harmless = "\n".join(f"- {fault}: {why}" for fault, why in HARMLESS.items())
    return _PAGE.format(
        databases=len(ALL),
        changes=len(owners.VARIATIONS),
        rows=rows,
        harmless=harmless,
        said=said,
        untrue=untrue,
    )


def _rows(seen: Look) -> Iterator[str]:
    for fault in get_args(Fault):
        planted = [(made, each) for made in ALL for each in seen(made).planted if each.fault == fault]
        wanted = [(made, each) for made, each in planted if not is_harmless(made, each)]
        hits = [[f for f in seen(made).report.findings if is_about(f, each)] for made, each in wanted]
        codes = ", ".join(sorted({each.code for findings in hits for each in findings})) or "—"
        found = sum(bool(findings) for findings in hits)
        told = f"{found} of {len(wanted)}" if wanted else "—"
        yield f"| {fault} | {len(planted)} | {len(planted) - len(wanted)} | {told} | {codes} |"


_PAGE = """\
# Planted and found

<!-- Written by tests/readiness/test_planted.py with WRITE_DOCS=1, which also proves it current. -->

{databases} databases of the two legacy generations: as they were, with each of {changes} changes that owners make, and
with as many changes at once as can be. Each was given faults whose place is known, and analysed in default mode.

| fault | planted | harmless | found | by |
|---|---|---|---|---|
{rows}

Harmless, so that nothing may be said of it:

{harmless}

Of the {said:,} findings in all reports, {untrue} were not so: each was asked again, in SQL that shares nothing with the
analyser. And whatever a change brought into a report was one of its own faults, or was read and followed from them.
"""
