"""How long an analysis takes on a large database, and whether anybody who writes meanwhile is held up.

A legacy database with a million messages, in default mode; then with 2,000 other tables; then with a writer beside it,
whose longest statement is compared with that of the same writer alone. Run as `python -m benchmarks.readiness`;
`--quick` only shows that it works. Fails where a bound is broken, which `--quick` doesn't look at.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import psycopg
from benchmarks import report
from benchmarks.cluster import fresh_database
from benchmarks.readiness.measure import Timed, analyse_for, measure
from benchmarks.readiness.writer import Waits, writing
from tests.factories.legacy.make import load_messages, make_legacy


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    messages: int
    other_tables: int
    rounds: int
    writer_seconds: float


FULL = Plan(messages=1_000_000, other_tables=2_000, rounds=7, writer_seconds=10)
QUICK = Plan(messages=20_000, other_tables=50, rounds=2, writer_seconds=1)

BOUND_S = 2.0
"""For a million messages."""
BOUND_MANY_TABLES_S = 5.0
"""With 2,000 other tables beside them."""


def main() -> None:
    """Load, measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readiness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke of some seconds")
    is_quick = parser.parse_args().quick
    with fresh_database() as url:
        wrong = run(url, QUICK if is_quick else FULL)
    sys.exit(None if is_quick else wrong)


def run(url: str, plan: Plan) -> str | None:
    """Everything, on one database that is empty. Returns which bound was broken."""
    report.say(f"Loading {plan.messages:,} messages …")
    make_legacy(url, "newer")
    load_messages(url, plan.messages)
    analyses = {f"{plan.messages:,} messages": measure(url, plan.rounds)}
    alone, beside = beside_a_writer(url, plan)
    report.say(f"Making {plan.other_tables:,} other tables …")
    make_tables(url, plan.other_tables)
    analyses[f"and {plan.other_tables:,} other tables"] = measure(url, plan.rounds)
    show(analyses)
    show_waits(alone, beside)
    report.save(
        "readiness",
        {
            "analyses": {name: [asdict(each) for each in found] for name, found in analyses.items()},
            "writer": {"alone": asdict(alone), "beside": asdict(beside)},
        },
    )
    of_messages, of_tables = (statistics.median(each.seconds for each in found) for found in analyses.values())
    if of_messages > BOUND_S or of_tables > BOUND_MANY_TABLES_S:
        return f"Too slow: {of_messages:.2f} s (bound {BOUND_S} s), {of_tables:.2f} s (bound {BOUND_MANY_TABLES_S} s)."
    return None


def make_tables(url: str, count: int) -> None:
    """Tables of something else, each with a key, an index, a check and a default."""
    make = """
    do $$ begin
        for number in {first}..{last} loop
            execute format('create table other_%s (id int primary key, name text default %L, check (id > 0))',
                           number, 'x');
            execute format('create index on other_%s (name)', number);
        end loop;
    end $$
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(1, count + 1, 100):  # each in a transaction of its own: locks are limited
            connection.execute(make.format(first=first, last=min(first + 99, count)).encode())
        connection.execute("analyze")


def beside_a_writer(url: str, plan: Plan) -> tuple[Waits, Waits]:
    """A writer's statements alone, and while one analysis follows the other."""
    report.say("Writing alone …")
    with writing(url) as alone:
        time.sleep(plan.writer_seconds)
    report.say("Writing while it is analysed …")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:  # a Python of its own, as in life
        others.submit(analyse_for, url, 0.0).result()
        with writing(url) as beside:
            analyses = others.submit(analyse_for, url, plan.writer_seconds).result()
    report.say(f"{analyses} analyses in {plan.writer_seconds:.0f} s.")
    return alone.waits(), beside.waits()


def show(analyses: dict[str, list[Timed]]) -> None:
    """Medians, in all and by stage."""
    stages = next(iter(analyses.values()))[0].stages
    rows = [["in all", *(_median([each.seconds for each in found]) for found in analyses.values())]]
    rows += [
        [stage, *(_median([each.stages.get(stage, 0) for each in found]) for found in analyses.values())]
        for stage in stages
    ]
    report.show("Seconds of one analysis (medians)", ["", *analyses], rows)


def _median(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f}"


def show_waits(alone: Waits, beside: Waits) -> None:
    """How long a statement of the writer took."""
    rows = [
        [name, f"{one:.2f}", f"{other:.2f}", f"{other / one:.1f}"]
        for name, one, other in (
            ("median", alone.median_ms, beside.median_ms),
            ("99 of 100 within", alone.p99_ms, beside.p99_ms),
            ("longest", alone.longest_ms, beside.longest_ms),
        )
    ]
    rows.append(["waited for a lock, statements", f"{alone.lock_waits}", f"{beside.lock_waits}", ""])
    rows.append(["statements", f"{alone.statements:,}", f"{beside.statements:,}", ""])
    report.show("A writer's statement, ms", ["", "alone", "beside", "ratio"], rows)


if __name__ == "__main__":
    main()
