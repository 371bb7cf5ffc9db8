"""EXP009: an extension is older than what the server has ready."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.postgres.catalogue.model import quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """Extensions whose installed version isn't the server's default one."""
    for extension in evidence.catalogue.extensions.values():
        if extension.default_version not in (None, extension.version):
            yield Finding(
                code=CHECK.code,
                severity="minor",
                component="exposure",
                object=f"extension {extension.name}",
                evidence=f"Installed is {extension.version}; the server has {extension.default_version}.",
                impact="Fixes of the newer version, security fixes among them, are not in effect in this database.",
                remedy=f"alter extension {quote(extension.name)} update;",
            )


def _as_if_older(evidence: Evidence) -> Evidence:
    old = {
        name: replace(each, version="0.1") if name == "pg_trgm" else each
        for name, each in evidence.catalogue.extensions.items()
    }
    return replace(evidence, catalogue=replace(evidence.catalogue, extensions=old))


CHECK = Check(
    code="EXP009",
    title="Outdated extension",
    component="exposure",
    severity="minor",
    about="""
An update of the server's packages brings a newer version of an extension, and each database goes on with the objects of
the old one until `alter extension … update` is run in it. Read the extension's notes first: some updates rebuild
indexes.
""",
    find=find,
    bad=(
        Case(
            "create schema extensions; create extension pg_trgm schema extensions;",
            finds=("extension pg_trgm",),
            as_if=_as_if_older,
        ),
    ),
    good=(Case("create schema extensions; create extension pg_trgm schema extensions;"),),
    covers=("splinter 0022_extension_versions_outdated",),
)
