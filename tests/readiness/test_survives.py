"""Whole analyses of databases that are hard to look at: none fails, none says what isn't so."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from sqlalchemy import Column, Computed, Enum, ForeignKey, Index, Integer, MetaData, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import DOMAIN
from tests.factories.legacy import variations as owners
from tests.factories.legacy.make import GENERATIONS, Generation, load_messages, make_legacy
from tests.factories.looks import run
from tests.factories.servers import running_server
from tests.factories.supabase import make_supabase

from trunkline.db.urls import sqlalchemy_url
from trunkline.models import Base
from trunkline.readiness import Report, analyse, target_of
from trunkline.readiness.example import CLEAN, example_target

OURS = target_of(Base.metadata, name="Trunkline")
EXAMPLE = example_target()
LEFT_TO_ALL = (owners.PARTITIONS, owners.VIEWS, owners.OWN_TABLE, owners.EXTRA_GRANTS, owners.TIMES_WITHOUT_ZONE)


def found(report: Report) -> set[tuple[str, str]]:
    """Code and object of each finding."""
    return {(each.code, each.object) for each in report.findings}


@pytest.fixture
def shop_url(empty_url: str) -> str:
    """A database that is just as the example wants it."""
    with psycopg.connect(empty_url, autocommit=True) as owner:
        make_supabase(owner)
        owner.execute(CLEAN.encode())
    return empty_url


@pytest.fixture
def keeper(shop_url: str) -> Iterator[tuple[str, str]]:
    """Name and URL of a login that owns the shop's tables, and may become nobody else."""
    role = f"keeper_{secrets.token_hex(4)}"
    url = sqlalchemy_url(shop_url).set(username=role, password="x", drivername="postgresql")
    name = sql.Identifier(role)
    with psycopg.connect(shop_url, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login password 'x'").format(name))
        owner.execute(sql.SQL("alter table shops owner to {0}; alter table orders owner to {0}").format(name))
        owner.execute(sql.SQL("grant usage on schema auth to {}").format(name))
    yield role, url.render_as_string(hide_password=False)
    with psycopg.connect(shop_url, autocommit=True) as owner:
        owner.execute(sql.SQL("drop owned by {0} cascade; drop role {0}").format(name))


def odd_models() -> MetaData:
    """Names that need quotes, in a schema of that kind; types that somebody made; a column that is computed."""
    metadata = MetaData(schema="Shop Floor")
    Table("User", metadata, Column("ID", Uuid, primary_key=True), Column("order", Text, nullable=False))
    Table(
        "select",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("User ID", Uuid, ForeignKey("Shop Floor.User.ID"), nullable=False, index=True),
        Column("état", Enum("neu", "it's done", name="État", metadata=metadata), nullable=False),
        Column[int]("amount", DOMAIN("positive", Integer, check="value > 0", metadata=metadata), nullable=False),
        Column("double", Integer, Computed("2 * id_length")),
        Column("id_length", Integer, nullable=False, server_default=text("36")),
        Index("Where", "état", "amount"),
    )
    return metadata


def test_names_that_need_quotes_and_types_that_somebody_made(empty_url: str) -> None:
    metadata = odd_models()
    run(empty_url, 'create schema "Shop Floor"')
    engine = sqlalchemy.create_engine(sqlalchemy_url(empty_url))
    metadata.create_all(engine)
    engine.dispose()
    target = target_of(metadata, name="odd")
    assert found(analyse(empty_url, target)) == set()
    run(
        empty_url,
        'alter table "Shop Floor"."select" rename column "User ID" to user_id; drop index "Shop Floor"."Where"',
    )
    report = analyse(empty_url, target)
    assert ("SCH003", '"Shop Floor"."select"."User ID"') in found(report)
    assert {code for code, _ in found(report)} >= {"SCH003", "IDX001", "CMP001"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_legacy_database_is_told_the_same_on_every_version(
    any_url: str, empty_url: str, generation: Generation
) -> None:
    said: list[set[tuple[str, str]]] = []
    for url in (any_url, empty_url):
        make_legacy(url, generation, LEFT_TO_ALL)
        report = analyse(url, OURS)
        assert report.not_checked == ()
        said.append({each for each in found(report) if not each[0].startswith("OPS00")})  # servers differ in those
    assert said[0] == said[1]
    assert ("RLS001", "chat_messages_rest") in said[0]


def test_partitions_heirs_and_a_view_in_the_way(shop_url: str) -> None:
    run(
        shop_url,
        "drop table orders; create view orders as select id as shop_id from shops;"
        "create table events (id int, at date) partition by range (at);"
        "create table events_old partition of events for values from (minvalue) to ('2024-01-01')"
        " partition by list (id);"
        "create table events_old_rest partition of events_old default;"
        "create table base (id int primary key, note text); create table heir (more int) inherits (base);"
        "alter table shops add total int generated always as (1 + 1) stored",
    )
    report = analyse(shop_url, EXAMPLE)
    assert ("SCH011", "orders") in found(report)
    assert report.verdict == "not_ready"
    assert ("SCH013", "heir") in found(report)  # a primary key is not inherited
    assert {object_ for _, object_ in found(report)}.isdisjoint({"shops.total", "base", "events_old_rest"})


def test_an_owner_under_forced_policies_sees_no_rows_because_of_them(keeper: tuple[str, str], shop_url: str) -> None:
    run(shop_url, "insert into shops (owner_id, name) select gen_random_uuid(), n::text from generate_series(1, 30) n")
    role, url = keeper
    report = analyse(url, EXAMPLE)
    said = [each for each in report.not_checked if each.what == "the rows of shops"]
    assert [each.why for each in said] == [f"{role} sees 0 rows because of RLS"]
    assert ("DAT006", "shops") in found(report)
    assert "empty" not in report.headline


def test_a_role_that_may_become_nobody_else_says_what_was_not_tried(keeper: tuple[str, str]) -> None:
    _, url = keeper
    report = analyse(url, EXAMPLE)
    said = " ".join(f"{each.what} {each.why} {each.how}" for each in report.not_checked)
    assert "authenticated" in said
    assert report.verdict == "unknown"
    assert [each for each in report.observations if each.role == "authenticated"] == []


def test_a_legacy_database_on_a_standby() -> None:
    with running_server(18, standby=make_newer) as url:
        report = analyse(url, OURS)
    codes = {code for code, _ in found(report)}
    assert codes >= {"OPS008", "SCH002", "RLS006", "DAT005"}
    assert report.verdict == "not_ready"
    assert report.not_checked  # nobody can write there, so writing was not tried


def make_newer(url: str) -> None:
    """A legacy database with organizations."""
    make_legacy(url, "newer")


def test_a_legacy_database_of_many_messages_is_sampled(empty_url: str) -> None:
    make_legacy(empty_url, "newer")
    load_messages(empty_url, 250_000)
    report = analyse(empty_url, OURS)
    (former,) = [each for each in report.findings if each.code == "DAT005"]
    assert "estimated from a sample" in former.evidence
    assert report.not_checked == ()
