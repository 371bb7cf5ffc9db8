"""Which table of a database is taken for which of the target, and which column serves."""

from __future__ import annotations

import pytest
from tests.factories.looks import look, run

from trunkline.models import Base
from trunkline.postgres.catalogue.model import Column, Name
from trunkline.readiness.example import example_target
from trunkline.readiness.matching import Matching
from trunkline.readiness.target import Target, target_of
from trunkline.readiness.types_fit import Fit, family, fit

OURS = target_of(Base.metadata, name="Trunkline")

WITH_ORGANIZATIONS = """
create table organizations (id uuid primary key, name text, owner_id uuid);
create table bots (id uuid primary key, organization_id uuid, name text, config jsonb, created_by uuid);
create table chat_sessions (id uuid primary key, bot_id uuid, user_id uuid, created_at timestamptz);
create table chat_messages (id uuid primary key, session_id uuid, role text, text text, timestamp timestamptz);
"""
WITH_PROJECTS = """
create table projects (id bigint primary key, user_id uuid, name text, config json);
create table usage_logs (id uuid primary key, project_id bigint, user_id uuid, tokens_used int);
create table chat_sessions (id uuid primary key, project_id bigint, user_id uuid, created_at timestamp);
create table chat_messages (id uuid primary key, session_id uuid, role text, message text, timestamp timestamp);
"""


def compare(url: str, statements: str, target: Target) -> Matching:
    run(url, statements)
    with look(url, target) as seen:
        return seen.matching


def found(matching: Matching, table: str) -> tuple[str, str | None]:
    match = matching.tables[table]
    return match.how, None if match.relation is None else str(match.relation.name)


def how(matching: Matching, column: str) -> tuple[str, str | None]:
    table, _, name = column.partition(".")
    match = matching.tables[table].columns[name]
    return match.how, None if match.column is None else match.column.name


def test_our_fresh_schema_is_there_in_full(owner_url: str) -> None:
    matching = compare(owner_url, "", OURS)
    assert {each.how for each in matching.tables.values()} == {"present"}
    assert {column.how for each in matching.tables.values() for column in each.columns.values()} == {"present"}
    assert not [column for each in matching.tables.values() for column in each.extra]
    assert (matching.unclaimed, matching.source, matching.is_related) == ((), "Trunkline", True)


def test_the_newer_legacy_shape_is_recognized(empty_url: str) -> None:
    matching = compare(empty_url, WITH_ORGANIZATIONS, OURS)
    assert (matching.source, matching.is_related) == ("legacy, with organizations", True)
    assert found(matching, "agents") == ("renamed", "bots")
    assert how(matching, "agents.config_json") == ("renamed", "config")
    assert how(matching, "agents.llm_model") == ("reshaped", "config")
    assert how(matching, "agents.security") == ("missing", None)
    assert how(matching, "agent_sessions.agent_id") == ("renamed", "bot_id")
    assert how(matching, "agent_sessions.started_at") == ("renamed", "created_at")
    assert how(matching, "agent_messages.content") == ("renamed", "text")
    assert how(matching, "agent_messages.created_at") == ("renamed", "timestamp")
    assert matching.tables["agents"].actual("config_json") == "config"
    assert matching.tables["agents"].actual("llm_model") is None
    assert matching.tables["agents"].extra == ()


def test_the_older_legacy_shape_is_recognized(empty_url: str) -> None:
    matching = compare(empty_url, WITH_PROJECTS, OURS)
    assert (matching.source, matching.is_related) == ("legacy, with projects", True)
    assert found(matching, "agents") == ("renamed", "projects")
    assert how(matching, "agents.id") == ("retyped", "id")
    assert how(matching, "agents.created_by") == ("renamed", "user_id")
    assert how(matching, "agents.temperature") == ("reshaped", "config")
    assert how(matching, "agents.config_json") == ("retyped", "config")
    assert how(matching, "agent_sessions.agent_id") == ("retyped", "project_id")
    assert how(matching, "agent_sessions.started_at") == ("retyped", "created_at")
    assert how(matching, "agent_messages.content") == ("renamed", "message")
    assert how(matching, "usage_logs.agent_id") == ("retyped", "project_id")


def test_the_right_name_comes_before_a_former_one(empty_url: str) -> None:
    matching = compare(
        empty_url,
        "create table shops (id uuid primary key); create table stores (id uuid primary key, name text);"
        "create table orders (id uuid primary key, note text, remark text);",
        example_target(),
    )
    assert found(matching, "shops") == ("present", "shops")
    assert [str(each.name) for each in matching.unclaimed] == ["stores"]
    assert how(matching, "orders.note") == ("present", "note")
    assert [each.name for each in matching.tables["orders"].extra] == ["remark"]


