"""Every check is held to its own cases, on a real database: the bad ones are found, the near misses are not."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import psycopg
import pytest
from psycopg import sql
from tests.factories.supabase import make_supabase

from trunkline.db.urls import with_database
from trunkline.readiness import checks
from trunkline.readiness.check import Case, Check
from trunkline.readiness.checks import all_checks
from trunkline.readiness.example import example_target
from trunkline.readiness.report import SECTIONS
from trunkline.readiness.runner import look

TARGET = example_target()
KEYS = {component.key for component in TARGET.components} | set(SECTIONS)
OUR_KEYS = {
    "architecture",
    "table_names",
    "session_fields",
    "message_fields",
    "agent_fields",
    "rls_policies",
    "indexes",
}

CASES = [
    pytest.param(check, case, id=f"{check.code}-{kind}-{number}")
    for check in all_checks()
    for kind, cases in (("bad", check.bad), ("good", check.good))
    for number, case in enumerate(cases, start=1)
]


@pytest.fixture(scope="session")
def empty_supabase(admin_url: str) -> Iterator[str]:
    """Name of a database with nothing but what Supabase has, to be cloned."""
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        with psycopg.connect(with_database(admin_url, name), autocommit=True) as inside:
            make_supabase(inside)
        yield name
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def supabase_url(admin_url: str, empty_supabase: str) -> Iterator[str]:
    """The owner's URL of a fresh clone. Roles that the test makes end with it, if they are named `case_…`."""
    name = f"trunkline_test_{secrets.token_hex(6)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        clone = sql.SQL("create database {} template {}")
        connection.execute(clone.format(sql.Identifier(name), sql.Identifier(empty_supabase)))
        yield with_database(admin_url, name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        roles = connection.execute("select rolname from pg_roles where rolname like 'case\\_%'").fetchall()
        for (role,) in roles:
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


@pytest.mark.parametrize(("check", "case"), CASES)
def test_a_check_finds_what_its_case_says_and_nothing_else(supabase_url: str, check: Check, case: Case) -> None:
    with psycopg.connect(supabase_url, autocommit=True) as owner:
        owner.execute(case.sql.encode())
    statements = [(f"statement {number}", each) for number, each in enumerate(check.statements, start=1)]
    evidence = look(supabase_url, TARGET, [check], statements=statements)
    findings = list(check.find(case.as_if(evidence) if case.as_if else evidence))
    assert {finding.object for finding in findings} == set(case.finds)
    assert {finding.code for finding in findings} <= {check.code}
    assert {finding.component for finding in findings} <= KEYS
    for finding in findings:
        assert all((finding.evidence, finding.impact, finding.remedy)), finding


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
def test_a_check_is_documented(check: Check) -> None:
    assert len(check.about.split()) >= 20
    assert check.title
    assert not check.title.endswith(".")
    assert check.component in KEYS | OUR_KEYS
    assert check.bad
    assert all(case.finds for case in check.bad)
    assert check.good
    assert not any(case.finds for case in check.good)


def test_a_check_s_file_is_named_for_its_code() -> None:
    modules = [each.name for each in iter_modules(checks.__path__)]
    assert modules
    for module in modules:
        code = import_module(f"{checks.__name__}.{module}").CHECK.code
        assert re.fullmatch(r"[A-Z]{3}\d{3}", code)
        assert module.startswith(f"{code.lower()}_")


def test_codes_are_unique_and_no_lint_is_covered_twice() -> None:
    codes = Counter(check.code for check in all_checks())
    covered = Counter(lint for check in all_checks() for lint in check.covers)
    assert [code for code, count in codes.items() if count > 1] == []
    assert [lint for lint, count in covered.items() if count > 1] == []
