"""EXP017: anybody can list all files of a storage bucket."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trunkline.postgres.catalogue.model import Name, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.expressions import is_always_true
from trunkline.readiness.reach import PUBLIC_ROLES
from trunkline.readiness.report import Finding

_OBJECTS = Name("storage", "objects")
_ONE_BUCKET = re.compile(r"\(*bucket_id = '[^']*'(?:::\w+)?\)*")


def find(evidence: Evidence) -> Iterator[Finding]:
    """Policies on `storage.objects` that let public roles read all rows, or all of a bucket."""
    objects = evidence.catalogue.relations.get(_OBJECTS)
    for policy in objects.policies if objects is not None else ():
        is_read = policy.command in ("select", "all") and policy.is_permissive
        is_wide = is_always_true(policy.using) or bool(_ONE_BUCKET.fullmatch(policy.using or ""))
        if is_read and is_wide and {"public", *PUBLIC_ROLES} & set(policy.roles):
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=f"{_OBJECTS} policy {quote(policy.name)}",
                evidence=f"To {', '.join(policy.roles)}: using ({policy.using}).",
                impact="Anybody can list the names of all files, those of other people among them.",
                remedy=f"drop policy {quote(policy.name)} on {_OBJECTS.sql};"
                "  -- files of public buckets are served by their address without it",
            )


CHECK = Check(
    code="EXP017",
    title="Storage bucket that anybody can list",
    component="exposure",
    severity="minor",
    about="""
On Supabase a file of a public bucket is served to whoever knows its address, without a policy. A SELECT policy on
`storage.objects` whose only condition is the bucket lets everybody *list* the bucket, and find what no link leads to.

Whether the bucket is public is not looked up. Ignore it for buckets that are meant to be browsed.
""",
    find=find,
    bad=(
        Case(
            "create schema storage; create table storage.objects (id int, bucket_id text, name text);"
            " alter table storage.objects enable row level security;"
            " create policy browse on storage.objects for select to anon using (bucket_id = 'avatars');",
            finds=("storage.objects policy browse",),
        ),
    ),
    good=(
        Case(
            "create schema storage; create table storage.objects (id int, bucket_id text, owner uuid);"
            " alter table storage.objects enable row level security; create policy own on storage.objects for select"
            " to authenticated using (bucket_id = 'avatars' and owner = (select auth.uid()));"
        ),
    ),
    covers=("splinter 0025_public_bucket_allows_listing",),
)
