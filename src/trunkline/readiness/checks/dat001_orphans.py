"""DAT001: rows that point to a parent which isn't there."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import key_name
from trunkline.readiness.report import Finding

_LOOSE = CLEAN + "alter table orders drop constraint orders_shop_id_fkey;"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each foreign key of the target that rows break."""
    for bad in evidence.data.bad:
        if bad.fault != "orphan":
            continue
        table = bad.relation.sql
        yield Finding(
            code=CHECK.code,
            severity="major",
            component="data",
            object=key_name(bad.relation, bad.columns),
            evidence=f"{bad.relation}: {bad.told} break {bad.rule}; missing parents: {bad.samples_told}.",
            impact="Code that expects the parent fails on these rows, and the foreign key can't be validated.",
            remedy=(
                f"-- Look at them: select * from {table} as t where {bad.where};\n"
                f"-- then give them a parent, or: delete from {table} as t where {bad.where};"
            ),
        )


CHECK = Check(
    code="DAT001",
    title="Orphans",
    component="data",
    severity="major",
    about="""
Rows whose foreign key, as the models declare it, finds no parent. It happens where a foreign key was never made, was
made `NOT VALID`, or where triggers were off while rows were deleted. A validated foreign key is believed.

The code runs with orphans until it meets one: a message whose session is gone belongs to nobody, so no policy shows it
and nobody can erase it. The migration can't validate its foreign keys before they are gone, and `complete` refuses.

Give the rows a parent, or delete them. Large tables are sampled: few orphans among many rows show only with `--deep`.
Ignore it only for columns that don't point anywhere any more.
""",
    find=find,
    bad=(
        Case(
            _LOOSE + "insert into orders (shop_id, status) values (gen_random_uuid(), 'open');",
            finds=("orders.shop_id",),
        ),
        Case(
            """create table stores (id bigint primary key, owner_id uuid, name text);
            create table orders (id bigint primary key, shop_id text, status text);
            insert into stores values (1, gen_random_uuid(), 'a');
            insert into orders values (1, '1', 'open'), (2, '2', 'open');""",
            finds=("orders.shop_id",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            _LOOSE
            + """insert into shops (id, owner_id, name)
            values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a');
            insert into orders (shop_id) values ('00000000-0000-0000-0000-000000000001');"""
        ),
        Case(
            """create table stores (id bigint primary key, owner_id uuid, name text);
            create table orders (id bigint primary key, shop_id bigint, status text);
            insert into orders values (1, null, 'open');"""
        ),
    ),
)
