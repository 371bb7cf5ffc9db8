"""DAT006: rows that this analysis could not see."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.report import Finding

_ONE_SHOP = CLEAN + "insert into shops (owner_id, name) values (gen_random_uuid(), 'a'); analyze;"
_AS_AUTHENTICATED = (
    "grant usage on schema public to authenticated;"
    "do $$ begin execute format('alter database %I set role = %L', current_database(), 'authenticated'); end $$;"
)


def find(evidence: Evidence) -> Iterator[Finding]:
    """Tables under row-level security for the connected role, where statistics say that there are rows."""
    user = evidence.catalogue.server.user
    for hidden in evidence.data.hidden:
        if not hidden.estimated_rows:
            continue
        sees = "only some" if hidden.sees_some else "0"
        yield Finding(
            code=CHECK.code,
            severity="info",
            component="data",
            object=str(hidden.relation),
            evidence=(
                f"{user} sees {sees} rows of {hidden.relation} because of RLS;"
                f" statistics say that there are about {hidden.estimated_rows:,}."
            ),
            impact="What is wrong in these rows is not known, and what this role does to all rows does not reach them.",
            remedy="-- Run the analysis as a role with BYPASSRLS, or as a superuser.",
        )


CHECK = Check(
    code="DAT006",
    title="Rows hidden by row-level security",
    component="data",
    severity="info",
    about="""
Row-level security binds the role that this analysis connects as, and the server's statistics say that the table has
rows. They were not counted: a table that looks empty under a policy is not empty.

The same holds for everything else that this role does. Under *forced* row-level security even the owner of a table
fills nothing, dumps nothing and validates constraints over rows that it can't see, all without an error. Run analysis,
dump and migration as a role with BYPASSRLS. Ignore it where another run, as such a role, has looked.
""",
    find=find,
    bad=(Case(_ONE_SHOP + _AS_AUTHENTICATED, finds=("shops",)),),
    good=(
        Case(_ONE_SHOP),
        Case(CLEAN + "analyze;" + _AS_AUTHENTICATED),
    ),
)
