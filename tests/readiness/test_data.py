"""Rows that the target would refuse are counted, and nothing else is."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import CheckConstraint, Column, Index, Integer, MetaData, String, Table, Uuid, func
from tests.factories.looks import look, run

from trunkline.models import Base
from trunkline.readiness.evidence.data import BadRows, DataEvidence, collect_data
from trunkline.readiness.evidence.data import session as session_module
from trunkline.readiness.example import example_target
from trunkline.readiness.report import NotChecked
from trunkline.readiness.target import target_of

OLD = """
create table stores (id bigint primary key, owner_id uuid, name varchar(40));
create table orders (id bigint primary key, shop_id integer, status text, remark text, config jsonb,
                     created_at timestamptz default now());
"""


def collect(url: str, *, deep: bool = False, role: str | None = None) -> tuple[DataEvidence, list[NotChecked]]:
    with look(url, example_target(), role=role) as seen:
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=deep, note=seen.note)
    return data, seen.note


def bad(data: DataEvidence, fault: str) -> list[BadRows]:
    return [each for each in data.bad if each.fault == fault]


def test_a_database_without_any_of_the_tables_has_no_bad_rows(empty_url: str) -> None:
    assert collect(empty_url) == (DataEvidence(bad=(), sampled=()), [])


def test_rows_that_fit_are_not_reported(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores select n, gen_random_uuid(), 'shop ' || n from generate_series(1, 9) n;
        insert into orders (id, shop_id, status) select n, n, 'paid' from generate_series(1, 9) n;""",
    )
    assert collect(empty_url) == (DataEvidence(bad=(), sampled=()), [])


def test_orphans_are_counted_with_the_parents_they_miss(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores values (1, gen_random_uuid(), 'a');
        insert into orders (id, shop_id, status) values (1, 1, 'open'), (2, 77, 'open'), (3, 78, 'open');""",
    )
    data, note = collect(empty_url)
    assert note == []
    [orphans] = data.bad
    assert (orphans.fault, str(orphans.relation), orphans.columns) == ("orphan", "orders", ("shop_id",))
    assert (orphans.count, orphans.rows, orphans.is_estimate, orphans.samples) == (2, 3, False, ("77", "78"))
    assert orphans.rule == "foreign key (shop_id) references stores (id)"


def test_orphans_are_found_where_the_types_of_both_sides_differ(empty_url: str) -> None:
    run(
        empty_url,
        """create table shops (id uuid primary key, owner_id uuid not null, name text not null);
        create table orders (id uuid primary key, shop_id text not null, status text not null);
        insert into shops values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'a');
        insert into orders values (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'open'),
                                  (gen_random_uuid(), 'gone', 'open');""",
    )
    data, note = collect(empty_url)
    assert note == []
    assert [(each.count, each.samples) for each in data.bad] == [(1, ("gone",))]


def test_a_foreign_key_that_was_validated_is_believed_and_one_that_was_not_is_looked_at(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into orders (id, shop_id, status) values (1, 77, 'open');
        alter table orders add constraint held foreign key (shop_id) references stores not valid;""",
    )
    data, _ = collect(empty_url)
    assert [each.fault for each in data.bad] == ["orphan"]
    run(empty_url, "delete from orders; alter table orders validate constraint held")
    assert collect(empty_url)[0].bad == ()


def test_nulls_count_only_where_the_target_forbids_them(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores values (1, gen_random_uuid(), 'a');
        insert into orders (id, shop_id, status, remark, created_at) values
        (1, 1, null, null, null), (2, 1, 'open', null, now()), (3, null, 'open', 'x', null);""",
    )
    data, _ = collect(empty_url)
    found = {each.columns[0]: (each.count, each.samples) for each in bad(data, "null")}
    assert found == {"shop_id": (1, ("3",)), "status": (1, ("1",)), "created_at": (2, ("1", "3"))}
    assert {each.fault for each in data.bad} == {"null"}


def test_values_outside_a_check_are_shown_and_former_values_are_told_apart(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores values (1, gen_random_uuid(), 'a');
        insert into orders (id, shop_id, status) values
        (1, 1, 'new'), (2, 1, 'new'), (3, 1, 'lost'), (4, 1, 'paid');""",
    )
    data, note = collect(empty_url)
    assert note == []
    [outside] = bad(data, "outside check")
    assert (outside.columns, outside.count, outside.samples) == (("status",), 1, ("lost",))
    assert outside.rule == "check (status in ('open', 'paid'))"
    [former] = bad(data, "mapped value")
    assert (former.rule, former.count, former.samples) == ("new → open", 2, ("new",))


