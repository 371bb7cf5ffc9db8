"""IDX004: an index is invalid."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import where_of
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Indexes of tables and materialized views, partitions too."""
    for relation in evidence.catalogue.own_relations():
        for index in relation.indexes:
            if index.is_valid:
                continue
            name = Name(relation.name.schema, index.name)
            parted = relation.kind == "partitioned table"
            yield Finding(
                code=CHECK.code,
                severity="major",
                component=where_of(evidence, relation),
                object=str(name),
                evidence=f"{name} on {relation.name} is invalid"
                + (
                    ": not every partition has its part of it."
                    if parted
                    else ": its making was broken off, or goes on."
                ),
                impact="No query uses it, and a unique one keeps out no duplicate of before; writes pay for it.",
                remedy=f"-- make it on each partition, then: alter index {name.sql} attach partition …;"
                if parted
                else f"reindex index concurrently {name.sql};  -- or: drop index concurrently {name.sql};",
            )


CHECK = Check(
    code="IDX004",
    title="Invalid index",
    component="indexes",
    severity="major",
    about="""
`create index concurrently` that fails (a duplicate, a cancelled session, a deadlock) leaves an index behind that is
kept up by every write and used by no query. The same state is normal while such a command runs: look again when it is
done. On a partitioned table an index is invalid until every partition has its part of it.
""",
    find=find,
    bad=(
        Case(
            "create table parcels (id int) partition by list (id);"
            "create table small partition of parcels for values in (1);"
            "create index halfway on only parcels (id);",
            finds=("halfway",),
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            "create table parcels (id int) partition by list (id);"
            "create table small partition of parcels for values in (1); create index on parcels (id);"
        ),
    ),
)
