"""DAT004: rows that share a key which the code takes to be unique."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.data import BadRows
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import key_name
from trunkline.readiness.report import Finding

_ANY = CLEAN + "alter table shops drop constraint shops_owner_id_name_key;"
_SHOP = "insert into shops (owner_id, name) values ('00000000-0000-0000-0000-000000000001', '{}');"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each unique key of the target that rows share."""
    for bad in evidence.data.bad:
        if bad.fault == "duplicate":
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="data",
                object=key_name(bad.relation, bad.columns),
                evidence=(
                    f"{bad.relation}: {bad.told} share their key with another, against {bad.rule};"
                    f" e.g. {bad.samples_told}."
                ),
                impact="Code that asks for the one row of a key gets several, and the unique index can't be made.",
                remedy=_remedy(bad),
            )


def _remedy(bad: BadRows) -> str:
    columns = ", ".join(each if "(" in each else quote(each) for each in bad.columns)
    return (
        f"-- Look at them: select {columns}, count(*) from {bad.relation.sql} group by {columns} having count(*) > 1;\n"
        "-- then merge them, rename all but one, or delete all but one."
    )


CHECK = Check(
    code="DAT004",
    title="Duplicates",
    component="data",
    severity="major",
    about="""
Rows that share a key which the models declare unique, or a primary key that the database doesn't have. A unique index
of the database over the same columns, or some of them, is believed.

The code asks for the one row of a key and gets several, upserts fail for want of the index, and the migration can't
make it. Merge the rows, or rename or delete all but one of each: which one to keep only their owner knows.

In large tables some keys are looked up by an index, where there is one; `--deep` reads all.
""",
    find=find,
    bad=(
        Case(_ANY + _SHOP.format("a") + _SHOP.format("a"), finds=("shops (owner_id, name)",)),
        Case(
            """create table shops (id uuid, owner_id uuid, name text);
            insert into shops select '00000000-0000-0000-0000-000000000001', null, 'a' from generate_series(1, 3);""",
            finds=("shops.id",),
        ),
    ),
    good=(
        Case(_ANY + _SHOP.format("a") + _SHOP.format("b")),
        Case(
            """create table shops (id uuid primary key, owner_id uuid, name text);
            insert into shops select gen_random_uuid(), null, 'a' from generate_series(1, 3);"""
        ),
    ),
)
