"""Policies are run on made-up rows: what comes out, what is left alone, and what is said of the rest."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from tests.factories.looks import Look, look, run

from trunkline.db.urls import sqlalchemy_url
from trunkline.readiness.evidence.behaviour import Behaviour, observe
from trunkline.readiness.evidence.behaviour.values import Tried
from trunkline.readiness.example import CLEAN, example_target
from trunkline.readiness.expressions import admits_null_caller, calls_per_row, is_always_true

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
grant usage on schema auth to anon, authenticated;
"""
NOTES = """
create table notes (id uuid primary key, user_id uuid not null references auth.users, body text not null);
alter table notes enable row level security;
grant select, insert, update, delete on notes to authenticated;
create policy own on notes to authenticated using (user_id = (select auth.uid()));
"""


def watch(seen: Look, *, deep: bool = False) -> Behaviour:
    return observe(seen.connection, seen.catalogue, seen.target, seen.matching, deep=deep, note=seen.note)


def observed(url: str, statements: str = "", *, deep: bool = False) -> Behaviour:
    if statements:
        run(url, SUPABASE + statements)
    with look(url, example_target()) as seen:
        return watch(seen, deep=deep)


def cells(behaviour: Behaviour, table: str) -> dict[tuple[str, str, str], str]:
    return {
        (each.observation.principal, each.observation.command, each.observation.rows): each.observation.outcome
        for each in behaviour.tried
        if each.observation.table == table
    }


def unexpected(behaviour: Behaviour) -> set[tuple[str, str, str]]:
    return {
        (each.observation.table, each.observation.command, each.observation.rows)
        for each in behaviour.tried
        if not each.is_expected
    }


def reasons(behaviour: Behaviour) -> str:
    return "\n".join(f"{each.what}: {each.why}. {each.how}" for each in behaviour.not_checked)