def test_an_enum_is_compared_as_the_text_that_it_stands_for(empty_url: str) -> None:
    run(
        empty_url,
        """create type mood as enum ('open', 'new', 'odd');
        create table orders (id uuid primary key, status mood not null);
        insert into orders values (gen_random_uuid(), 'open'), (gen_random_uuid(), 'new'), (gen_random_uuid(), 'odd');
        """,
    )
    data, note = collect(empty_url)
    assert note == []
    assert {each.fault: each.samples for each in data.bad} == {"outside check": ("odd",), "mapped value": ("new",)}


def test_rows_that_share_a_unique_key_are_all_counted(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores select n, '00000000-0000-0000-0000-000000000001', 'twice' from generate_series(1, 2) n;
        insert into stores select n, '00000000-0000-0000-0000-000000000002', 'thrice' from generate_series(3, 5) n;
        insert into stores values (6, null, 'free'), (7, null, 'free');
        update stores set owner_id = gen_random_uuid() where name = 'nobody';""",
    )
    data, _ = collect(empty_url)
    [shared] = bad(data, "duplicate")
    assert (shared.columns, shared.count, shared.rule) == (("owner_id", "name"), 5, "unique (owner_id, name)")
    assert sorted(shared.samples) == [
        "00000000-0000-0000-0000-000000000001, twice",
        "00000000-0000-0000-0000-000000000002, thrice",
    ]


def test_a_unique_index_over_fewer_columns_vouches_for_the_key(empty_url: str) -> None:
    run(empty_url, OLD + "create unique index on stores (name); insert into stores values (1, null, 'a')")
    data, _ = collect(empty_url)
    assert bad(data, "duplicate") == []


def test_ids_that_occur_twice_are_found_where_there_is_no_primary_key(empty_url: str) -> None:
    run(
        empty_url,
        """create table shops (id uuid not null, owner_id uuid not null, name text not null);
        insert into shops select '00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'x'
        from generate_series(1, 2);""",
    )
    data, _ = collect(empty_url)
    assert [(each.fault, each.columns, each.count) for each in data.bad] == [("duplicate", ("id",), 2)]


def test_mixed_case_names_and_partitions_are_read(empty_url: str) -> None:
    run(
        empty_url,
        """create table stores (id uuid primary key, owner_id uuid not null, name text not null);
        create table orders (id uuid, shop_id uuid, status text, created_at timestamptz) partition by list (status);
        create table "Orders of Mine" partition of orders for values in ('new');
        create table orders_other partition of orders default;
        insert into orders values (gen_random_uuid(), gen_random_uuid(), 'new', now()),
                                  (gen_random_uuid(), null, 'odd', now());""",
    )
    data, note = collect(empty_url)
    assert note == []
    found = {(each.fault, each.columns[0]): each.count for each in data.bad}
    assert found == {
        ("null", "shop_id"): 1,
        ("outside check", "status"): 1,
        ("orphan", "shop_id"): 1,
        ("mapped value", "status"): 1,
    }


def test_a_large_table_is_sampled_and_its_counts_are_estimates(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into orders (id, shop_id, status)
        select n, n, case n % 2 when 0 then 'odd' else 'new' end from generate_series(1, 210000) n;
        create index on stores (name);
        insert into stores select n, '00000000-0000-0000-0000-000000000001', 'shop ' || n / 2
        from generate_series(1, 210000) n; analyze;""",
    )
    data, note = collect(empty_url)
    assert note == []
    assert [str(name) for name in data.sampled] == ["stores", "orders"]
    assert all(each.is_estimate for each in data.bad)
    counts = {each.fault: each.count for each in data.bad}
    assert 95_000 < counts["outside check"] < 115_000
    assert 95_000 < counts["mapped value"] < 115_000
    assert 190_000 < counts["duplicate"] <= 210_000
    exact, note = collect(empty_url, deep=True)
    assert note == []
    assert {each.fault: (each.count, each.is_estimate) for each in exact.bad} == {
        "outside check": (105_000, False),
        "mapped value": (105_000, False),
        "duplicate": (209_998, False),
    }


