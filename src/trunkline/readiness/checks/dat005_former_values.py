"""DAT005: values that are written otherwise than the code writes them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.data import BadRows
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import MIGRATE, key_name
from trunkline.readiness.report import Finding

_FREE = (
    CLEAN
    + """alter table orders drop constraint orders_status_check;
insert into shops (id, owner_id, name) values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a');
"""
)
_ORDER = "insert into orders (shop_id, status) values ('00000000-0000-0000-0000-000000000001', '{}');"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each column that holds former values."""
    former = [each for each in evidence.data.bad if each.fault == "mapped value"]
    for name, group in groupby(former, key=lambda each: key_name(each.relation, each.columns)):
        rows = list(group)
        yield Finding(
            code=CHECK.code,
            severity="major",
            component="data",
            object=name,
            evidence="; ".join(f"{each.rule}: {each.told}" for each in rows) + ".",
            impact="The code doesn't know these values: such rows are left out, or taken for something else.",
            remedy="\n".join([MIGRATE, "-- or, once no old application writes them:", *map(_update, rows)]),
        )


def _update(bad: BadRows) -> str:
    value = bad.rule.partition(" → ")[2]
    column = bad.where.partition(" = ")[0].removeprefix("t.")
    text = value.replace("'", "''")
    return f"update {bad.relation.sql} as t set {column} = '{text}' where {bad.where};"


CHECK = Check(
    code="DAT005",
    title="Values written otherwise",
    component="data",
    severity="major",
    about="""
A column holds values under a name that they had earlier (`info={"formerly_values": {"model": "assistant"}}` in the
model), as messages of the assistant whose role is `model`. What they mean is known, so no decision is needed; but the
code compares with the new value only.

The migration keeps both spellings in step for as long as the old application runs, and the old one in its archive. By
hand, an `update` does it once nothing writes the old value any more.
""",
    find=find,
    bad=(
        Case(_FREE + _ORDER.format("new"), finds=("orders.status",)),
        Case(
            """create type state as enum ('open', 'new');
            create table orders (id uuid primary key, status state);
            insert into orders values (gen_random_uuid(), 'new');""",
            finds=("orders.status",),
        ),
    ),
    good=(
        Case(_FREE + _ORDER.format("open")),
        Case(_FREE + _ORDER.format("NEW")),
    ),
)