def written(url: str) -> list[tuple[object, ...]]:
    """What a trial could leave: rows of each table, and the numbers that sequences have given out."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname in ('public', 'auth') order by 1"
        ).fetchall()
        counts = [
            connection.execute(sql.SQL("select count(*) from {}").format(sql.SQL(name))).fetchone()
            for (name,) in tables
        ]
        numbers = connection.execute("select sequencename, last_value from pg_sequences order by 1").fetchall()
    return [*[row for row in counts if row is not None], *numbers]


def test_a_right_policy_keeps_people_apart(empty_url: str) -> None:
    behaviour = observed(empty_url, NOTES)
    found = cells(behaviour, "notes")
    mine, theirs = "a member of the row's organization", "a member of another organization"
    for command in ("select", "insert", "update", "delete"):
        assert found[mine, command, "own"] == "allowed"
        for who in ("nobody", "a stranger", theirs):
            assert found[who, command, "foreign"] == "denied"
    assert reasons(behaviour) == ""


def test_the_example_comes_out_as_it_is_declared(empty_url: str) -> None:
    behaviour = observed(empty_url, CLEAN)
    assert unexpected(behaviour) == set()
    assert {each.observation.table for each in behaviour.tried} == {"shops", "orders"}
    assert all(each.is_declared for each in behaviour.tried)


def test_nothing_is_left_behind_also_when_it_looks_deep(empty_url: str) -> None:
    run(
        empty_url,
        SUPABASE
        + CLEAN
        + NOTES
        + "create table logs (id bigserial primary key, user_id uuid references auth.users);"
        + "grant all on logs to authenticated; insert into auth.users (email) values ('ada@shop.example');",
    )
    before = written(empty_url)
    observed(empty_url)
    deep = observed(empty_url, deep=True)
    assert written(empty_url) == before
    assert cells(deep, "logs")["a stranger", "delete", "foreign"] == "allowed"


def test_no_lock_is_stronger_than_row_exclusive(empty_url: str) -> None:
    run(empty_url, SUPABASE + CLEAN + NOTES)
    modes: set[str] = set()

    with psycopg.connect(empty_url, autocommit=True) as beside, look(empty_url, example_target()) as seen:

        def look_at_locks(_done: int, _total: int) -> None:
            rows = beside.execute(
                "select mode from pg_locks where pid = %s and locktype in ('relation', 'tuple')",
                (seen.connection.info.backend_pid,),
            ).fetchall()
            modes.update(mode for (mode,) in rows)

        observe(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=[], on_step=look_at_locks)
    assert "RowExclusiveLock" in modes
    assert modes <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}


def test_it_waits_for_nobody(empty_url: str) -> None:
    run(empty_url, SUPABASE + CLEAN + NOTES)
    with look(empty_url, example_target()) as seen, psycopg.connect(empty_url) as other:
        other.execute("lock table notes in share row exclusive mode")
        behaviour = watch(seen)
    assert "rows of notes" in reasons(behaviour)
    assert "lock timeout" in reasons(behaviour)
    assert unexpected(behaviour) == set()
    assert cells(behaviour, "shops")


def test_a_table_with_a_sequence_is_named_and_only_read(empty_url: str) -> None:
    statements = """
    create table logs (id bigserial primary key, user_id uuid not null);
    insert into logs (user_id) values (gen_random_uuid());
    grant all on logs to anon;
    """
    behaviour = observed(empty_url, statements)
    assert "column id takes numbers from a sequence" in reasons(behaviour)
    assert "--deep" in reasons(behaviour)
    assert unexpected(behaviour) == {("logs", "select", "foreign")}


@pytest.mark.parametrize(
    ("body", "is_known"),
    [
        ("new.body := lower(new.body); return new;", True),
        ("if new.body = '' then raise exception 'insert something'; end if; return new; -- update later", True),
        ("update public.notes set body = '' where id = new.parent_id; return new;", True),
        ("update public.notes set body = ''; return new;", False),
        ("update public.notes set body = '' where id = new.parent_id or true; return new;", False),
        ("insert into public.log values (new.body) on conflict do nothing; return new;", True),
        ("insert into public.counted default values; return new;", False),
        ("insert into public.log select nextval('numbers')::text; return new;", False),
        ("new.body := regexp_replace(new.body, '--+', '-');\nnew.body := nextval('numbers'); return new;", False),
        ('new.body := "nextInvoice"(); return new;', False),
        ("perform pg_notify('notes', new.body); return new;", False),
        ("execute 'dele' || 'te from notes'; return new;", False),
        ("new.body := nextval('numbers')::text; return new;", False),
        ("new.body := public.helper(new.body); return new;", True),
        ("select 1 into new.body for update; return new;", False),
    ],
)
def test_a_trigger_runs_only_where_it_is_known_to_leave_nothing(empty_url: str, body: str, is_known: bool) -> None:
    statements = f"""
    create table log (line text);
    create sequence numbers;
    create table counted (id bigserial);
    create function "nextInvoice"() returns bigint language sql as $$ select nextval('public.numbers') $$;
    create function helper(t text) returns text language sql as 'select t';
    create table notes (id uuid primary key, user_id uuid not null, parent_id uuid, body text);
    grant all on notes to authenticated;
    create function tidy() returns trigger language plpgsql as $$ begin {body}
    end $$;
    create trigger tidy before insert on notes for each row execute function tidy();
    """
    behaviour = observed(empty_url, statements)
    assert ("trigger tidy would run" not in reasons(behaviour)) == is_known
    assert bool(cells(behaviour, "notes")) == is_known


def test_triggers_of_one_command_leave_the_others_to_be_tried(empty_url: str) -> None:
    statements = (
        NOTES
        + """
    create function stop() returns trigger language plpgsql as $$ begin perform pg_notify('a', ''); return old; end $$;
    create trigger stop before delete on notes for each row execute function stop();
    """
    )
    behaviour = observed(empty_url, statements)
    commands = {command for _, command, _ in cells(behaviour, "notes")}
    assert commands == {"select", "insert", "update"}
    assert "delete on notes, as any role: trigger stop would run" in reasons(behaviour)


def test_people_that_are_there_are_never_taken_where_none_can_be_made(empty_url: str) -> None:
    statements = (
        NOTES
        + """
    insert into auth.users (email) values ('ada@shop.example'), ('bob@shop.example'), ('eve@shop.example');
    create function welcome() returns trigger language plpgsql
      as $$ begin perform pg_notify('a', ''); return new; end $$;
    create trigger welcome after insert on auth.users for each row execute function welcome();
    """
    )
    behaviour = observed(empty_url, statements)
    assert cells(behaviour, "notes") == {}
    assert "it needs a row of auth.users: trigger welcome would run" in reasons(behaviour)


def test_a_profile_that_a_trigger_makes_for_a_new_person_is_that_person_s(empty_url: str) -> None:
    statements = (
        NOTES
        + """
    create table profiles (id uuid primary key references auth.users, name text not null default '');
    alter table profiles enable row level security;
    grant select, update on profiles to authenticated;
    create policy own on profiles to authenticated using (id = (select auth.uid()));
    create function handle_new_user() returns trigger language plpgsql security definer set search_path = ''
      as $$ begin insert into public.profiles (id) values (new.id); return new; end $$;
    create trigger welcome after insert on auth.users for each row execute function handle_new_user();
    """
    )
    behaviour = observed(empty_url, statements)
    assert behaviour.not_checked == ()
    assert unexpected(behaviour) == set()
    seen = cells(behaviour, "profiles")
    assert {outcome for (_, command, rows), outcome in seen.items() if (command, rows) == ("select", "own")} >= {
        "allowed"
    }


HIDDEN = """
create sequence numbers;
grant usage on sequence numbers to anon, authenticated;
create function tick() returns bigint language sql as $$ select nextval('public.numbers') $$;
create function deeper() returns bigint language plpgsql as $$ begin return public.tick(); end $$;
create function atomic() returns bigint language sql begin atomic select nextval('public.numbers'); end;
create function said(t text) returns text language plpgsql immutable
  as $$ begin perform nextval('public.numbers'); return t; end $$;
