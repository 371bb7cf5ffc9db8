"""Tenant rows are reached, and requests to others leave, through one guarded place each.

Database policies and address checks hold whatever the code does; this is the ring before them. It reads the source:
a module outside the guarded place that imports or calls what would go around it is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "trunkline"


@dataclass(frozen=True)
class Gate:
    """What only some parts of the package may do. Names are dotted, and stand for all below them too."""

    allowed: frozenset[str]
    """Parts of the package (`db` is trunkline/db/ or trunkline/db.py) that may."""
    imports: frozenset[str] = frozenset()
    """Nobody else imports these …"""
    but: frozenset[str] = frozenset()
    """… save these below them."""
    calls: frozenset[str] = frozenset()
    """Nobody else calls these; they may be named, as types."""


GATES = {
    "only the tenant session reaches rows": Gate(
        allowed=frozenset({"db", "postgres", "migration", "readiness"}),
        imports=frozenset(
            {
                "asyncpg",
                "psycopg",
                "psycopg_pool",
                "sqlalchemy.create_engine",
                "sqlalchemy.create_pool_from_url",
                "sqlalchemy.engine",
                "sqlalchemy.engine_from_config",
                "sqlalchemy.ext.asyncio",
                "sqlalchemy.orm.Session",
                "sqlalchemy.orm.sessionmaker",
                "sqlalchemy.pool",
            }
        ),
        but=frozenset({"psycopg.errors", "sqlalchemy.engine.Result", "sqlalchemy.engine.CursorResult"}),
    ),
    "only the guarded client sends requests": Gate(
        allowed=frozenset({"outgoing"}),
        imports=frozenset(
            {"aiohttp", "http.client", "httpcore", "httpcore2", "httpx", "requests", "urllib.request", "urllib3"}
        ),
        calls=frozenset(
            {
                "httpx2.AsyncClient",
                "httpx2.AsyncHTTPTransport",
                "httpx2.Client",
                "httpx2.HTTPTransport",
                "httpx2.delete",
                "httpx2.get",
                "httpx2.head",
                "httpx2.options",
                "httpx2.patch",
                "httpx2.post",
                "httpx2.put",
                "httpx2.request",
                "httpx2.stream",
            }
        ),
    ),
}


def covers(names: frozenset[str], name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in names)


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(local name, full dotted name) of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def dotted(node: ast.expr) -> str | None:
    """`a.b.c` as written, None for anything that isn't a plain dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return None


def references(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """(full dotted name, whether it is called) of what a module takes from its imports."""
    names: dict[str, str] = {}
    for local, full in imported(tree):
        yield full, False
        names[local] = local if full.startswith(f"{local}.") else full
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and (written := dotted(node)):
            first, _, rest = written.partition(".")
            if first in names:
                yield f"{names[first]}.{rest}".rstrip("."), id(node) in called


def violations(gate: Gate, source: str) -> set[str]:
    """Names by which `source`, were it outside the gate, would go around it."""
    return {
        name
        for name, called in references(ast.parse(source))
        if (covers(gate.imports, name) and not covers(gate.but, name)) or (called and name in gate.calls)
    }


def all_violations(source: str) -> set[str]:
    return {name for gate in GATES.values() for name in violations(gate, source)}


@pytest.mark.parametrize("rule", GATES)
def test_nobody_goes_around(rule: str) -> None:
    gate = GATES[rule]
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in gate.allowed
        for name in violations(gate, path.read_text())
    }
    assert not found, f"{rule}; these would go around it: {', '.join(sorted(found))}"


@pytest.mark.parametrize("rule", GATES)
def test_the_guarded_places_do_what_others_may_not(rule: str) -> None:
    """Were the rule blind, it would find nothing in the very places that it permits."""
    gate = GATES[rule]
    sources = [path for part in gate.allowed for path in [PACKAGE / f"{part}.py", *(PACKAGE / part).rglob("*.py")]]
    assert any(violations(gate, path.read_text()) for path in sources if path.exists())


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from sqlalchemy import create_engine as make", "sqlalchemy.create_engine"),
        ("import sqlalchemy as sa\nsa.create_engine('')", "sqlalchemy.create_engine"),
        ("from sqlalchemy.ext import asyncio\nasyncio.create_async_engine('')", "sqlalchemy.ext.asyncio"),
        ("from sqlalchemy.ext.asyncio import AsyncConnection", "sqlalchemy.ext.asyncio.AsyncConnection"),
        ("def later():\n    import psycopg", "psycopg"),
        ("import psycopg.rows", "psycopg.rows"),
        ("import httpx2\nhttpx2.AsyncClient()", "httpx2.AsyncClient"),
        ("from httpx2 import AsyncClient as Browser\nBrowser()", "httpx2.AsyncClient"),
        ("import urllib.request", "urllib.request"),
        ("from urllib import request", "urllib.request"),
        ("import requests", "requests"),
    ],
)
def test_a_way_around_is_seen(source: str, name: str) -> None:
    assert name in all_violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "from psycopg.errors import UniqueViolation",
        "from sqlalchemy import select, text",
        "from urllib.parse import urlsplit",
        "import httpx2\ndef wait(client: httpx2.AsyncClient) -> None:\n    raise httpx2.ReadTimeout('')",
    ],
)
def test_what_is_harmless_passes(source: str) -> None:
    assert not all_violations(source)
