"""The rules of docs/readiness-scoring.md, each tried on a database that differs in that one thing."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, Uuid
from tests.factories.supabase import make_supabase

from trunkline.models import Base
from trunkline.readiness.example import CLEAN, example_target
from trunkline.readiness.report import Component, Report
from trunkline.readiness.runner import analyse
from trunkline.readiness.score import mean
from trunkline.readiness.target import target_of

EXAMPLE = example_target()
FIELDS = 2 * 7 + 2
"""Weights of the example's fields: seven that allow no NULL, two that do."""


@pytest.fixture
def shop_url(empty_url: str) -> str:
    """The owner's URL of a database that is just as the example wants it."""
    with psycopg.connect(empty_url, autocommit=True) as owner:
        make_supabase(owner)
    change(empty_url, CLEAN)
    return empty_url


def change(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(statements.encode())


def graded(url: str, key: str) -> Component:
    (component,) = (each for each in analyse(url, EXAMPLE).components if each.key == key)
    return component


def test_nothing_missing_is_a_hundred(shop_url: str) -> None:
    report = analyse(shop_url, EXAMPLE)
    assert [(each.score, each.status) for each in report.components] == [(100, "ready")] * 5
    assert report.score == 100


@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        pytest.param("alter table orders rename note to remark", 0.5, id="renamed: half of 1"),
        pytest.param("alter table orders drop note", 1, id="missing: 1"),
        pytest.param("alter table orders alter created_at type timestamp", 1, id="another type: half of 2"),
        pytest.param("alter table orders drop created_at", 2, id="missing, and no row without it: 2"),
        pytest.param("alter table orders drop currency, add config jsonb", 0.5, id="inside JSON: half of 1"),
        pytest.param("drop table orders", 10, id="the whole table"),
    ],
)
def test_a_field_loses_its_weight_or_half_of_it(shop_url: str, statement: str, lost: float) -> None:
    change(shop_url, statement)
    assert graded(shop_url, "fields").score == int(100 * (FIELDS - lost) / FIELDS)


def test_fields_that_can_be_added_later_keep_the_score_below_a_hundred(owner_url: str) -> None:
    change(owner_url, "alter table agents drop column avatar_url")
    report = analyse(owner_url, target_of(Base.metadata, name="Trunkline"))
    (fields,) = (each for each in report.components if each.key == "agent_fields")
    assert (fields.score, fields.status) == (99, "partial")
    assert "1 further field" in fields.notes


def test_an_old_name_counts_nothing(shop_url: str) -> None:
    change(shop_url, "alter table shops rename to stores")
    names = graded(shop_url, "table_names")
    assert (names.score, names.status) == (50, "partial")
    assert "shops is stores" in names.notes


def test_without_marks_the_foreign_keys_are_the_architecture(shop_url: str) -> None:
    change(shop_url, "alter table orders drop constraint orders_shop_id_fkey")
    architecture = graded(shop_url, "architecture")
    assert (architecture.score, architecture.status) == (0, "missing")
    assert "orders(shop_id) to shops" in architecture.notes


def test_a_foreign_key_to_somebody_else_s_table_counts(shop_url: str) -> None:
    metadata = MetaData()
    Table("users", metadata, Column("id", Uuid, primary_key=True), schema="auth", info={"external": True})
    key = ForeignKey("auth.users.id")
    Table("carts", metadata, Column("id", Uuid, primary_key=True), Column("owner", Uuid, key, index=True))
    change(shop_url, "create table carts (id uuid primary key, owner uuid); create index on carts (owner)")
    target = target_of(metadata, name="carts")
    assert [each.score for each in analyse(shop_url, target).components] == [0, 100, 100, 100]
    change(shop_url, "alter table carts add foreign key (owner) references auth.users")
    assert [each.score for each in analyse(shop_url, target).components] == [100] * 4


def test_usage_belongs_to_its_agent_s_organization(owner_url: str) -> None:
    change(owner_url, "alter table usage_logs drop column organization_id cascade")
    report = analyse(owner_url, target_of(Base.metadata, name="Trunkline"))
    assert report.components[0].score == 100
    change(owner_url, "alter table usage_logs drop column agent_id cascade, drop column session_id cascade")
    change(owner_url, "alter table usage_logs drop column message_id cascade")
    report = analyse(owner_url, target_of(Base.metadata, name="Trunkline"))
    assert report.components[0].score == 75


def test_what_was_run_decides_over_what_is_written(shop_url: str) -> None:
    change(shop_url, "alter policy shops_of_owner on shops using (true) with check (true)")
    policies = graded(shop_url, "rls_policies")
    assert policies.notes.startswith("100 % on paper; when run, ")
    assert policies.score is not None
    assert policies.score < 100


def test_what_is_lacking_on_paper_is_never_a_hundred(shop_url: str) -> None:
    change(shop_url, "alter table shops no force row level security")
    policies = graded(shop_url, "rls_policies")
    assert "when run, 100 %" in policies.notes
    assert (policies.score, policies.status) == (99, "partial")


def test_paper_stands_in_where_policies_were_not_run(shop_url: str) -> None:
    change(shop_url, "alter table shops disable row level security")
    report = analyse(shop_url, EXAMPLE, only=["SCH001"])
    (policies,) = (each for each in report.components if each.key == "rls_policies")
    assert "the policies were not run" in policies.notes
    assert policies.score == int(100 * (5 / 6 + 1) / 2)


def test_an_index_under_other_names_of_columns_serves(shop_url: str) -> None:
    change(shop_url, "alter table shops rename to stores; alter index orders_shop_id_created_at_idx rename to other")
    assert graded(shop_url, "indexes").score == 100
    change(shop_url, "drop index other")
    assert graded(shop_url, "indexes").score == 50  # of two tables, one has none


def test_an_empty_database_scores_nothing(empty_url: str) -> None:
    assert [each.score for each in analyse(empty_url, EXAMPLE).components] == [0] * 5


def test_the_mean_is_rounded_down_and_needs_every_score(shop_url: str) -> None:
    change(shop_url, "alter table shops rename to stores")
    report: Report = analyse(shop_url, EXAMPLE)
    scores = [each.score or 0 for each in report.components]
    assert report.score == sum(scores) // len(scores)
    unknown = report.components[0].model_copy(update={"score": None})
    assert mean([unknown, *report.components[1:]]) is None


def test_an_index_over_a_missing_column_is_graded_by_what_is_left_of_it(shop_url: str) -> None:
    change(shop_url, "alter table orders drop column created_at")
    bare = graded(shop_url, "indexes")
    assert bare.score == 50
    assert "orders (shop_id)" in bare.notes
    change(shop_url, "create index on orders (shop_id)")
    assert graded(shop_url, "indexes").score == 99


def test_models_that_ask_for_no_index_and_no_foreign_key_are_ready_where_their_table_is(empty_url: str) -> None:
    metadata = MetaData()
    Table("notes", metadata, Column("id", Uuid, primary_key=True))
    change(empty_url, "create table notes (id uuid primary key)")
    report = analyse(empty_url, target_of(metadata, name="notes"))
    assert (report.status, report.score) == ("READY", 100)
    told = {each.key: each.notes for each in report.components}
    assert told["indexes"] == told["architecture"] == "nothing asked for"