create function may(u uuid) returns boolean language plpgsql
  as $$ begin perform nextval('public.numbers'); return true; end $$;
create view ticks as select nextval('public.numbers') as n;
create domain ticket as bigint default nextval('public.numbers');
create domain word as text check (said(value) is not null);
create function looks() returns trigger language plpgsql
  as $$ begin select n into new.n from public.ticks; return new; end $$;
create table parts (id uuid, user_id uuid not null, primary key (id, user_id)) partition by hash (user_id);
create table half partition of parts for values with (modulus 1, remainder 0) partition by hash (id);
create table quarter partition of half for values with (modulus 1, remainder 0);
create function counts() returns trigger language plpgsql
  as $$ begin perform nextval('public.numbers'); return new; end $$;
create trigger counts before insert on quarter for each row execute function counts();
create table nested (id uuid primary key, user_id uuid not null, n bigint default deeper());
create table bodies (id uuid primary key, user_id uuid not null, n bigint default atomic());
create table some_columns (id uuid primary key, user_id uuid not null, n bigint not null default deeper());
create table checked (id uuid primary key, user_id uuid not null, t text check (said(t) is not null));
create table domained (id uuid primary key, user_id uuid not null, n ticket, t word not null);
create table indexed (id uuid primary key, user_id uuid not null, t text not null);
create index on indexed (said(t));
create table computed (id uuid primary key, user_id uuid not null, t text not null,
  g text generated always as (said(t)) stored);
