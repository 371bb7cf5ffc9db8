"""EXP014: a column's type stands in the way of pg_upgrade."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.find import column_name, own_tables
from trunkline.readiness.report import Finding

_REFUSED = frozenset(
    (
        *("regcollation", "regconfig", "regdictionary", "regnamespace"),
        *("regoper", "regoperator", "regproc", "regprocedure"),
    )
)
"""Types that hold numbers of objects, which differ in the new cluster; `regclass`, `regrole`, `regtype` are allowed."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """Columns of one of these types, or arrays of it."""
    for relation in own_tables(evidence):
        for column in relation.columns.values():
            if column.base_type.removesuffix("[]") in _REFUSED:
                yield Finding(
                    code=CHECK.code,
                    severity="minor",
                    component="operations",
                    object=column_name(relation.name, column.name),
                    evidence=f"Its type is {column.type}.",
                    impact="pg_upgrade refuses the database: the server can't be brought to a newer major version.",
                    remedy=f"alter table {relation.name.sql} alter column {column.name} type text;",
                )


CHECK = Check(
    code="EXP014",
    title="Type that pg_upgrade refuses",
    component="operations",
    severity="minor",
    about="""
Columns of types like `regproc` or `regconfig` store the number of a catalogue entry. `pg_upgrade` gives entries new
numbers and therefore refuses databases that have such columns. Store the name as text, and cast where it is used.
""",
    find=find,
    bad=(Case("create table searches (id int, language regconfig);", finds=("searches.language",)),),
    good=(Case("create table searches (id int, origin regclass, language text);"),),
    covers=("splinter 0018_unsupported_reg_types",),
)