def test_a_table_whose_statistics_are_missing_is_sampled_by_its_size(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """alter table stores set (autovacuum_enabled = off);
        insert into stores select n, null, 'x' from generate_series(1, 400000) n;""",
    )
    data, note = collect(empty_url)
    assert [str(name) for name in data.sampled] == ["stores"]
    [nulls] = data.bad
    assert (nulls.fault, nulls.is_estimate, len(nulls.samples)) == ("null", True, 5)
    assert [each.what for each in note] == ["duplicates of stores (owner_id, name)"]
    assert "--deep" in note[0].how


def test_a_table_without_the_right_to_read_is_noted(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores values (1, null, null);
        do $$ begin
          if not exists (select from pg_roles where rolname = 'trunkline_test_reader') then
            create role trunkline_test_reader;
          end if;
        end $$;
        grant select on orders to trunkline_test_reader""",
    )
    data, note = collect(empty_url, role="trunkline_test_reader")
    assert data.bad == ()
    assert [each.what for each in note] == ["the rows of stores"]


def test_rows_hidden_by_policies_are_never_taken_for_none(empty_url: str) -> None:
    run(
        empty_url,
        OLD
        + """insert into stores values (1, null, null);
        alter table stores enable row level security; analyze;
        do $$ begin
          if not exists (select from pg_roles where rolname = 'trunkline_test_reader') then
            create role trunkline_test_reader;
          end if;
        end $$;
        grant select on orders, stores to trunkline_test_reader""",
    )
    data, note = collect(empty_url, role="trunkline_test_reader")
    assert data.bad == ()
    [hidden] = data.hidden
    assert (str(hidden.relation), hidden.sees_some, hidden.estimated_rows) == ("stores", False, 1)
    assert any("sees 0 rows because of RLS" in each.why for each in note)


def test_a_table_that_somebody_locks_is_noted_and_the_others_are_counted(empty_url: str) -> None:
    run(
        empty_url,
        OLD + "insert into stores values (1, null, 'a'); insert into orders (id, status) values (1, 'odd')",
    )
    with look(empty_url, example_target()) as seen, psycopg.connect(empty_url) as other:
        other.execute("lock table stores in access exclusive mode")
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert {str(each.relation) for each in data.bad} <= {"orders"}
    assert any("another session holds a lock" in each.why for each in seen.note)


def test_our_own_schema_has_no_bad_rows_and_everything_in_it_could_be_looked_at(owner_url: str) -> None:
    with look(owner_url, target_of(Base.metadata, name="Trunkline")) as seen:
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert (data, seen.note) == (DataEvidence(bad=(), sampled=()), [])


def test_each_fault_comes_with_a_condition_that_finds_its_rows(empty_url: str) -> None:
    run(
        empty_url,
        OLD.replace("status text", '"Status" text, status varchar(9)')
        + """insert into stores values (1, gen_random_uuid(), 'a');
        insert into orders (id, shop_id, status) values (1, 7, 'new'), (2, 1, null), (3, 1, 'it''s odd');""",
    )
    data, _ = collect(empty_url)
    assert sorted(each.fault for each in data.bad) == ["mapped value", "null", "orphan", "outside check"]
    with psycopg.connect(empty_url) as connection:
        for each in data.bad:
            query = f"select count(*) from {each.relation.sql} as t where {each.where}"
            found = connection.execute(query.encode()).fetchone()
            assert found == (1,)


def test_a_unique_index_over_an_expression_is_looked_at_and_believed_where_it_is_there(empty_url: str) -> None:
    metadata = MetaData()
    people = Table("people", metadata, Column("id", Uuid, primary_key=True), Column("email", String(80)))
    Index("people_email", func.lower(people.c.email), unique=True)
    target = target_of(metadata, name="people")
    run(
        empty_url,
        """create table people (id uuid primary key, email varchar(80));
        insert into people values (gen_random_uuid(), 'a@b'), (gen_random_uuid(), 'A@b'), (gen_random_uuid(), 'c@d');
        create unique index on people (upper(email), id);""",
    )
    with look(empty_url, target) as seen:
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert [(each.fault, each.columns, each.count, each.samples) for each in data.bad] == [
        ("duplicate", ("lower(email)",), 2, ("a@b",))
    ]
    run(empty_url, "delete from people where email = 'A@b'; create unique index held on people (lower(email))")
    with look(empty_url, target) as seen:
        # Whether it is believed shows once it is gone: rows are not looked at.
        run(empty_url, "drop index held; insert into people values (gen_random_uuid(), 'A@b')")
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert data.bad == ()


def test_a_question_that_takes_too_long_is_noted_and_the_others_are_asked(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = MetaData()
    for name in ("slow", "swift"):
        rule = "id > 0" if name == "swift" else "pg_sleep(id) is not null"
        Table(name, metadata, Column("id", Integer, primary_key=True), CheckConstraint(rule, name=f"{name}_check"))
    run(
        empty_url,
        """create table slow (id int primary key); insert into slow values (60);
        create table swift (id int); insert into swift values (null)""",
    )
    monkeypatch.setattr(session_module, "TIMEOUT_MS", 100)
    with look(empty_url, target_of(metadata, name="sleepers")) as seen:
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert [(each.fault, str(each.relation)) for each in data.bad] == [("null", "swift")]
    assert [each.what for each in seen.note] == ["NULLs and values of slow"]
    assert "--deep" in seen.note[0].how


def test_a_check_that_calls_a_function_of_the_database_is_not_run(empty_url: str) -> None:
    metadata = MetaData()
    Table("things", metadata, Column("id", Integer, primary_key=True), CheckConstraint("public.fits(id)", name="fits"))
    run(
        empty_url,
        """create table things (id int primary key); insert into things values (1);
        create function fits(int) returns boolean language plpgsql as 'begin raise exception ''it ran''; end'""",
    )
    with look(empty_url, target_of(metadata, name="things")) as seen:
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert data.bad == ()
    assert [(each.what, each.codes) for each in seen.note] == [("rows of things outside fits", ("DAT003",))]


def test_a_rule_that_does_not_run_is_noted_with_the_servers_words_and_the_others_count(empty_url: str) -> None:
    metadata = MetaData()
    Table(
        "things",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("size", Integer, nullable=False),
        CheckConstraint("upside_down(size)", name="odd"),
    )
    run(empty_url, "create table things (id int primary key, size int); insert into things values (1, null)")
    with look(empty_url, target_of(metadata, name="things")) as seen:
        data = collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert [each.fault for each in data.bad] == ["null"]
    [note] = seen.note
    assert note.what == "rows of things against check (upside_down(size))"
    assert "upside_down(integer) does not exist" in note.why


def test_a_lost_connection_is_no_answer(empty_url: str) -> None:
    run(empty_url, OLD)
    with look(empty_url, example_target()) as seen, pytest.raises(psycopg.OperationalError):
        run(empty_url, f"select pg_terminate_backend({seen.connection.info.backend_pid}, 5000)")
        collect_data(seen.connection, seen.catalogue, seen.target, seen.matching, deep=False, note=seen.note)
    assert seen.note == []