create table viewing (id uuid primary key, user_id uuid not null, n bigint);
create trigger looks before insert on viewing for each row execute function looks();
create table guarded (id uuid primary key, user_id uuid not null);
insert into guarded values (gen_random_uuid(), gen_random_uuid());
alter table guarded enable row level security;
create policy may on guarded using (may(user_id)) with check (may(user_id));
create table plain (id uuid primary key, user_id uuid not null);
create view shown as select id, user_id, nextval('public.numbers') as n from plain;
grant select, insert, update, delete on all tables in schema public to authenticated;
revoke insert on some_columns from authenticated;
grant insert (id, user_id) on some_columns to authenticated;
"""


def test_what_no_rollback_undoes_never_runs_however_deep_it_is_hidden(empty_url: str) -> None:
    run(empty_url, SUPABASE + HIDDEN)
    before = written(empty_url)
    behaviour = observed(empty_url)
    assert written(empty_url) == before
    said = reasons(behaviour)
    tables = "nested bodies some_columns checked domained indexed computed viewing guarded parts"
    assert [each for each in tables.split() if f"what roles may do with rows of {each}:" not in said] == []
    assert "reading shown, as any role" in said
    assert "reading guarded, as any role" in said
    assert cells(behaviour, "plain")


def test_many_kinds_of_columns_can_be_filled(empty_url: str) -> None:
    statements = """
    create type mood as enum ('glad', 'sad');
    create domain percent as numeric check (value between 0 and 1);
    create table "Mixed Case" (
      "order" uuid primary key default gen_random_uuid(), "userId" uuid not null, user_id uuid not null,
      feeling mood not null, share percent not null, kind varchar(8) not null check (kind in ('a''b', 'c')),
      code char(3) not null, slug text not null unique check (slug ~ '^[a-z0-9]+$'), size smallint not null,
      big bigint not null, price numeric(10,2) not null check (price >= 0), ratio real not null, is_on boolean not null,
      day date not null, at timestamp(3) with time zone not null, plain timestamp not null, clock time not null,
      span interval not null, doc jsonb not null check (jsonb_typeof(doc) = 'array'), raw json not null,
      tags text[] not null, ids uuid[] not null, address inet not null, data bytea not null check (length(data) = 16),
      mail text not null check (mail like '%@%'), place point not null, period tstzrange not null,
      total int generated always as (size + 1) stored,
      timeout int not null check (timeout between 100 and 120000));
    grant all on "Mixed Case" to authenticated;
    """
    behaviour = observed(empty_url, statements)
    assert reasons(behaviour) == ""
    assert ('"Mixed Case"', "delete", "foreign") in unexpected(behaviour)


def test_a_column_that_nobody_can_guess_is_named_with_the_servers_words(empty_url: str) -> None:
    statements = """
    create table codes (id uuid primary key, user_id uuid not null, code text not null check (md5(code) = 'no'));
    create table shapes (id uuid primary key, user_id uuid not null, outline polygon not null);
    grant all on codes, shapes to authenticated;
    """
    behaviour = observed(empty_url, statements)
    assert "codes_code_check" in reasons(behaviour)
    assert "no value of type polygon is known, for column outline" in reasons(behaviour)


def test_two_organizations_are_kept_apart_by_a_foreign_key_over_both_columns(empty_url: str) -> None:
    statements = """
    create table organizations (id uuid primary key, name text not null);
    create table organization_members (
      organization_id uuid not null references organizations, user_id uuid not null references auth.users,
      role text not null check (role in ('viewer', 'owner')), primary key (organization_id, user_id));
    create function mine() returns uuid[] language sql stable security definer set search_path = ''
      as $$ select array_agg(organization_id) from public.organization_members
            where user_id = auth.uid() and role = 'owner' $$;
    create table bots (id uuid primary key, organization_id uuid not null references organizations,
                       unique (organization_id, id));
    create table lines (id uuid primary key, organization_id uuid not null references organizations,
                        bot_id uuid not null);
    alter table lines enable row level security;
    create policy members on lines to authenticated using (organization_id = any ((select mine())::uuid[]));
    grant all on lines to authenticated;
    """
    loose = observed(empty_url, statements)
    assert unexpected(loose) == {("lines", "insert", "foreign")}
    mine = cells(loose, "lines")
    assert mine["a member of the row's organization", "update", "own"] == "allowed"
    run(
        empty_url,
        "alter table lines add foreign key (organization_id, bot_id) references bots (organization_id, id)",
    )
    assert unexpected(observed(empty_url)) == set()


@contextmanager
def owner_without_privileges(url: str) -> Generator[str]:
    """The URL of a login that can own tables and bypasses nothing; it may act as authenticated, and not as anon."""
    name = "trunkline_test_plain_owner"
    password = secrets.token_hex(8)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(password))
        )
        connection.execute(sql.SQL("grant authenticated to {}").format(sql.Identifier(name)))
        try:
            login = sqlalchemy_url(url).set(username=name, password=password, drivername="postgresql")
            yield login.render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_an_owner_under_forced_policies_is_told_that_it_sees_no_rows(empty_url: str) -> None:
    run(empty_url, SUPABASE + "create table notes (id uuid primary key, user_id uuid not null);")
    with owner_without_privileges(empty_url) as owner_url:
        run(
            empty_url,
            """
            grant usage on schema public, auth to trunkline_test_plain_owner;
            alter table notes owner to trunkline_test_plain_owner;
            insert into notes values (gen_random_uuid(), gen_random_uuid());
            alter table notes enable row level security; alter table notes force row level security;
            grant all on notes to authenticated, anon;
            """,
        )
        behaviour = observed(owner_url)
    told = reasons(behaviour)
    assert "violates row-level security" in told
    assert "what nobody may do, as role anon" in told
    assert behaviour.tried == ()


def test_on_a_standby_only_reading_is_tried(empty_url: str) -> None:
    run(
        empty_url,
        SUPABASE + "create table notes (id uuid primary key, user_id uuid not null);"
        "insert into notes values (gen_random_uuid(), gen_random_uuid()); grant all on notes to anon;",
    )
    with look(empty_url, example_target()) as seen:
        standby = replace(seen.catalogue, server=replace(seen.catalogue.server, is_standby=True))
        behaviour = observe(seen.connection, standby, seen.target, seen.matching, deep=False, note=seen.note)
    assert {each.observation.command for each in behaviour.tried} == {"select"}
    assert unexpected(behaviour) == {("notes", "select", "foreign")}
    assert "standby" in reasons(behaviour)


def test_tables_that_belong_to_nobody_are_not_judged(empty_url: str) -> None:
    behaviour = observed(
        empty_url, "create table countries (code text primary key, name text); grant all on countries to anon;"
    )
    assert behaviour == Behaviour((), ())


def test_without_roles_of_requests_it_says_so(empty_url: str) -> None:
    run(empty_url, "create schema auth; create table notes (id uuid primary key, user_id uuid);")
    with look(empty_url, example_target()) as seen:
        bare = replace(seen.catalogue, roles={"postgres": seen.catalogue.roles[seen.catalogue.server.user]})
        behaviour = observe(seen.connection, bare, seen.target, seen.matching, deep=False, note=seen.note)
        silent = replace(
            seen.target, tables={name: replace(each, access=None) for name, each in seen.target.tables.items()}
        )
        undeclared = observe(seen.connection, bare, silent, seen.matching, deep=False, note=[])
    assert behaviour.tried == ()
    assert "no role named anon or authenticated" in reasons(behaviour)
    assert undeclared == Behaviour((), ())


def test_a_refusal_inside_a_policy_is_an_error_to_people_who_are_signed_in(empty_url: str) -> None:
    statements = (
        NOTES
        + """
    create table friends (user_id uuid primary key);
    create policy of_friends on notes for select to authenticated using (user_id in (select f.user_id from friends f));
    """
    )
    behaviour = observed(empty_url, statements)
    errors: list[Tried] = [each for each in behaviour.tried if each.observation.outcome == "error"]
    assert errors
    assert all("permission denied for table friends" in each.observation.detail for each in errors)


def test_it_works_on_each_major_version(any_url: str) -> None:
    behaviour = observed(any_url, CLEAN + NOTES)
    assert unexpected(behaviour) == set()
    assert reasons(behaviour) == ""


def test_a_connection_that_is_cut_is_an_error_of_the_driver(empty_url: str) -> None:
    run(empty_url, SUPABASE + CLEAN)

    with (
        psycopg.connect(empty_url, autocommit=True) as beside,
        pytest.raises(psycopg.OperationalError),
        look(empty_url, example_target()) as seen,
    ):

        def cut(_done: int, _total: int) -> None:
            beside.execute("select pg_terminate_backend(%s, 5000)", (seen.connection.info.backend_pid,))

        observe(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=[], on_step=cut)


@pytest.mark.parametrize(
    ("expression", "is_open"),
    [
        ("true", True),
        ("(1 = 1)", True),
        ("(auth.uid() IS NOT NULL)", True),
        ("(( SELECT auth.uid() AS uid) IS NOT NULL)", True),
        ("(owner_id = auth.uid())", False),
        ("((name = 'true'::text))", False),
        (None, False),
    ],
)
def test_an_expression_that_admits_everything_is_known(expression: str | None, is_open: bool) -> None:
    assert is_always_true(expression) == is_open


@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ("(owner_id = auth.uid())", ["auth.uid()"]),
        ("(owner_id = ( SELECT auth.uid() AS uid))", []),
        ("(owner_id = ((current_setting('a'::text, true))::uuid))", ["current_setting"]),
        ("(o = ( SELECT ((current_setting('a'::text, true))::json ->> 'sub'::text)))", []),
        ("(EXISTS ( SELECT 1 FROM m WHERE (m.user_id = auth.uid())))", ["auth.uid()"]),
        ("(EXISTS ( SELECT 1 FROM m WHERE (m.user_id = ( SELECT auth.uid() AS uid))))", []),
    ],
)
def test_a_call_for_each_row_is_known(expression: str, calls: list[str]) -> None:
    assert calls_per_row(expression) == calls


@pytest.mark.parametrize(
    ("expression", "admits"),
    [
        ("((auth.uid() IS NULL) OR (owner_id = auth.uid()))", True),
        ("((owner_id = 1) OR (( SELECT auth.uid() AS uid) IS NULL))", True),
        ("((current_setting('a'::text, true) IS NULL) OR (owner_id = 1))", True),
        ("((auth.uid() IS NOT NULL) AND (owner_id = auth.uid()))", False),
        ("((owner_id = auth.uid()) AND ((auth.uid() IS NULL) OR is_public))", False),
        ("((current_setting('a'::text) IS NULL) OR (owner_id = 1))", False),
        ("((deleted_at IS NULL) OR (owner_id = auth.uid()))", False),
    ],
)
def test_a_policy_that_admits_whoever_is_not_signed_in_is_known(expression: str, admits: bool) -> None:
    assert admits_null_caller(expression) == admits
