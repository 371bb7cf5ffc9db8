"""EXP016: a foreign key points to a column of `auth` that is no primary key."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.find import key_name, own_tables
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Foreign keys to other unique columns of tables in `auth`."""
    for relation in own_tables(evidence):
        for key in relation.constraints:
            parent = evidence.catalogue.relations.get(key.references) if key.references is not None else None
            if parent is None or parent.name.schema != "auth" or key.referenced_columns == parent.primary_key:
                continue
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=key_name(relation.name, key.columns),
                evidence=f"{key.name} references {parent.name} ({', '.join(key.referenced_columns)}).",
                impact="Supabase may drop that unique constraint in an update of its own, and the update then fails.",
                remedy=f"alter table {relation.name.sql} drop constraint {quote(key.name)};"
                f"  -- and reference {parent.name} ({', '.join(parent.primary_key)}) instead",
            )


CHECK = Check(
    code="EXP016",
    title="Foreign key to a changing column of auth",
    component="exposure",
    severity="minor",
    about="""
Only the primary keys of Supabase's `auth` tables are kept for sure. A foreign key to another unique column, as
`auth.users (email)`, holds its constraint fast and blocks Supabase's own migrations.
""",
    find=find,
    bad=(
        Case(
            "create table subscribers (id int, email text references auth.users (email));",
            finds=("subscribers.email",),
        ),
    ),
    good=(Case("create table subscribers (id int, user_id uuid references auth.users);"),),
    covers=("splinter 0021_fkey_to_auth_unique",),
)
