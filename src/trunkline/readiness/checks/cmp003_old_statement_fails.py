"""CMP003: statements of the old application that fail already."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.report import Finding
from trunkline.readiness.told import failures

_OLD_VIEW = CLEAN + "create view stores with (security_invoker) as select {} from shops;"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each former name that is gone, or doesn't take what the old application sends."""
    old = [each for each in evidence.statements.prepared if each.origin == "old application"]
    for name, group in groupby(old, key=lambda each: each.table):
        mine = list(group)
        failing = [each for each in mine if each.error is not None]
        if failing:
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="compatibility",
                object=str(name),
                evidence=failures(failing, len(mine)),
                impact="The old application fails where it uses this name: the database is half-way between both.",
                remedy=(
                    "trunkline migrate status URL\n"
                    "-- tells whether a migration has stopped half-way; start it again, or roll it back. Where it was\n"
                    "-- done by hand: put a view of plain columns (security_invoker) under the old name."
                ),
            )


CHECK = Check(
    code="CMP003",
    title="Statements of the old application fail",
    component="compatibility",
    severity="major",
    about="""
While a database goes from old names to new ones, both applications work on it, the old one through views under the old
names. Where at least one former name of a table is still there, there is an old application; the statements that it
sends are composed from the columns under these names, and prepared.

Two things make them fail: some tables have their new name and left nothing under the old one, or the view there is of a
kind that nobody can write through (with DISTINCT, GROUP BY, joins or expressions). A migration by hand that stopped
half-way looks like this.

Ignore it when the old application is switched off, and drop the views under the old names.
""",
    find=find,
    bad=(Case(_OLD_VIEW.format("distinct id, owner_id, name"), finds=("stores",)),),
    good=(
        Case(CLEAN),
        Case(_OLD_VIEW.format("id, owner_id, name")),
        Case(CLEAN + "alter table shops rename to stores;"),
    ),
)
