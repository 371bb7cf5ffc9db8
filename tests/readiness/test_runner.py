"""The analysis as a whole: what it concludes, what it leaves behind, and what it says where it can't look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from tests.factories.proxy import wire_to
from tests.factories.servers import running_server
from tests.factories.supabase import make_supabase

from trunkline.db.urls import sqlalchemy_url, with_database
from trunkline.errors import InvalidInput
from trunkline.models import Base
from trunkline.readiness import CouldNotCheck, Event, analyse, target_of
from trunkline.readiness.connect import Limits, looking, open_connection, preparing, trying
from trunkline.readiness.example import CLEAN, example_target

EXAMPLE = example_target()
OURS = target_of(Base.metadata, name="Trunkline")


def make_shop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        make_supabase(owner)
        owner.execute(CLEAN.encode())


@pytest.fixture
def shop_url(empty_url: str) -> str:
    """The owner's URL of a database that is just as the example wants it."""
    make_shop(empty_url)
    return empty_url


@pytest.fixture
def reader_url(shop_url: str) -> Iterator[str]:
    """A login role that may read nothing."""
    role = sql.Identifier("trunkline_test_reader")
    with psycopg.connect(shop_url, autocommit=True) as owner:
        owner.execute(sql.SQL("drop role if exists {}").format(role))
        owner.execute(sql.SQL("create role {} login password 'only-on-loopback'").format(role))
        url = sqlalchemy_url(shop_url).set(
            drivername="postgresql", username="trunkline_test_reader", password="only-on-loopback"
        )
        yield url.render_as_string(hide_password=False)
        owner.execute(sql.SQL("drop role {}").format(role))


