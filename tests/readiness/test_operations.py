"""What goes on on a server is seen, as far as the connected role may see it."""

from __future__ import annotations

import secrets

import psycopg
from tests.factories.looks import look, run

from trunkline.readiness.evidence.operations import Activity, OwnSetting, collect_activity
from trunkline.readiness.example import example_target
from trunkline.readiness.report import NotChecked


def activity(url: str, *, role: str | None = None) -> tuple[Activity, list[NotChecked]]:
    with look(url, example_target(), role=role) as seen:
        return collect_activity(seen.connection, seen.catalogue, seen.note), seen.note


def test_a_quiet_database_shows_nothing_but_its_numbers(empty_url: str) -> None:
    seen, note = activity(empty_url)
    assert note == []
    assert (seen.long_transactions, seen.prepared_transactions) == ((), 0)
    assert [each for each in seen.own_settings if each.database] == []
    assert seen.longest_lock_wait_s is None
    assert seen.connections >= 1
    assert seen.usable_connections is not None
    assert seen.usable_connections > 1
    assert seen.transaction_age > 0
    assert seen.multixact_age >= 0
    assert set(seen.settings) >= {"autovacuum", "track_counts", "default_transaction_read_only"}


def test_settings_of_roles_and_of_this_database_are_seen_with_the_way_back(empty_url: str) -> None:
    name = f"trunkline_test_{secrets.token_hex(4)}"
    run(
        empty_url,
        f"""create role {name};
        do $$ begin
          execute format('alter database %I set work_mem = ''8MB''', current_database());
          execute format('alter role {name} in database %I set search_path = a, b', current_database());
        end $$;
        alter role {name} set application_name = 'a=b';""",
    )
    try:
        seen, _ = activity(empty_url)
    finally:
        run(empty_url, f"drop owned by {name}; drop role {name}")
    told = {str(each): each for each in seen.own_settings}
    assert told["work_mem of this database"].value == "8MB"
    assert told[f"search_path of role {name} in this database"].value == "a, b"
    assert told[f"application_name of role {name}"].value == "a=b"
    assert told[f"application_name of role {name}"].reset == f"alter role {name} reset application_name;"
    assert OwnSetting(None, None, "jit", "off").reset == "alter role all reset jit;"


def test_whoever_waits_for_a_lock_is_seen(empty_url: str) -> None:
    with psycopg.connect(empty_url) as first, psycopg.connect(empty_url, autocommit=True) as second:
        first.execute("select pg_advisory_xact_lock(1)")
        second.pgconn.send_query(b"select pg_advisory_lock(1)")
        with psycopg.connect(empty_url, autocommit=True) as watcher:
            waiting = "select count(*) from pg_locks where not granted and database = (select oid from pg_database"
            query = f"{waiting} where datname = current_database())"
            while watcher.execute(query.encode()).fetchone() == (0,):
                watcher.execute("select pg_sleep(0.01)")
        seen, _ = activity(empty_url)
        first.rollback()
        while second.pgconn.get_result() is not None:
            pass
    assert seen.longest_lock_wait_s is not None
    assert seen.longest_lock_wait_s >= 0


def test_sessions_that_may_not_be_seen_are_noted(empty_url: str) -> None:
    run(
        empty_url,
        """do $$ begin
          if not exists (select from pg_roles where rolname = 'trunkline_test_reader') then
            create role trunkline_test_reader;
          end if;
        end $$""",
    )
    with psycopg.connect(empty_url) as other:
        other.execute("select 1")
        seen, note = activity(empty_url, role="trunkline_test_reader")
    assert seen.long_transactions == ()
    assert [each.codes for each in note] == [("OPS003",)]
    assert "(sessions: 1)" in note[0].what


def test_a_replication_slot_is_seen_with_what_it_keeps(empty_url: str) -> None:
    name = f"trunkline_test_{secrets.token_hex(4)}"
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("select pg_create_physical_replication_slot(%s, true, true)", (name,))  # ends with us
        seen, _ = activity(empty_url)
    [slot] = [each for each in seen.slots if each.name == name]
    assert slot.is_active
    assert slot.retained_bytes is not None
    assert slot.retained_bytes >= 0
    assert not slot.is_logical
