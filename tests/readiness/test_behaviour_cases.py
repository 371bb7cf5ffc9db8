"""Cases of the checks about policies and exposure, and our own schema, in which none of them finds anything."""

from __future__ import annotations

import pytest
from tests.factories.looks import look, run

from trunkline.models import Base
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.checks import all_checks
from trunkline.readiness.evidence.behaviour import observe
from trunkline.readiness.evidence.data.values import DataEvidence
from trunkline.readiness.evidence.operations import Activity
from trunkline.readiness.evidence.statements import StatementEvidence
from trunkline.readiness.example import example_target
from trunkline.readiness.target import Target, target_of

MINE = [check for check in all_checks() if check.code[:3] in ("RLS", "EXP")]
CASES = [
    pytest.param(check, case, id=f"{check.code} {kind} {number}")
    for check in MINE
    for kind, cases in (("bad", check.bad), ("good", check.good))
    for number, case in enumerate(cases)
]
SUPABASE = """
do $$ declare name text; begin
  foreach name in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = name) then execute format('create role %I', name); end if;
  end loop;
end $$;
create schema auth;
create table auth.users (id uuid primary key default gen_random_uuid(), email text unique);
create function auth.uid() returns uuid language sql stable
  as $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
create function auth.jwt() returns jsonb language sql stable
  as $$ select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb, '{}'::jsonb) $$;
create function auth.role() returns text language sql stable
  as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;
grant usage on schema auth to anon, authenticated, service_role;
"""


def evidence_of(url: str, target: Target, *, deep: bool = False) -> Evidence:
    """What the checks of this file read; what they don't read is empty."""
    with look(url, target) as seen:
        behaviour = observe(seen.connection, seen.catalogue, seen.target, seen.matching, deep=deep, note=seen.note)
        return Evidence(
            catalogue=seen.catalogue,
            target=seen.target,
            matching=seen.matching,
            data=DataEvidence(bad=(), sampled=()),
            behaviour=behaviour,
            statements=StatementEvidence(prepared=()),
            activity=Activity((), 0, (), 1, None),
            not_checked=seen.note,
        )


@pytest.mark.parametrize(("check", "case"), CASES)
def test_a_check_finds_what_its_case_says(check: Check, case: Case, empty_url: str) -> None:
    run(empty_url, SUPABASE + case.sql)
    evidence = evidence_of(empty_url, example_target())
    found = list(check.find(evidence if case.as_if is None else case.as_if(evidence)))
    assert {each.object for each in found} == set(case.finds), found
    assert {each.code for each in found} <= {check.code}


def test_our_own_fresh_schema_is_as_declared_when_its_policies_are_run(owner_url: str) -> None:
    evidence = evidence_of(owner_url, target_of(Base.metadata, name="Trunkline"))
    assert [each.observation for each in evidence.behaviour.tried if not each.is_expected] == []
    assert [finding for check in MINE for finding in check.find(evidence)] == []
    assert evidence.not_checked == []
