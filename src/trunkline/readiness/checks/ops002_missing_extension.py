"""OPS002: an extension that the code's types come from, and that the server doesn't have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding
from trunkline.readiness.target import Target

_EXTENSIONS = {
    "vector": "vector",
    "halfvec": "vector",
    "sparsevec": "vector",
    "citext": "citext",
    "hstore": "hstore",
    "ltree": "ltree",
    "cube": "cube",
    "geometry": "postgis",
    "geography": "postgis",
}
"""The extension that a type comes from."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each extension that is neither there nor to be had."""
    catalogue = evidence.catalogue
    for extension, columns in _needed(evidence.target).items():
        if extension in catalogue.extensions or extension in catalogue.server.available_extensions:
            continue
        yield Finding(
            code=CHECK.code,
            severity="blocker",
            component="operations",
            object=f"extension {extension}",
            evidence=f"The server has no extension {extension}; the code needs it for {', '.join(columns)}.",
            impact=f"Tables with {', '.join(columns)} can't be made, and all that uses them fails.",
            remedy=f"-- Have it installed on the server's machine, then: create extension {extension};",
        )


def _needed(target: Target) -> dict[str, list[str]]:
    """Columns by the extension of their types."""
    needed: dict[str, list[str]] = {}
    for table in target.tables.values():
        for column in table.columns.values():
            name = column.type.partition("(")[0].removesuffix("[]").rpartition(".")[2]
            if name in _EXTENSIONS:
                needed.setdefault(_EXTENSIONS[name], []).append(f"{table.name}.{column.name}")
    return needed


def _wants_vector(evidence: Evidence) -> Evidence:
    """The example's target with a column of type vector."""
    name, orders = next((name, table) for name, table in evidence.target.tables.items() if name.name == "orders")
    note = replace(orders.columns["note"], type="vector(3)")
    wanted = replace(orders, columns={**orders.columns, "note": note})
    return replace(evidence, target=replace(evidence.target, tables={**evidence.target.tables, name: wanted}))


def _has(evidence: Evidence, extensions: dict[str, str]) -> Evidence:
    server = replace(evidence.catalogue.server, available_extensions=extensions)
    return replace(evidence, catalogue=replace(evidence.catalogue, server=server, extensions={}))


CHECK = Check(
    code="OPS002",
    title="An extension is not to be had",
    component="operations",
    severity="blocker",
    about="""
A column of the models has a type of an extension (as `vector` of pgvector), and the server's machine doesn't have the
files of that extension: `create extension` would fail. Models without such types need none.

Install the extension's package on the server (`postgresql-18-pgvector` on Debian), or ask your host for it. Where the
files are there and only `create extension` is missing, the migration does it, and nothing is reported.
""",
    find=find,
    bad=(Case("", finds=("extension vector",), as_if=lambda evidence: _has(_wants_vector(evidence), {})),),
    good=(
        Case(""),
        Case("", as_if=lambda evidence: _has(evidence, {})),
        Case("", as_if=lambda evidence: _has(_wants_vector(evidence), {"vector": "0.8.0"})),
    ),
)
