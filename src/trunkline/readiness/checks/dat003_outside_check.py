"""DAT003: values that the code's rules don't allow."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import key_name
from trunkline.readiness.report import Finding

_FREE = (
    CLEAN
    + """alter table orders drop constraint orders_status_check;
insert into shops (id, owner_id, name) values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a');
"""
)
_ORDER = "insert into orders (shop_id, status) values ('00000000-0000-0000-0000-000000000001', '{}');"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each CHECK of the target that rows break."""
    for bad in evidence.data.bad:
        if bad.fault == "outside check":
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="data",
                object=key_name(bad.relation, bad.columns),
                evidence=f"{bad.relation}: {bad.told} break {bad.rule}; e.g. {bad.samples_told}.",
                impact="Code that knows only the allowed values goes wrong here, and the CHECK can't be validated.",
                remedy=(
                    f"-- Look at them: select * from {bad.relation.sql} as t where {bad.where};\n"
                    "-- then update them to allowed values, or delete them, or allow the value in the model's CHECK."
                ),
            )


CHECK = Check(
    code="DAT003",
    title="Values outside a CHECK",
    component="data",
    severity="major",
    about="""
Rows that break a CHECK of the models, or hold text longer than the models' column takes. The models' CHECK is run over
the rows as they are, under the names that the database has; values that are only written otherwise (`model` for
`assistant`) count in DAT005, not here.

The code meets values that it doesn't know, and the migration can't validate the constraint. Update the rows, or widen
the CHECK of the model. For lists of values the report shows the values found, for all else the keys of rows: texts are
nobody's business. Columns that the database doesn't have yet hold no bad value.
""",
    find=find,
    bad=(
        Case(_FREE + _ORDER.format("lost"), finds=("orders.status",)),
        Case(
            """create type state as enum ('open', 'lost');
            create table orders (id uuid primary key, status state);
            insert into orders values (gen_random_uuid(), 'lost');""",
            finds=("orders.status",),
        ),
    ),
    good=(
        Case(_FREE + _ORDER.format("paid")),
        Case(_FREE + _ORDER.format("new")),
        Case("create table orders (id uuid primary key); insert into orders values (gen_random_uuid());"),
    ),
)