def execute(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(statements.encode())


def test_our_own_fresh_schema_is_ready(owner_url: str) -> None:
    report = analyse(owner_url, OURS)
    assert report.findings == ()
    assert report.not_checked == ()
    assert [(each.name, each.score, each.status) for each in report.components] == [
        ("Architecture", 100, "ready"),
        ("Table names", 100, "ready"),
        ("Session fields", 100, "ready"),
        ("Message fields", 100, "ready"),
        ("Agent fields", 100, "ready"),
        ("RLS policies", 100, "ready"),
        ("Indexes", 100, "ready"),
    ]
    assert (report.score, report.verdict, report.status) == (100, "ready", "READY")
    assert (report.risk, report.options, report.source) == ("none", (), "Trunkline")
    assert all(item.done for item in report.checklist)
    assert report.observations


def test_one_blocker_is_enough(shop_url: str) -> None:
    execute(shop_url, "alter table orders drop column created_at")
    report = analyse(shop_url, EXAMPLE)
    assert report.score is not None
    assert report.score > 70
    assert (report.verdict, report.status) == ("not_ready", "PARTIALLY READY - NEEDS MIGRATION")


def test_a_blocker_that_no_migration_mends_is_told_apart(shop_url: str) -> None:
    execute(shop_url, "create table invoices (id uuid primary key, owner_id uuid not null, total int)")
    execute(shop_url, "grant all on invoices to anon, authenticated")
    report = analyse(shop_url, EXAMPLE)
    assert {each.object for each in report.at_least("blocker")} == {"invoices"}
    assert (report.verdict, report.status, report.risk) == ("not_ready", "NOT READY", "high")
    assert report.next_steps[0].startswith("trunkline explain ")


def test_a_database_of_something_else_is_told_so_kindly(empty_url: str) -> None:
    execute(
        empty_url, "create table parcels (id int primary key, weight numeric); create table vans (id int primary key)"
    )
    report = analyse(empty_url, OURS)
    assert (report.verdict, report.status) == ("not_ready", "NOT READY")
    assert report.source is None
    assert "not a database of Trunkline, and that is fine" in report.headline
    assert "2 tables of something else" in report.headline
    assert [option.strategy for option in report.options] == ["create"]


def test_an_empty_database_can_be_filled(empty_url: str) -> None:
    report = analyse(empty_url, OURS)
    assert "It is empty" in report.headline
    assert report.score == 0


def test_what_could_not_be_seen_makes_the_verdict_unknown(reader_url: str) -> None:
    report = analyse(reader_url, EXAMPLE)
    assert (report.verdict, report.status) == ("unknown", "COULD NOT CHECK")
    assert report.not_checked
    assert not all(item.done for item in report.checklist)
    assert "could not be checked in full" in report.headline


def test_a_standby_is_read_and_the_verdict_says_what_was_not_tried() -> None:
    with running_server(18, standby=make_shop) as url:
        report = analyse(url, EXAMPLE)
    assert (report.verdict, report.status) == ("unknown", "COULD NOT CHECK")
    assert {each.severity for each in report.findings} <= {"info"}
    assert {each.key: each.score for each in report.components} == {
        "architecture": 100,
        "table_names": 100,
        "fields": 100,
        "rls_policies": None,
        "indexes": 100,
    }
    assert report.score is None
    assert any("standby" in each.why for each in report.not_checked)


def test_ids_of_another_type_need_new_tables(shop_url: str) -> None:
    execute(
        shop_url,
        "drop table orders; drop table shops;"
        "create table stores (id bigint primary key, owner_id uuid not null, name text not null)",
    )
    report = analyse(shop_url, EXAMPLE)
    advised, other = report.options
    assert (advised.strategy, advised.advised, other.strategy, other.advised) == ("create", True, "rename", False)
    assert "stores.id is bigint" in advised.reason
    assert report.risk == "high"


def test_rows_to_be_touched_are_those_that_must_change(shop_url: str) -> None:
    execute(
        shop_url,
        "alter table shops rename to stores;"
        "insert into stores (owner_id, name) select gen_random_uuid(), n::text from generate_series(1, 500) as n;"
        "insert into orders (shop_id) select id from stores; alter table orders alter created_at type timestamp;"
        "analyze stores, orders",
    )
    rename, create = analyse(shop_url, EXAMPLE).options
    assert rename.rows_touched == 500  # the orders', whose time is converted; stores are only renamed
    assert create.rows_touched == 1000


def test_only_and_skip_choose_checks_and_say_what_was_left_out(shop_url: str) -> None:
    execute(shop_url, "alter table orders drop column note, drop column created_at")
    only = analyse(shop_url, EXAMPLE, only=["sch001"])
    assert only.findings == ()
    assert "left out" in only.not_checked[-1].why
    skip = analyse(shop_url, EXAMPLE, skip=["SCH003"])
    assert "SCH003" not in {each.code for each in skip.findings}
    assert skip.not_checked[-1].codes == ("SCH003",)
    assert "1 check of" in skip.headline


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no check NO1"):
        analyse("postgresql://127.0.0.1:1/none", EXAMPLE, only=["no1"])


def test_progress_goes_from_nothing_to_all(shop_url: str) -> None:
    events: list[Event] = []
    analyse(shop_url, EXAMPLE, on_event=events.append)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 100)
    assert {event.total for event in events} == {100}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:secret@host/base", "can't be read"),
        ("", "No database URL"),
        ("postgresql://me:secret@127.0.0.1:1/base", "Check host and port"),
    ],
)
def test_a_database_that_cannot_be_reached_is_a_sentence_without_the_password(url: str, words: str) -> None:
    with pytest.raises(CouldNotCheck, match=words) as caught:
        analyse(url, EXAMPLE)
    assert "secret" not in caught.value.detail


def test_refusals_say_what_to_mend(admin_url: str) -> None:
    with pytest.raises(CouldNotCheck, match=r"does not exist\. Check the name"):
        analyse(with_database(admin_url, "trunkline_test_no_such_database"), EXAMPLE)
    wrong = sqlalchemy_url(admin_url).set(drivername="postgresql+psycopg", password="wrong")
    with pytest.raises(CouldNotCheck, match="password authentication failed"):
        analyse(wrong.render_as_string(hide_password=False), EXAMPLE)


@pytest.mark.parametrize("stage", ["Reading the catalogue", "Counting rows", "Preparing", "Trying the policies"])
async def test_a_connection_that_is_cut_is_a_sentence(shop_url: str, stage: str) -> None:
    async with wire_to(shop_url) as (wire, url):
        loop = asyncio.get_running_loop()

        def cut(event: Event) -> None:
            if event.stage.startswith(stage):
                asyncio.run_coroutine_threadsafe(wire.cut(), loop).result()

        with pytest.raises(CouldNotCheck, match="connection was lost"):
            await asyncio.to_thread(analyse, url, EXAMPLE, cut)


