"""What models become as a target, compared with what a real server makes of the same models."""

from __future__ import annotations

import enum

import psycopg
import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType

from trunkline.models import Base
from trunkline.postgres.catalogue.model import Catalogue, Name
from trunkline.postgres.catalogue.read import read_catalogue
from trunkline.readiness.example import CLEAN, example_target, metadata
from trunkline.readiness.target import CannotCompare, Target, TargetTable, target_of

OURS = target_of(Base.metadata, name="Trunkline")


def read(url: str, *statements: str) -> Catalogue:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        return read_catalogue(connection)


def table(target: Target, name: str) -> TargetTable:
    return target.tables[Name("public", name)]


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Money(TypeDecorator[int]):
    impl = BigInteger
    cache_ok = True


class Names(TypeDecorator[list[str]]):
    impl = ARRAY(String(20))
    cache_ok = True


MANY = MetaData()
many = Table(
    "Many Types",
    MANY,
    Column("id", Integer, primary_key=True),
    Column("big", BigInteger, Identity()),
    Column("small", SmallInteger),
    Column("uuid", Uuid),
    Column("text", Text, server_default="it's 5%"),
    Column("varchar", String),
    Column("varchar_255", String(255)),
    Column("char_3", postgresql.CHAR(3)),
    Column("char", postgresql.CHAR),
    Column("boolean", Boolean),
    Column("date", Date),
    Column("timestamp", DateTime),
    Column("timestamptz", DateTime(timezone=True)),
    Column("timestamptz_3", postgresql.TIMESTAMP(timezone=True, precision=3)),
    Column("time", Time),
    Column("timetz", postgresql.TIME(timezone=True)),
    Column("interval", Interval),
    Column("double", Double),
    Column("float", Float),
    Column("float_24", Float(24)),
    Column("float_53", Float(53)),
    Column("real", postgresql.REAL),
    Column("numeric", Numeric),
    Column("numeric_18", Numeric(18)),
    Column("numeric_18_9", Numeric(18, 9)),
    Column("bytea", LargeBinary),
    Column("json", postgresql.JSON),
    Column("jsonb", postgresql.JSONB),
    Column("texts", ARRAY(Text)),
    Column("matrix", ARRAY(Integer, dimensions=2)),
    Column("varchars", ARRAY(String(20))),
    Column("inet", postgresql.INET),
    Column("bit", postgresql.BIT),
    Column("bit_varying_4", postgresql.BIT(4, varying=True)),
    Column("tsvector", postgresql.TSVECTOR),
    Column("range", postgresql.TSTZRANGE),
    Column("mood", Enum(Mood)),
    Column("moods", ARRAY(Enum(Mood))),
    Column[str]("short", postgresql.DOMAIN("short", String(8))),
    Column("money", Money),
    Column("names", Names),
    Column[int]("sum", Integer, Computed("id + 1")),
)
# What PostgreSQL has these types in isn't on the search path of whoever reads a catalogue.
IN_PUBLIC = {"mood": "public.mood", "moods": "public.mood[]", "short": "public.short"}


def test_types_are_named_as_the_server_names_them(empty_url: str) -> None:
    wanted = table(target_of(MANY, name="many"), "Many Types")
    found = read(empty_url, *wanted.statements).relations[wanted.name].columns
    assert {name: IN_PUBLIC.get(name, each.type) for name, each in wanted.columns.items()} == {
        name: each.type for name, each in found.items()
    }
    for name, column in wanted.columns.items():
        server_fills = found[name].default is not None or found[name].is_identity or found[name].is_generated
        assert (name, column.nullable, column.has_default) == (name, found[name].nullable, server_fills)


def test_our_models_are_what_our_fresh_schema_is(owner_url: str) -> None:
    catalogue = read(owner_url)
    for name, wanted in OURS.tables.items():
        relation = catalogue.relations[name]
        assert list(relation.columns) == list(wanted.columns)
        for column in wanted.columns.values():
            found = relation.columns[column.name]
            assert (found.type.rpartition(".")[2], found.nullable) == (column.type, column.nullable)
            assert (found.default is not None or found.is_generated) == column.has_default
        assert relation.primary_key == wanted.primary_key
        named = {each.name: each for each in relation.indexes if not each.is_primary}
        assert {each.name: (each.columns, each.is_unique) for each in wanted.indexes} == {
            each.name: (each.columns, each.is_unique) for each in named.values()
        }
        keys = {each.name: each for each in relation.constraints if each.kind == "foreign key"}
        assert {(each.name, each.columns, each.parent, each.parent_columns) for each in wanted.foreign_keys} == {
            (each.name, each.columns, each.references, each.referenced_columns) for each in keys.values()
        }
        assert {each.name: each.on_delete for each in wanted.foreign_keys} == {
            each.name: each.on_delete for each in keys.values()
        }
        assert {each.name for each in wanted.checks} == {
            each.name for each in relation.constraints if each.kind == "check"
        }


def test_tables_that_are_private_or_somebody_elses_are_left_out() -> None:
    assert Name("auth", "users") not in OURS.tables
    assert not [name for name in OURS.tables if name.schema != "public"]


