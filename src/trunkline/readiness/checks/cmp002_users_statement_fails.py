"""CMP002: statements of a user's file that would fail now."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.statements import Prepared
from trunkline.readiness.example import CLEAN
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each thing that statements trip over; statements that the server can't read stand for themselves."""
    failing: dict[str, list[Prepared]] = {}
    for each in evidence.statements.prepared:
        if each.origin == "file" and each.error is not None:
            failing.setdefault(each.object or each.label, []).append(each)
    for name, statements in failing.items():
        first = statements[0]
        yield Finding(
            code=CHECK.code,
            severity="blocker",
            component="compatibility",
            object=name,
            evidence=f"{', '.join(each.label for each in statements)}: {first.error} ({first.sqlstate}).",
            impact="Whatever sends this statement fails, each time.",
            remedy=(
                f"-- Change the statement, or what it asks for:\n{first.sql}"
                if len(statements) == 1
                else f"-- Change the {len(statements)} statements, or what they ask for; the first is:\n{first.sql}"
            ),
        )


CHECK = Check(
    code="CMP002",
    title="A statement of yours fails",
    component="compatibility",
    severity="blocker",
    about="""
With `--sql FILE` each statement of a file of your own is prepared by the server and never run: the queries of a report,
of a backend in another language, of a dashboard. Parameters may be `$1`, `:name`, `%s` or `%(name)s`; tables without a
schema are found by the search path that the connecting role has.

What fails names a table, column or function that isn't there, compares types that don't compare, or is no SQL. One
finding stands for all statements that trip over the same thing. Statements other than SELECT, INSERT, UPDATE, DELETE,
MERGE and VALUES can't be prepared: they are listed as not checked.
""",
    find=find,
    bad=(
        Case("create table shops (id uuid primary key);", finds=("orders",)),
        Case("create table shops (id uuid primary key); create table orders (id uuid);", finds=("currency",)),
    ),
    good=(Case(CLEAN),),
    statements=("select id from shops where id = $1", "select currency from orders"),
)
