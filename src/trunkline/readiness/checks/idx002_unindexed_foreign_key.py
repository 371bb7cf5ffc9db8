"""IDX002: no index is under a foreign key."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Constraint, Relation
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import concurrently, key_name, names, own_tables, where_of
from trunkline.readiness.report import Finding
from trunkline.readiness.serving import serving_key


def find(evidence: Evidence) -> Iterator[Finding]:
    """Foreign keys of all tables; two keys over the same columns are told once."""
    for relation in own_tables(evidence):
        told: set[tuple[str, ...]] = set()
        for key in relation.constraints:
            if key.kind != "foreign key" or key.references is None or key.columns in told:
                continue
            if serving_key(relation, key, evidence.catalogue.relations.get(key.references)) is None:
                told.add(key.columns)
                yield _finding(evidence, relation, key)


def _finding(evidence: Evidence, relation: Relation, key: Constraint) -> Finding:
    return Finding(
        code=CHECK.code,
        severity="major" if evidence.matching.of(relation) else "minor",
        component=where_of(evidence, relation),
        object=key_name(relation.name, key.columns),
        evidence=f"No index of {relation.name} begins with ({', '.join(key.columns)}), the foreign key {key.name}.",
        impact=f"Finding the rows under one of {key.references}, and deleting one, reads all of {relation.name}.",
        remedy=f"create index {concurrently(relation)}on {relation.name.sql} ({names(key.columns)});",
    )


CHECK = Check(
    code="IDX002",
    title="Foreign key without an index",
    component="indexes",
    severity="major",
    about="""
PostgreSQL makes no index under a foreign key. Without one, each deletion of a parent and each look for its children
reads the whole table. Tables that the target doesn't know are looked at too, as minor.

An index serves if it begins, in any order, with the columns that point at the parent's primary key. Of a key such as
`(organization_id, agent_id)` it is `agent_id` that must be there: an index on `organization_id` alone leads to all rows
of an organization. A partial index over the rows that are NOT NULL serves.

Ignore it for small tables whose parents are never deleted.
""",
    find=find,
    bad=(
        Case(CLEAN + "drop index orders_shop_id_created_at_idx;", finds=("orders.shop_id",)),
        Case(
            CLEAN + "create table parcels (id int primary key, order_id uuid references orders);",
            finds=("parcels.order_id",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            CLEAN + "create table parcels (id int primary key, order_id uuid references orders);"
            "create index on parcels (order_id) where order_id is not null;"
        ),
        Case(
            CLEAN + "alter table orders add unique (shop_id, id);"
            "create table parcels (id int primary key, shop_id uuid, order_id uuid,"
            " foreign key (shop_id, order_id) references orders (shop_id, id)); create index on parcels (order_id);"
        ),
    ),
    covers=("splinter 0001_unindexed_foreign_keys",),
)
