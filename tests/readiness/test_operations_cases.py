"""Cases of the checks about data, statements and operations, also those that no SQL can bring about."""

from __future__ import annotations

import pytest
from tests.factories.looks import look, run

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.checks import all_checks
from trunkline.readiness.evidence.behaviour import Behaviour
from trunkline.readiness.evidence.data import collect_data
from trunkline.readiness.evidence.operations import collect_activity
from trunkline.readiness.evidence.statements import collect_statements
from trunkline.readiness.example import example_target
from trunkline.readiness.report import Finding
from trunkline.readiness.target import Target

MINE = [check for check in all_checks() if check.code[:3] in ("DAT", "CMP", "OPS")]
CASES = [
    pytest.param(check, case, id=f"{check.code} {kind} {number}")
    for check in MINE
    for kind, cases in (("bad", check.bad), ("good", check.good))
    for number, case in enumerate(cases)
]
PRELUDE = """
do $$ declare name text; begin
  foreach name in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = name) then execute format('create role %I', name); end if;
  end loop;
end $$;
create schema auth;
create table auth.users (id uuid primary key);
create function auth.uid() returns uuid language sql stable as 'select null::uuid';
"""


def evidence_of(url: str, target: Target, statements: tuple[tuple[str, str], ...] = ()) -> Evidence:
    with look(url, target, path="public") as seen:
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        return Evidence(
            catalogue=seen.catalogue,
            target=seen.target,
            matching=seen.matching,
            data=collect_data(*parts, deep=False, note=seen.note),
            behaviour=Behaviour(tried=(), not_checked=()),
            statements=collect_statements(*parts, statements, seen.note),
            activity=collect_activity(seen.connection, seen.catalogue, seen.note),
            not_checked=seen.note,
        )


def findings(check: Check, case: Case, url: str) -> list[Finding]:
    statements = tuple((f"statement {number}", text) for number, text in enumerate(check.statements, 1))
    evidence = evidence_of(url, example_target(), statements)
    return list(check.find(evidence if case.as_if is None else case.as_if(evidence)))


@pytest.mark.parametrize(("check", "case"), CASES)
def test_a_check_finds_what_its_case_says(check: Check, case: Case, empty_url: str) -> None:
    run(empty_url, PRELUDE + case.sql)
    found = findings(check, case, empty_url)
    assert {each.object for each in found} == set(case.finds), found
    assert {each.code for each in found} <= {check.code}
    assert {each.component for each in found} <= {check.component}


def test_our_own_fresh_schema_gives_none_of_these_findings(owner_url: str) -> None:
    from trunkline.models import Base
    from trunkline.readiness.target import target_of

    evidence = evidence_of(owner_url, target_of(Base.metadata, name="Trunkline"))
    assert [finding for check in MINE for finding in check.find(evidence)] == []
    assert evidence.not_checked == []
