"""Checks of tables, columns, keys and indexes: their remedies mend what they find; our own schema is without fault."""

from __future__ import annotations

import psycopg
import pytest
from tests.factories.looks import look, run

from trunkline.models import Base
from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.checks import all_checks
from trunkline.readiness.evidence.behaviour import Behaviour
from trunkline.readiness.evidence.data import DataEvidence
from trunkline.readiness.evidence.operations import Activity
from trunkline.readiness.evidence.statements import StatementEvidence
from trunkline.readiness.example import CLEAN, example_target
from trunkline.readiness.report import Finding
from trunkline.readiness.target import Target, target_of

STRUCTURE = [check for check in all_checks() if check.code[:3] in ("SCH", "IDX")]
BAD = [pytest.param(check, case, id=f"{check.code}-{n}") for check in STRUCTURE for n, case in enumerate(check.bad)]
PRELUDE = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'authenticated') then create role authenticated nologin; end if;
end $$;
create schema auth; create function auth.uid() returns uuid language sql stable as 'select null::uuid';
"""


def evidence_of(url: str, target: Target) -> Evidence:
    with look(url, target) as seen:
        return Evidence(
            catalogue=seen.catalogue,
            target=seen.target,
            matching=seen.matching,
            data=DataEvidence(bad=(), sampled=()),
            behaviour=Behaviour(tried=(), not_checked=()),
            statements=StatementEvidence(prepared=()),
            activity=Activity((), 0, (), 1, None),
        )


def find(check: Check, case: Case, url: str) -> list[Finding]:
    evidence = evidence_of(url, example_target())
    return list(check.find(evidence if case.as_if is None else case.as_if(evidence)))


@pytest.mark.parametrize(("check", "case"), BAD)
def test_a_fault_is_found_and_what_the_remedy_says_can_be_run_and_mends_it(
    check: Check, case: Case, empty_url: str
) -> None:
    run(empty_url, PRELUDE + case.sql)
    findings = find(check, case, empty_url)
    assert sorted(each.object for each in findings) == sorted(case.finds)
    assert all(each.code == check.code and each.evidence and each.impact for each in findings)
    for remedy in [each.remedy for each in findings if is_sql(each.remedy)]:
        with psycopg.connect(empty_url, autocommit=True) as connection:
            for statement in remedy.split(";\n"):
                connection.execute(statement.encode())
    if all(is_sql(each.remedy) for each in findings):
        assert find(check, case, empty_url) == []


def is_sql(remedy: str) -> bool:
    """Others name a command, or a decision that somebody must take."""
    return "trunkline migrate" not in remedy and "…" not in remedy


def test_our_fresh_schema_has_no_fault_of_structure(owner_url: str) -> None:
    evidence = evidence_of(owner_url, target_of(Base.metadata, name="Trunkline"))
    assert [finding for check in STRUCTURE for finding in check.find(evidence)] == []
    assert evidence.not_checked == []


def test_a_clean_database_has_no_fault_of_structure_on_any_major_version(any_url: str) -> None:
    run(any_url, PRELUDE + CLEAN)
    evidence = evidence_of(any_url, example_target())
    assert [finding for check in STRUCTURE for finding in check.find(evidence)] == []
    assert evidence.not_checked == []


def test_remedies_for_a_partitioned_table_are_those_that_it_takes(any_url: str) -> None:
    run(
        any_url,
        PRELUDE + "create table shops (id uuid primary key, owner_id uuid not null, name text not null);"
        "create table orders (id uuid, shop_id uuid not null, status text not null default 'open', note text,"
        " currency text, created_at timestamptz not null default now()) partition by hash (id);"
        "create table orders_0 partition of orders for values with (modulus 1, remainder 0);",
    )
    codes = [check for check in STRUCTURE if check.code in ("SCH008", "SCH009", "SCH010", "IDX001", "IDX002")]
    before = [each for check in codes for each in check.find(evidence_of(any_url, example_target()))]
    assert {"orders.shop_id", "orders (shop_id, created_at)", "orders.id", "orders.status"} <= {
        each.object for each in before
    }
    with psycopg.connect(any_url, autocommit=True) as connection:
        for finding in before:
            for statement in finding.remedy.split(";\n"):
                connection.execute(statement.encode())
    assert [each for check in codes for each in check.find(evidence_of(any_url, example_target()))] == []


def test_an_index_on_part_of_the_rows_serves_where_its_predicate_is_the_same(empty_url: str) -> None:
    from sqlalchemy import Column, Index, MetaData, String, Table, Text, Uuid, text

    metadata = MetaData()
    Table(
        "notes",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("body", Text, info={"formerly": ("text",)}),
        Column("state", String(16)),
        Index("of_some", "body", postgresql_where=text("state in ('open', 'paid') and body <> 'it''s text'")),
        Index("of_one", "state", unique=True, postgresql_where=text("state in ('open')")),
    )
    target = target_of(metadata, name="notes")
    codes = [check for check in STRUCTURE if check.code in ("IDX001", "SCH008")]
    run(empty_url, "create table notes (id uuid primary key, text text, state varchar(16));")
    findings = [each for check in codes for each in check.find(evidence_of(empty_url, target))]
    assert [each.object for each in findings] == ["notes.text", "notes.state"]
    with psycopg.connect(empty_url, autocommit=True) as connection:
        for finding in findings:
            connection.execute(finding.remedy.encode())
    assert [each for check in codes for each in check.find(evidence_of(empty_url, target))] == []
    run(empty_url, "drop index of_some; create index on notes (text) where state in ('open');")
    assert len([each for check in codes for each in check.find(evidence_of(empty_url, target))]) == 1


def test_what_the_server_writes_in_another_way_is_known_by_its_name(empty_url: str) -> None:
    from sqlalchemy import Column, Index, Integer, MetaData, Table, Text, Uuid, cast, column, text

    metadata = MetaData()
    Table(
        "notes",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("stars", Integer),
        Index("by_text", cast(column("stars"), Text), postgresql_where=text("stars between 1 and 5")),
    )
    target = target_of(metadata, name="notes")
    check = next(each for each in STRUCTURE if each.code == "IDX001")
    run(empty_url, ";".join(target.tables[Name("public", "notes")].statements))
    assert list(check.find(evidence_of(empty_url, target))) == []
    run(empty_url, "drop index by_text; create index by_text on notes (stars);")
    assert len(list(check.find(evidence_of(empty_url, target)))) == 1


def test_a_trigger_that_may_fill_a_column_leaves_it_undecided(empty_url: str) -> None:
    run(
        empty_url,
        PRELUDE + CLEAN + "alter table shops add column region text not null;"
        "alter table orders alter column created_at drop default;"
        "create function fill() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger filling before insert on shops for each row execute function fill();"
        "create trigger filling before insert on orders for each row execute function fill();",
    )
    evidence = evidence_of(empty_url, example_target())
    codes = [check for check in STRUCTURE if check.code in ("SCH007", "SCH012")]
    assert [finding for check in codes for finding in check.find(evidence)] == []
    assert [each.codes for each in evidence.not_checked] == [("SCH007",), ("SCH012",)]


def test_of_a_key_of_several_columns_those_that_are_there_are_asked_for(empty_url: str) -> None:
    target = target_of(Base.metadata, name="Trunkline")
    run(
        empty_url,
        "create table chat_sessions (id uuid primary key);"
        "create table chat_messages (id uuid primary key, session_id uuid);"
        "create table usage_logs (id uuid primary key, session_id uuid references chat_sessions on delete set null);",
    )
    check = next(each for each in STRUCTURE if each.code == "SCH009")
    findings = list(check.find(evidence_of(empty_url, target)))
    assert [each.object for each in findings] == ["chat_messages.session_id"]
    run(empty_url, findings[0].remedy)
    assert list(check.find(evidence_of(empty_url, target))) == []


def test_a_role_that_the_code_writes_and_the_database_refuses_is_a_blocker(empty_url: str) -> None:
    run(
        empty_url,
        "create table chat_messages (id uuid primary key,"
        " role varchar(20) check (role in ('user', 'model')), text text);",
    )
    check = next(each for each in STRUCTURE if each.code == "SCH010")
    finding = next(iter(check.find(evidence_of(empty_url, target_of(Base.metadata, name="Trunkline")))))
    assert (finding.object, finding.severity) == ("chat_messages.role", "blocker")
    assert "'assistant', 'system', 'tool'" in finding.evidence