def test_our_models_are_graded_in_the_seven_components_of_the_founding_analysis() -> None:
    assert [(each.key, each.name) for each in OURS.components] == [
        ("architecture", "Architecture"),
        ("table_names", "Table names"),
        ("session_fields", "Session fields"),
        ("message_fields", "Message fields"),
        ("agent_fields", "Agent fields"),
        ("rls_policies", "RLS policies"),
        ("indexes", "Indexes"),
    ]
    tables = {each.key: {name.name for name in each.tables} for each in OURS.components}
    assert tables["architecture"] == {"organizations", "organization_members", "usage_logs"}
    assert tables["table_names"] == {"agents", "agent_sessions", "agent_messages"}
    assert tables["session_fields"] == {"agent_sessions"}
    assert tables["rls_policies"] == {name.name for name in OURS.tables}


def test_models_without_marks_are_graded_in_four_and_in_five_with_access() -> None:
    assert [each.key for each in target_of(MANY, name="many").components] == [
        "architecture",
        "table_names",
        "fields",
        "indexes",
    ]
    assert [each.key for each in example_target().components] == [
        "architecture",
        "table_names",
        "fields",
        "rls_policies",
        "indexes",
    ]


def test_marks_of_the_models_arrive() -> None:
    messages, agents = table(OURS, "agent_messages").columns, table(OURS, "agents").columns
    assert {name for name, each in messages.items() if each.is_contract} == {
        *("id", "session_id", "role", "content", "audio_url", "audio_duration_ms", "tokens_used", "latency_ms"),
        *("model_used", "created_at"),
    }
    assert len([each for each in agents.values() if each.is_contract]) == 15
    assert messages["role"].formerly_values == {"model": "assistant", "bot": "assistant"}
    assert messages["content"].formerly == ("text", "message")
    assert messages["sequence"].is_derived
    assert agents["llm_model"].formerly_in == ("config", ("llm_model", "model", "model_name"))
    assert table(OURS, "agents").formerly == ("bots", "projects")
    assert messages["id"].is_sent
    assert messages["id"].default == "app.uuid7()"
    assert not [name for name in table(OURS, "agents").columns if name not in agents]


def test_the_examples_clean_schema_is_runnable_and_complete(empty_url: str) -> None:
    prelude = """
    do $$ begin create role authenticated nologin; exception when duplicate_object then null; end $$;
    create schema auth; create function auth.uid() returns uuid language sql stable as 'select null::uuid';
    """
    relations = read(empty_url, prelude, CLEAN).relations
    assert {str(name) for name in relations} == {"shops", "orders"}
    assert all(each.policies and each.indexes for each in relations.values())


def test_tables_that_refer_to_each_other_get_their_keys_afterwards(empty_url: str) -> None:
    circle = MetaData()
    Table("hens", circle, Column("id", Uuid, primary_key=True), Column("egg_id", Uuid, ForeignKey("eggs.id")))
    Table("eggs", circle, Column("id", Uuid, primary_key=True), Column("hen_id", Uuid, ForeignKey("hens.id")))
    target = target_of(circle, name="circle")
    waiting = [key.ddl for each in target.tables.values() for key in each.foreign_keys if not key.is_within_table]
    making = [statement for each in target.tables.values() for statement in each.statements]
    relations = read(empty_url, *making, *waiting).relations
    assert waiting
    assert all(any(key.kind == "foreign key" for key in each.constraints) for each in relations.values())


def test_indexes_and_checks_are_told_in_columns_and_in_sql() -> None:
    notes = MetaData()
    Table(
        "notes",
        notes,
        Column("id", Uuid, primary_key=True),
        Column("body", Text),
        Column("made_at", DateTime),
        UniqueConstraint("body"),
        CheckConstraint("body not like '%!'", name="calm"),
        Index("by_time", text("made_at desc nulls last"), "body", postgresql_where=text("body <> '%'")),
        Index("by_lower", func.lower(text("body"))),
        Index("by_pattern", text('body collate "C" text_pattern_ops desc')),
        schema="desk",
    )
    wanted = target_of(notes, name="notes").tables[Name("desk", "notes")]
    assert [(each.name, each.columns, each.predicate) for each in wanted.indexes] == [
        ("by_lower", ("lower(body)",), None),
        ("by_pattern", ("body",), None),
        ("by_time", ("made_at", "body"), "body <> '%'"),
        ("notes_body_key", ("body",), None),
    ]
    assert [(each.name, each.sql) for each in wanted.checks] == [("calm", "body not like '%!'")]
    assert all(each.is_contract for each in wanted.indexes)
    assert "CHECK (body not like '%!')" in wanted.ddl


def test_policies_as_sql_come_from_a_sequence_or_a_function() -> None:
    policed = MetaData(info={"policy_ddl": lambda: ["grant select on notes to anon"]})
    assert target_of(policed, name="policed").policy_ddl == ("grant select on notes to anon",)
    assert target_of(MetaData(info={"policy_ddl": ("select 1",)}), name="policed").policy_ddl == ("select 1",)
    assert target_of(metadata, name="example").policy_ddl == ()


def test_a_model_that_postgresql_cannot_have_is_refused_in_a_sentence() -> None:
    lost = MetaData()
    Table("children", lost, Column("id", Uuid, primary_key=True), Column("parent_id", Uuid, ForeignKey("parents.id")))
    with pytest.raises(CannotCompare, match="parents"):
        target_of(lost, name="lost")
    untyped = MetaData()
    Table("things", untyped, Column("id", Uuid, primary_key=True), Column("value", NullType))
    with pytest.raises(CannotCompare, match="things"):
        target_of(untyped, name="untyped")
