"""OPS009: tables that are full of dead rows."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding
from trunkline.readiness.told import size

_FEWEST = 100_000
_SHARE = 1 / 3


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each table, partitions for themselves."""
    for relation in evidence.catalogue.own_relations():
        dead, rows = relation.dead_rows, relation.rows
        if dead < _FEWEST or dead < _SHARE * (dead + rows):
            continue
        yield Finding(
            code=CHECK.code,
            severity="minor",
            component="operations",
            object=str(relation.name),
            evidence=f"About {dead:,} dead rows beside {rows:,} live ones, in {size(relation.size_bytes)}.",
            impact="Each scan reads the dead rows too, and a rewrite or backfill of the table takes longer.",
            remedy=f"vacuum (analyze) {relation.name.sql};",
        )


_WITHOUT_VACUUM = "create table shops (id int, name text) with (autovacuum_enabled = off);"
_FLUSH = "select pg_stat_force_next_flush();"

CHECK = Check(
    code="OPS009",
    title="Table full of dead rows",
    component="operations",
    severity="minor",
    about="""
At least a third of a table's rows, and 100,000, are dead by the server's statistics: versions that updates and
deletes left behind, and that vacuum has not cleaned away. Scans read them, indexes point to them, caches hold them.

`vacuum` makes their room usable again; `vacuum full` or pg_repack gives it back to the disk. If they come back, look
for long transactions (OPS003), and make autovacuum come earlier for this table (`autovacuum_vacuum_scale_factor`). The
number is an estimate of the server's: pages that are half empty without dead rows aren't seen.
""",
    find=find,
    bad=(
        Case(
            _WITHOUT_VACUUM
            + "insert into shops select n, 'a' from generate_series(1, 150000) n; delete from shops where id > 10;"
            + _FLUSH,
            finds=("shops",),
        ),
    ),
    good=(
        Case(_WITHOUT_VACUUM + "insert into shops select n, 'a' from generate_series(1, 1000) n; delete from shops;"),
        Case(_WITHOUT_VACUUM + "insert into shops select n, 'a' from generate_series(1, 150000) n;" + _FLUSH),
    ),
    covers=("splinter 0020_table_bloat",),
)