def test_a_view_a_partition_or_a_sequence_is_never_taken_for_a_table(empty_url: str) -> None:
    matching = compare(
        empty_url,
        "create view shops as select 1 as id; create sequence stores;"
        "create table parcels (id int) partition by list (id);"
        "create table orders partition of parcels for values in (1);",
        example_target(),
    )
    assert found(matching, "shops") == ("missing", None)
    assert found(matching, "orders") == ("missing", None)
    assert not matching.is_related


def test_another_schema_is_looked_into_last_and_only_where_the_columns_agree(empty_url: str) -> None:
    elsewhere = """
    create schema trade; create schema stock; create schema auth; create schema trunkline_archive;
    create table trade.orders (id uuid primary key, shop_id uuid, status text, note text);
    create table auth.orders (id uuid primary key, shop_id uuid, status text, note text);
    create table trunkline_archive.orders (id uuid primary key, shop_id uuid, status text, note text);
    create table stock.orders (id bigint primary key, parcel text);
    create table trade.shops (id uuid primary key, name text);
    create table stores (id uuid primary key);
    """
    matching = compare(empty_url, elsewhere, example_target())
    assert found(matching, "orders") == ("renamed", "trade.orders")
    assert found(matching, "shops") == ("renamed", "stores")


def test_two_candidates_in_other_schemas_are_none(empty_url: str) -> None:
    both = "".join(
        f"create schema {schema}; create table {schema}.orders (id uuid, shop_id uuid, status text);"
        for schema in ("a", "b")
    )
    assert found(compare(empty_url, both, example_target()), "orders") == ("missing", None)


def test_names_that_need_quotes_and_other_cases_are_other_names(empty_url: str) -> None:
    matching = compare(empty_url, 'create table "Shops" (id uuid primary key, name text);', example_target())
    assert found(matching, "shops") == ("missing", None)
    assert Name("public", "Shops") in [each.name for each in matching.unclaimed]


def test_a_database_of_something_else_is_not_related(empty_url: str) -> None:
    matching = compare(empty_url, "create table invoices (id int primary key, total int);", OURS)
    assert (matching.is_related, matching.source) == (False, None)
    assert not matching.tables["agents"].columns["name"].column


def test_a_name_alone_is_chance(empty_url: str) -> None:
    assert not compare(empty_url, "create table shops (id uuid primary key, colour text);", example_target()).is_related


def test_partitioned_tables_are_tables(empty_url: str) -> None:
    parts = (
        "create table orders (id uuid, status text) partition by hash (id);"
        "create table orders_0 partition of orders for values with (modulus 1, remainder 0);"
    )
    matching = compare(empty_url, parts, example_target())
    assert found(matching, "orders") == ("present", "orders")
    assert matching.unclaimed == ()


@pytest.mark.parametrize(
    ("wanted", "have", "expected"),
    [
        ("text", "text", "same"),
        ("text", "character varying", "same"),
        ("text", "character varying(80)", "narrower"),
        ("character varying(255)", "text", "same"),
        ("character varying(255)", "character varying(300)", "same"),
        ("character varying(255)", "character varying(100)", "narrower"),
        ("text", "character(3)", "other"),
        ("text", "public.citext", "other"),
        ("bigint", "integer", "narrower"),
        ("integer", "bigint", "same"),
        ("bigint", "numeric", "other"),
        ("double precision", "real", "narrower"),
        ("double precision", "numeric", "other"),
        ("numeric(18,9)", "numeric", "same"),
        ("numeric(18,9)", "numeric(10,2)", "other"),
        ("uuid", "text", "other"),
        ("uuid", "bigint", "other"),
        ("jsonb", "json", "other"),
        ("jsonb", "text", "other"),
        ("timestamp with time zone", "timestamp without time zone", "other"),
        ("timestamp with time zone", "timestamp(3) with time zone", "narrower"),
        ("timestamp(3) with time zone", "timestamp with time zone", "same"),
        ("text[]", "character varying(20)[]", "narrower"),
        ("text[]", "text", "other"),
        ("uuid[]", "uuid[]", "same"),
        ("vector(384)", "extensions.vector(384)", "same"),
        ("vector(384)", "extensions.vector(1536)", "other"),
        ("vector(384)", "public.vector", "same"),
        ("mood", "public.mood", "same"),
        ('"Mood"', 'public."Mood"', "same"),
        ("text", "public.mood", "other"),
    ],
)
def test_a_type_serves_where_reads_and_writes_would_work(wanted: str, have: str, expected: Fit) -> None:
    column = Column("it", have, have, True, None, False, False, False)
    assert fit(wanted, column) == expected


def test_a_domain_doesnt_serve_for_what_it_is_made_of() -> None:
    column = Column("it", "public.short", "text", True, None, False, False, False)
    assert fit("text", column) == "other"
    assert fit("short", column) == "same"


def test_types_are_of_a_family() -> None:
    assert [family(each) for each in ("citext", "bigint", "timestamp(3) with time zone", "json")] == [
        "text",
        "number",
        "time",
        "json",
    ]
    assert (family("uuid"), family("text[]")) == (None, None)