async def test_a_pooler_in_between_is_no_hindrance(shop_url: str) -> None:
    async with wire_to(shop_url) as (wire, url):
        wire.replaces_key_data = True
        report = await asyncio.to_thread(analyse, url, EXAMPLE)
    assert report.score == 100


@pytest.mark.parametrize("transaction", [looking, preparing, trying])
def test_no_setting_outlives_its_transaction(shop_url: str, transaction: type) -> None:
    settings = "select name, setting from pg_settings where context in ('user', 'superuser') order by name"
    with open_connection(shop_url) as connection:
        before = connection.execute(settings).fetchall()
        with transaction(connection, Limits()):
            assert connection.execute("show statement_timeout").fetchone() == ("15s",)
            assert connection.execute("show lock_timeout").fetchone() == ("50ms",)
        assert connection.execute(settings).fetchall() == before


@pytest.mark.parametrize("transaction", [looking, preparing])
def test_looking_cannot_write(shop_url: str, transaction: type) -> None:
    with (
        open_connection(shop_url) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        transaction(connection, Limits()),
    ):
        connection.execute("delete from public.orders")


def test_trying_leaves_nothing(shop_url: str) -> None:
    with open_connection(shop_url) as connection:
        with trying(connection, Limits()):
            connection.execute("insert into public.shops (owner_id, name) values (gen_random_uuid(), 'tried')")
        assert connection.execute("select count(*) from public.shops").fetchone() == (0,)


def test_an_analysis_changes_nothing(owner_url: str) -> None:
    state = (
        "select c.relname, c.relfilenode, c.relacl::text, s.last_value from pg_class c"
        " left join pg_sequences s on s.sequencename = c.relname where c.relnamespace = 'public'::regnamespace"
        " order by 1"
    )
    with psycopg.connect(owner_url, autocommit=True) as owner:
        tables = [name for (name,) in owner.execute("select tablename from pg_tables where schemaname = 'public'")]
        before = owner.execute(state).fetchall()
        analyse(owner_url, OURS, deep=True)
        assert owner.execute(state).fetchall() == before
        for table in tables:
            rows = owner.execute(sql.SQL("select count(*) from public.{}").format(sql.Identifier(table))).fetchone()
            assert rows == (0,), table
        assert owner.execute("select count(*) from auth.users").fetchone() == (0,)


HOSTILE = """
create schema evil;
create function evil.shout() returns text language plpgsql as $$begin raise exception 'hostile'; end$$;
create function evil.now() returns timestamptz language sql as $$select evil.shout()::timestamptz$$;
create function evil.set_config(text, text, boolean) returns text language sql as $$select evil.shout()$$;
create function evil.char_length(text) returns int language sql as $$select evil.shout()::int$$;
create function evil.gen_random_uuid() returns uuid language sql as $$select evil.shout()::uuid$$;
create function evil.format_type(oid, int) returns text language sql as $$select evil.shout()$$;
create function evil.bad(int, int) returns boolean language sql as $$select evil.shout()::boolean$$;
create operator evil.= (leftarg = int, rightarg = int, procedure = evil.bad);
create table evil.pg_class (oid int); create table evil.shops (id int);
"""


def test_a_hostile_search_path_is_not_followed(shop_url: str) -> None:
    execute(
        shop_url,
        HOSTILE + "grant usage on schema evil to public; insert into public.shops (owner_id, name)"
        " values ('00000000-0000-4000-8000-000000000001', 'one')",
    )
    execute(shop_url, f"alter database {sqlalchemy_url(shop_url).database} set search_path = evil, pg_catalog, public")
    report = analyse(shop_url, EXAMPLE)
    assert report.score == 100
    assert "hostile" not in report.model_dump_json()
    assert {each.component for each in report.findings} <= {"operations", "exposure"}, "those of the schema itself"


def test_a_table_that_somebody_holds_is_not_waited_for(shop_url: str) -> None:
    with psycopg.connect(shop_url) as other:
        other.execute("lock table public.orders in access exclusive mode")
        with pytest.raises(CouldNotCheck, match="orders"):
            analyse(shop_url, EXAMPLE)
    assert analyse(shop_url, EXAMPLE).score == 100
