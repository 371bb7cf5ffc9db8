"""A file of SQL is taken apart where a statement ends, and nowhere else."""

from __future__ import annotations

import pytest

from trunkline.readiness.sql_file import split_statements


def test_statements_know_the_line_that_they_begin_on() -> None:
    sql = "-- the first; one\nselect 1;\n\n/* two\n /* nested; */ ; */\n  select 2\n;select 3"
    assert split_statements(sql) == [(2, "select 1"), (6, "select 2"), (7, "select 3")]


@pytest.mark.parametrize(
    "statement",
    [
        "select ';', ';'';', \"a;b\"",
        r"select E'it\'s; fine'",
        "do $$ begin perform 1; end $$",
        "do $body$ select '$$;'; $body$",
        "select case when a then b end",
        "create function f() returns int begin atomic select case when true then 1 end; select 2; end",
        "select a::text, b[1:2], '10:30'::time, c % 2",
        "select $1, $2",
    ],
)
def test_a_semicolon_inside_ends_nothing(statement: str) -> None:
    assert split_statements(f"{statement};\nselect 2;") == [(1, statement), (2, "select 2")]


def test_parameters_of_drivers_become_those_of_the_server() -> None:
    sql = "select :a, :b, :a; select %(x)s, %(y)s, %(x)s; select %s, %s"
    assert [text for _, text in split_statements(sql)] == ["select $1, $2, $1", "select $1, $2, $1", "select $1, $2"]


@pytest.mark.parametrize("sql", ["", " \n", ";;", "-- nothing\n", "/* open"])
def test_nothing_is_no_statement(sql: str) -> None:
    assert split_statements(sql) == []


@pytest.mark.parametrize("sql", ["select 'open", "select $$open; x", 'select "open'])
def test_what_is_not_closed_is_left_for_the_server_to_refuse(sql: str) -> None:
    assert split_statements(sql)[0][1].startswith(sql[:10])
