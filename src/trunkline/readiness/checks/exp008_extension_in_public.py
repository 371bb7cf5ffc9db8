"""EXP008: an extension is installed in `public`."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Extensions whose objects are in `public`."""
    for extension in evidence.catalogue.extensions.values():
        if extension.schema == "public":
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=f"extension {extension.name}",
                evidence=f"Its functions and types ({extension.version}) are in schema public.",
                impact="Its functions are offered to everybody by the API, and their names can clash with your own.",
                remedy="create schema if not exists extensions;\n"
                f"alter extension {quote(extension.name)} set schema extensions;"
                "  -- where it can be moved; check the search_path of those who use it",
            )


CHECK = Check(
    code="EXP008",
    title="Extension in public",
    component="exposure",
    severity="minor",
    about="""
`create extension` without a schema puts the extension's functions, operators and types into the first schema of the
search path, mostly `public`. There they are part of the API that PostgREST offers, and in the way of your own names.

Move it to a schema of its own. Some extensions can't be moved (`alter extension` says so); leave those.
""",
    find=find,
    bad=(Case("create extension pg_trgm schema public;", finds=("extension pg_trgm",)),),
    good=(Case("create schema extensions; create extension pg_trgm schema extensions;"),),
    covers=("splinter 0014_extension_in_public",),
)
