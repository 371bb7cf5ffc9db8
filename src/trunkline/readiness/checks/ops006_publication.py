"""OPS006: publications that name tables which a migration renames."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import tables
from trunkline.readiness.report import Finding

_RENAMED = CLEAN + "alter table shops rename to stores;"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each publication."""
    renamed = [relation.name for match, relation in tables(evidence) if match.how == "renamed"]
    for publication in evidence.catalogue.publications:
        concerned = [name for name in renamed if publication.all_tables or name in publication.tables]
        if concerned:
            yield Finding(
                code=CHECK.code,
                severity="major",
                component="operations",
                object=f"publication {publication.name}",
                evidence=f"It publishes {', '.join(map(str, concerned))}, which get new names.",
                impact="Subscribers look for the name that is sent: from the renaming on they stop, or see no changes.",
                remedy=(
                    "-- Give the subscribers tables under the new names, or have them read the new ones, before:\n"
                    "trunkline migrate plan URL"
                ),
            )


CHECK = Check(
    code="OPS006",
    title="A publication has tables that will be renamed",
    component="operations",
    severity="major",
    about="""
A publication of logical replication follows a table through its renaming, and sends the new name from then on. A
subscriber (another database, a change-data tool, `supabase_realtime` with its clients) knows the table by the old name:
it stops with an error, or its clients hear nothing more. Views under the old names are not published.

Prepare the subscribers for the new names before the migration renames tables. Ignore it where nobody subscribes.
""",
    find=find,
    bad=(
        Case(_RENAMED + "create publication feed for table stores;", finds=("publication feed",)),
        Case(_RENAMED + "create publication everything for all tables;", finds=("publication everything",)),
    ),
    good=(
        Case(CLEAN + "create publication feed for table shops;"),
        Case(_RENAMED + "create publication feed for table orders;"),
    ),
)
