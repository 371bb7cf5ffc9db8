"""What Trunkline costs on top of the least that a turn can be.

Run as `python -m benchmarks.turns`; `--quick` only shows that it works (its counts hold, its times mean little).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import psycopg
from benchmarks import report
from benchmarks.cluster import LOGIN, PASSWORD, fresh_database
from benchmarks.turns import floor as floor_app
from benchmarks.turns.counting import Counts, counted
from benchmarks.turns.measure import Load, measure_counts, measure_load, measure_wal
from benchmarks.turns.subjects import DELAY_MS, Tenant, floor, make_tenant, trunkline

from trunkline.db.setup import prepare


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    turns_alone: int
    turns_together: int
    turns_paced: int
    turns_counted: int
    wal_at: tuple[int, ...]
    wal_sessions: int


FULL = Plan(7, 80, 320, 96, 20, (1, 50, 200, 1000), 5)
QUICK = Plan(1, 10, 32, 16, 5, (1, 6, 20), 2)

Found = dict[str, list[Load]]
"""Batches by subject."""


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke of some seconds")
    plan = QUICK if parser.parse_args().quick else FULL
    with fresh_database() as owner_url:
        asyncio.run(run(owner_url, plan))


async def run(owner_url: str, plan: Plan) -> None:
    """Everything, on one database that is empty."""
    login_url = prepare(owner_url, login=LOGIN, password=PASSWORD)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(floor_app.SCHEMA)
    tenant = await make_tenant(owner_url, login_url)
    counts, wal = await count(owner_url, login_url, tenant, plan)
    loads = await load(owner_url, login_url, tenant, plan)
    show_loads(loads)
    show_counts(counts)
    show_wal(wal)
    batches = {name: {who: [asdict(each) for each in found[who]] for who in found} for name, found in loads.items()}
    report.save("turns", {"counts": {who: asdict(counts[who]) for who in counts}, "wal": wal, "loads": batches})


async def count(
    owner_url: str, login_url: str, tenant: Tenant, plan: Plan
) -> tuple[dict[str, Counts], dict[str, dict[int, int]]]:
    """By subject: statements and round trips per turn; bytes of WAL per turn by the turn's number."""
    report.say(f"Counting statements, round trips and bytes of WAL up to turn {plan.wal_at[-1]} …")
    found: dict[str, Counts] = {}
    wal: dict[str, dict[int, int]] = {}
    for name, url, start in (("floor", owner_url, floor), ("trunkline", login_url, trunkline)):
        async with counted(url) as (through, counts), start(through, tenant) as subject:
            found[name] = await measure_counts(subject, counts, plan.turns_counted)
            wal[name] = await measure_wal(subject, owner_url, plan.wal_at, plan.wal_sessions)
    return found, wal


async def load(owner_url: str, login_url: str, tenant: Tenant, plan: Plan) -> dict[str, Found]:
    """CPU and turns a second: the subjects take turns batch by batch, so that a noisy moment hits both."""
    found: dict[str, Found] = {}
    async with floor(owner_url, tenant) as low, trunkline(login_url, tenant) as ours:
        for subject in (low, ours):
            await measure_load(subject, 16, plan.turns_paced)  # warm
        for number in range(plan.rounds):
            report.say(f"Round {number + 1} of {plan.rounds} …")
            for name, concurrency, turns, paced in (
                ("1 at a time", 1, plan.turns_alone, False),
                ("16 at a time", 16, plan.turns_together, False),
                (f"16 at a time, {DELAY_MS} ms between tokens", 16, plan.turns_paced, True),
            ):
                for subject in (low, ours):
                    measured = await measure_load(subject, concurrency, turns, paced=paced)
                    found.setdefault(name, {}).setdefault(subject.name, []).append(measured)
    return found


def show_loads(loads: Mapping[str, Found]) -> None:
    """CPU and turns a second, with ratios within one round."""
    rows: list[list[str]] = []
    for name, found in loads.items():
        cpu = _columns(found, lambda each: each.cpu_ms, "{:.2f}")
        rows.append([f"{name}: server CPU per turn, ms", *cpu])
        rows.append([f"{name}: turns per second", *_columns(found, lambda each: each.turns_per_s, "{:.0f}")])
    report.show("A turn of 40 tokens, streamed (medians)", ["", "floor", "trunkline", "ratio"], rows)


def _columns(found: Found, value: Callable[[Load], float], form: str) -> list[str]:
    ours, floors = [value(each) for each in found["trunkline"]], [value(each) for each in found["floor"]]
    ratio = statistics.median(our / floor_ for our, floor_ in zip(ours, floors, strict=True))
    return [form.format(statistics.median(floors)), form.format(statistics.median(ours)), f"{ratio:.2f}"]


def show_counts(counts: Mapping[str, Counts]) -> None:
    """What went over the wire."""
    ours, floors = counts["trunkline"], counts["floor"]
    rows = [
        ["statements", str(floors.statements), str(ours.statements)],
        ["round trips", str(floors.round_trips), str(ours.round_trips)],
    ]
    report.show("To the database, per turn", ["", "floor", "trunkline"], rows)


def show_wal(wal: Mapping[str, Mapping[int, int]]) -> None:
    """Bytes of WAL by number of the turn."""
    ours, floors = wal["trunkline"], wal["floor"]
    rows = [[f"turn {number:,}", f"{floors[number]:,}", f"{ours[number]:,}"] for number in ours]
    first, last = min(ours), max(ours)
    rows.append(["last / first", f"{floors[last] / floors[first]:.2f}", f"{ours[last] / ours[first]:.2f}"])
    report.show("Bytes of WAL per turn", ["", "floor", "trunkline"], rows)


if __name__ == "__main__":
    main()
