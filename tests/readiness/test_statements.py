"""Statements are prepared and never run, and the server's answers are kept."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import Column, Computed, ForeignKey, MetaData, Table, Text, Uuid
from tests.factories.looks import look, run

from trunkline.readiness.check import Evidence
from trunkline.readiness.checks.cmp001_new_statement_fails import CHECK as NEW_FAILS
from trunkline.readiness.checks.cmp003_old_statement_fails import CHECK as OLD_FAILS
from trunkline.readiness.evidence.behaviour import Behaviour
from trunkline.readiness.evidence.data import DataEvidence
from trunkline.readiness.evidence.operations import collect_activity
from trunkline.readiness.evidence.statements import Prepared, collect_statements
from trunkline.readiness.example import CLEAN, example_target
from trunkline.readiness.report import NotChecked
from trunkline.readiness.target import Target, target_of

AUTH = "create schema auth; create function auth.uid() returns uuid language sql stable as 'select null::uuid';"
ROLE = """do $$ begin
  if not exists (select from pg_roles where rolname = 'authenticated') then create role authenticated; end if;
end $$;"""
READY = AUTH + ROLE + CLEAN


def prepare(
    url: str, *statements: str, target: Target | None = None, role: str | None = None
) -> tuple[list[Prepared], list[NotChecked]]:
    with look(url, target or example_target(), role=role, path="public") as seen:
        labelled = [(f"line {number}", text) for number, text in enumerate(statements, 1)]
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        evidence = collect_statements(*parts, labelled, seen.note)
    return list(evidence.prepared), seen.note


def of_file(prepared: list[Prepared]) -> list[tuple[str | None, str | None]]:
    return [(each.sqlstate, each.object) for each in prepared if each.origin == "file"]


def test_a_ready_database_takes_all_that_the_new_application_sends(empty_url: str) -> None:
    run(empty_url, READY)
    prepared, note = prepare(empty_url)
    assert note == []
    assert [each for each in prepared if each.error] == []
    assert {each.origin for each in prepared} == {"new application"}
    labels = [each.label for each in prepared if str(each.table) == "orders"]
    assert labels == ["read rows", "insert a row", "update a row", "delete a row", "read rows by shop_id"]


def test_a_statement_of_a_file_that_would_fail_says_what_it_trips_over(empty_url: str) -> None:
    run(empty_url, READY)
    prepared, note = prepare(
        empty_url,
        "select id from shops where owner_id = $1",
        "select nmae from shops",
        'select s."Colour" from shops s',
        "insert into stores (id) values ($1)",
        "select nothing(1)",
        "select id from shops where name = 7",
        "selct 1",
        "with x as (select 1) select * from x",
        "merge into shops s using orders o on s.id = o.shop_id when matched then delete",
    )
    assert note == []
    assert of_file(prepared) == [
        (None, None),
        ("42703", "nmae"),
        ("42703", 's."Colour"'),
        ("42P01", "stores"),
        ("42883", "nothing"),
        ("42883", None),
        ("42601", None),
        (None, None),
        (None, None),
    ]


def test_what_cannot_be_prepared_is_noted_and_nothing_of_it_is_run(empty_url: str) -> None:
    run(empty_url, READY)
    prepared, note = prepare(
        empty_url,
        "drop table shops",
        "/* select */ truncate shops",
        "select 1; drop table shops",
        "select pg_notify('a', 'b'), 1 / 0",
    )
    assert of_file(prepared) == [("42601", None), (None, None)]
    assert [each.what for each in note] == ["line 1: drop table shops", "line 2: /* select */ truncate shops"]
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("select count(*) from shops").fetchone() == (0,)


def test_preparing_leaves_no_locks_behind(empty_url: str) -> None:
    run(empty_url, READY)
    with look(empty_url, example_target(), path="public") as seen:
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        collect_statements(*parts, [("line 1", "delete from shops")], seen.note)
        modes = seen.connection.execute(
            "select distinct mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'"
        ).fetchall()
    assert modes == [("AccessShareLock",)]


def test_a_table_that_somebody_locks_is_noted_once(empty_url: str) -> None:
    run(empty_url, READY)
    with (
        look(empty_url, example_target(), path="public") as seen,
        psycopg.connect(empty_url) as other,
    ):
        other.execute("lock table shops in access exclusive mode")
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        evidence = collect_statements(*parts, [], seen.note)
        other.rollback()
    assert [each.what for each in seen.note] == ["statements about shops"]
    assert {str(each.table) for each in evidence.prepared} == {"orders"}


def test_a_schema_that_may_not_be_used_is_noted_and_not_called_missing(empty_url: str) -> None:
    run(empty_url, READY + "revoke usage on schema public from public, authenticated")
    prepared, note = prepare(empty_url, role="authenticated")
    assert prepared == []
    assert [each.what for each in note] == ["statements about shops", "statements about orders"]
    assert "permission denied for schema public" in note[0].why


def test_code_that_names_no_schema_finds_its_tables_in_another(empty_url: str) -> None:
    run(
        empty_url,
        """create schema "Shop"; create table "Shop".shops (id uuid primary key, owner_id uuid, name text);""",
    )
    prepared, _ = prepare(empty_url)
    assert [each.error for each in prepared if str(each.table) == "shops" and each.error] == []


def test_a_generated_column_is_not_written(empty_url: str) -> None:
    metadata = MetaData()
    Table(
        "notes",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("text", Text),
        Column("shout", Text, Computed("upper(text)", persisted=True)),
    )
    target = target_of(metadata, name="notes")
    run(
        empty_url,
        "create table notes (id uuid primary key, text text, shout text generated always as (upper(text)) stored)",
    )
    prepared, _ = prepare(empty_url, target=target)
    assert [each.error for each in prepared if each.error] == []


def legacy() -> Target:
    metadata = MetaData()
    Table("agents", metadata, Column("id", Uuid, primary_key=True), info={"formerly": ("bots",)})
    Table(
        "agent_sessions",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("agent_id", Uuid, ForeignKey("agents.id"), info={"formerly": ("bot_id",)}),
        info={"formerly": ("chat_sessions",)},
    )
    return target_of(metadata, name="legacy")


def test_the_old_application_is_asked_for_where_a_former_name_is_there(empty_url: str) -> None:
    run(
        empty_url,
        """create table bots (id bigint primary key, config jsonb, "Mood" text);
        create table chat_sessions (id bigint generated always as identity primary key, bot_id bigint);""",
    )
    prepared, note = prepare(empty_url, target=legacy())
    old = [each for each in prepared if each.origin == "old application"]
    assert note == []
    assert [each.error for each in old if each.error] == []
    assert {str(each.table) for each in old} == {"bots", "chat_sessions"}


def test_a_former_name_that_is_gone_while_another_is_there_is_half_a_migration(empty_url: str) -> None:
    run(
        empty_url,
        """create table agents (id uuid primary key);
        create table chat_sessions (id uuid primary key, bot_id uuid references agents);""",
    )
    with look(empty_url, legacy(), path="public") as seen:
        parts = (seen.connection, seen.catalogue, seen.target, seen.matching)
        statements = collect_statements(*parts, [], seen.note)
        evidence = Evidence(
            catalogue=seen.catalogue,
            target=seen.target,
            matching=seen.matching,
            data=DataEvidence(bad=(), sampled=()),
            behaviour=Behaviour(tried=(), not_checked=()),
            statements=statements,
            activity=collect_activity(seen.connection, seen.catalogue, seen.note),
        )
    [finding] = OLD_FAILS.find(evidence)
    assert (finding.object, finding.severity) == ("bots", "major")
    assert finding.evidence == 'The statement fails (read rows): relation "public.bots" does not exist (42P01).'
    [missing] = NEW_FAILS.find(evidence)
    assert missing.object == "agent_sessions"


def test_where_no_former_name_is_left_there_is_no_old_application(empty_url: str) -> None:
    run(
        empty_url,
        "create table agents (id uuid primary key); create table agent_sessions (id uuid primary key, agent_id uuid)",
    )
    prepared, _ = prepare(empty_url, target=legacy())
    assert {each.origin for each in prepared} == {"new application"}


def test_a_connection_that_is_lost_is_no_answer(empty_url: str) -> None:
    run(empty_url, READY)
    with look(empty_url, example_target(), path="public") as seen, pytest.raises(psycopg.OperationalError):
        run(empty_url, f"select pg_terminate_backend({seen.connection.info.backend_pid}, 5000)")
        collect_statements(seen.connection, seen.catalogue, seen.target, seen.matching, [], seen.note)
    assert seen.note == []
