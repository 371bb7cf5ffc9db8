"""What row-level security costs on the statements that are sent most.

Each transaction runs as the tenant (role and claims set, policies applied) and as an owner that no policy binds, who
compares the organization himself; same tables, same indexes, by turns. Run as `python -m benchmarks.policies`;
`--quick` only shows that it works. Fails where a plan under policies reads a large table from end to end.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import psycopg
from benchmarks import report
from benchmarks.cluster import LOGIN, PASSWORD, fresh_database
from benchmarks.policies.load import Size, load
from benchmarks.policies.measure import Case, Tax, api_key, indexes_used, measure, member, turn, visitor
from benchmarks.policies.statements import Statements, statements

from trunkline.db.setup import prepare


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    size: Size
    times: int


FULL = Plan(Size(organizations=1_000, sessions=100_000, messages=1_000_000), times=1_000)
QUICK = Plan(Size(organizations=100, sessions=2_000, messages=20_000), times=50)

DIRECT = "on a direct connection (statements prepared)"
POOLED = "behind a transaction pooler (nothing prepared)"


def cases(known: Statements) -> list[Case]:
    """Who sends what."""
    found = [
        Case("turn", turn, (known.admission, known.completion)),
        Case("page of messages, API key", api_key, (known.page_of_messages,)),
        Case("page of messages, visitor", visitor, (known.page_of_messages,)),
        Case("page of messages, member", member, (known.page_of_messages,)),
        Case("page of sessions, API key", api_key, (known.page_of_sessions,)),
        Case("page of sessions, member", member, (known.page_of_members_sessions,)),
    ]
    admission = Case("turn's admission", turn, (known.admission,))
    return [admission, *found]


def main() -> None:
    """Load, measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke of some seconds")
    plan = QUICK if parser.parse_args().quick else FULL
    with fresh_database() as owner_url:
        sys.exit(run(owner_url, plan))


def run(owner_url: str, plan: Plan) -> str | None:
    """Everything, on one database that is empty. Returns what is wrong with a plan."""
    login_url = prepare(owner_url, login=LOGIN, password=PASSWORD)
    report.say(f"Loading {plan.size.messages:,} messages …")
    started = time.perf_counter()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        load(connection, plan.size)
    report.say(f"Loaded in {time.perf_counter() - started:.0f} s.")
    known = asyncio.run(statements(login_url))
    # Each session once: a turn changes it.
    order = iter(random.Random(1).sample(range(1, plan.size.sessions + 1), plan.size.sessions))
    taxes: dict[str, dict[str, Tax]] = {DIRECT: {}, POOLED: {}}
    plans: dict[str, dict[str, list[str]]] = {}
    for case in cases(known):
        for way, found in taxes.items():
            report.say(f"Measuring: {case.name}, {way} …")
            prepares = way == DIRECT
            found[case.name] = measure(login_url, owner_url, plan.size, case, plan.times, order, prepares=prepares)
        plans[case.name] = indexes_used(login_url, plan.size, case, next(order))
    show(taxes, plans)
    numbers = {way: {name: asdict(tax) for name, tax in found.items()} for way, found in taxes.items()}
    report.save("policies", {"taxes": numbers, "indexes": plans})
    read_whole = sorted(
        {
            f"{name}: {scan[1:]}"
            for name, of in plans.items()
            for scans in of.values()
            for scan in scans
            if scan[0] == "!"
        }
    )
    return f"Read from end to end under policies: {', '.join(read_whole)}" if read_whole else None


def show(taxes: Mapping[str, Mapping[str, Tax]], plans: Mapping[str, Mapping[str, list[str]]]) -> None:
    """The taxes, and the indexes of each statement."""
    columns = ["µs, medians", "no policies", "tenant", "ratio", "statements alone", "tenant", "ratio"]
    for way, found in taxes.items():
        rows = [
            [
                name,
                f"{tax.owner_us:.0f}",
                f"{tax.tenant_us:.0f}",
                f"{tax.ratio:.2f}",
                f"{tax.owner_statements_us:.0f}",
                f"{tax.tenant_statements_us:.0f}",
                f"{tax.statements_ratio:.2f}",
            ]
            for name, tax in found.items()
        ]
        report.show(f"Row-level security, role and claims included: {way}", columns, rows)
    used = [[f"{name}: {statement}", ", ".join(found)] for name, of in plans.items() for statement, found in of.items()]
    report.show("Indexes under policies", ["", "indexes"], used)


if __name__ == "__main__":
    main()
