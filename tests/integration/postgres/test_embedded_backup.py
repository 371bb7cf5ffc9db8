"""Dump and restore: everything comes back, and nothing is lost when it does not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql

from trunkline.errors import Conflict, DatabaseUnavailable, InvalidInput, SetupError
from trunkline.postgres.backup import UNFINISHED, dump, restore
from trunkline.postgres.embedded import EmbeddedServer, RunningServer
from trunkline.postgres.tools import Target, client_program, target_of

Result = TypeVar("Result")

FILLED = """
CREATE ROLE reader NOLOGIN;
CREATE ROLE writer NOLOGIN;
CREATE EXTENSION vector;
CREATE SCHEMA app;
CREATE TABLE app.notes (id int PRIMARY KEY, body text NOT NULL, embedding vector(2));
INSERT INTO app.notes SELECT n, 'note ' || n, '[1,2]' FROM generate_series(1, 5000) n;
ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.notes FORCE ROW LEVEL SECURITY;
CREATE POLICY readers ON app.notes FOR SELECT TO reader, writer USING (id < 10);
GRANT SELECT ON app.notes TO reader;
ALTER DATABASE filled SET search_path = app, public;
ALTER DATABASE filled SET work_mem = '7MB';
ALTER ROLE reader IN DATABASE filled SET statement_timeout = '3s';
REVOKE CONNECT ON DATABASE filled FROM PUBLIC;
GRANT CONNECT ON DATABASE filled TO reader;
"""

CONTENT = """
SELECT jsonb_build_object(
    'rows', (SELECT count(*) FROM app.notes),
    'sum', (SELECT sum(hashtext(n::text)) FROM app.notes n),
    'forced', (SELECT relforcerowsecurity FROM pg_class WHERE oid = 'app.notes'::regclass),
    'policy', (SELECT to_jsonb(p) FROM pg_policies p),
    'grants', (SELECT relacl FROM pg_class WHERE oid = 'app.notes'::regclass))
"""

PROPERTIES = """
SELECT jsonb_build_object(
    'acl', (SELECT array_agg(a::text ORDER BY a::text) FROM pg_database d, unnest(d.datacl) a
            WHERE d.datname = %(name)s),
    'settings', (SELECT jsonb_agg(s.setconfig ORDER BY s.setrole) FROM pg_db_role_setting s
                 JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = %(name)s),
    'locale', (SELECT datlocale FROM pg_database WHERE datname = %(name)s),
    'comment', (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %(name)s))
"""


@pytest.fixture
def running(server: EmbeddedServer) -> RunningServer:
    return server.start()


@pytest.fixture
def filled(running: RunningServer) -> Target:
    """A database with a bit of everything."""
    running.ensure_database("filled")
    with psycopg.connect(running.url("filled"), autocommit=True) as connection:
        connection.execute(FILLED.encode())
    return target_of(running.url("filled"))


@pytest.fixture
def dumped(filled: Target, data_dir: Path) -> Path:
    file = data_dir / "filled.dump"
    finish(dump(filled, file))
    return file


def test_a_restored_database_equals_the_dumped_one(running: RunningServer, filled: Target, dumped: Path) -> None:
    content, properties = contents(filled), properties_of(filled)
    assert dumped.stat().st_mode & 0o777 == 0o600
    execute(filled, "TRUNCATE app.notes; CREATE TABLE app.later ()")
    assert finish(restore(filled, dumped, clean=True)) == []
    assert contents(filled) == content
    assert properties_of(filled) == properties
    assert databases(running) == {"filled", "postgres"}


def test_it_comes_back_on_another_server_with_its_roles(dumped: Path, filled: Target, other: EmbeddedServer) -> None:
    running = other.start()
    running.ensure_database("trunkline")
    target = target_of(running.url("trunkline"))
    with pytest.raises(SetupError, match=r"Nothing was changed: .* role \"(reader|writer)\" does not exist"):
        finish(restore(target, dumped))
    notes = finish(restore(target, dumped, make_roles=True))
    assert notes == ["These roles were missing and are there now, without login: reader, writer."]
    assert contents(target) == contents(filled)
    with psycopg.connect(running.url()) as connection:
        roles = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname IN ('reader', 'writer')").fetchall()
    assert roles == [(False,), (False,)]
    assert databases(running) == {"trunkline", "postgres"}


def test_a_file_or_database_that_holds_something_is_not_replaced_unasked(filled: Target, dumped: Path) -> None:
    before = dumped.read_bytes()
    with pytest.raises(Conflict, match="--force"):
        finish(dump(filled, dumped))
    assert dumped.read_bytes() == before
    finish(dump(filled, dumped, replace=True))
    with pytest.raises(Conflict, match=r"not empty: it holds 1 .*--clean"):
        finish(restore(filled, dumped))


def test_a_database_in_use_is_not_replaced(running: RunningServer, filled: Target, dumped: Path) -> None:
    with psycopg.connect(running.url("filled")), pytest.raises(Conflict, match="in use by 1 connections"):
        finish(restore(filled, dumped, clean=True))


def test_a_damaged_dump_changes_nothing(running: RunningServer, filled: Target, dumped: Path, data_dir: Path) -> None:
    before = contents(filled)
    damaged = data_dir / "damaged.dump"
    damaged.write_bytes(dumped.read_bytes()[:-3000])
    with pytest.raises(SetupError, match="Nothing was changed"):
        finish(restore(filled, damaged, clean=True))
    damaged.write_bytes(b"no dump at all")
    with pytest.raises(InvalidInput, match="can't be read as a dump"):
        finish(restore(filled, damaged, clean=True))
    with pytest.raises(InvalidInput, match="There is no file"):
        finish(restore(filled, data_dir / "absent", clean=True))
    assert contents(filled) == before
    assert databases(running) == {"filled", "postgres"}


def test_what_is_left_by_a_killed_restore_is_cleared_by_the_next(
    running: RunningServer, filled: Target, dumped: Path
) -> None:
    before = contents(filled)
    program = (
        "import sys; from pathlib import Path; from trunkline.postgres import backup, tools\n"
        "steps = backup.restore(tools.target_of(sys.stdin.readline().strip()), Path(sys.argv[1]), clean=True)\n"
        "[print(step, flush=True) for step in steps if 'processing data' in step and not sys.stdin.readline()]\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(dumped)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as restoring:
        assert restoring.stdin
        restoring.stdin.write(running.url("filled") + "\n")
        restoring.stdin.flush()
        eventually_a_database_is_unfinished(running)
        os.kill(restoring.pid, signal.SIGKILL)
    assert contents(filled) == before
    deadline = time.monotonic() + 60
    while len(databases(running)) > 2:
        assert time.monotonic() < deadline
        with contextlib.suppress(Conflict):  # the killed one's pg_restore may still be at it
            finish(restore(filled, dumped, clean=True))
    assert contents(filled) == before


def test_an_interrupted_dump_leaves_no_file(filled: Target, data_dir: Path) -> None:
    steps = dump(filled, data_dir / "cut.dump")
    assert next(steps)
    assert list(data_dir.glob(".cut.dump.*.part"))
    steps.close()
    assert not list(data_dir.glob("*cut.dump*"))


def test_what_cannot_be_reached_or_written_is_named(running: RunningServer, filled: Target, data_dir: Path) -> None:
    with pytest.raises(SetupError, match="No such file or directory"):
        finish(dump(filled, data_dir / "no" / "folder"))
    wrong = target_of(running.url("filled", "postgres", "wrong"))
    with pytest.raises(DatabaseUnavailable, match="password authentication failed") as caught:
        finish(dump(wrong, data_dir / "x"))
    assert "wrong" not in str(caught.value)
    with pytest.raises(DatabaseUnavailable, match=r"does not let us in: Connection refused\."):
        finish(dump(target_of("postgresql://somebody@127.0.0.1:1/x"), data_dir / "x"))
    with pytest.raises(SetupError, match=r"pg_dump 99 or later is needed for this server\. Found only"):
        client_program("pg_dump", at_least=99)


def finish(steps: Generator[str, None, Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def execute(target: Target, statements: str) -> None:
    with psycopg.connect(target.url(), autocommit=True) as connection:
        connection.execute(statements.encode())


def contents(target: Target) -> object:
    with psycopg.connect(target.url()) as connection:
        return connection.execute(CONTENT.encode()).fetchone()


def properties_of(target: Target) -> object:
    with psycopg.connect(target.url()) as connection:
        return connection.execute(PROPERTIES.encode(), {"name": target.database}).fetchone()


def databases(running: RunningServer) -> set[str]:
    with psycopg.connect(running.url()) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")}


def eventually_a_database_is_unfinished(running: RunningServer) -> None:
    deadline = time.monotonic() + 60
    with psycopg.connect(running.url(), autocommit=True) as connection:
        found = sql.SQL("SELECT FROM pg_shdescription WHERE description = {}").format(sql.Literal(UNFINISHED))
        while not connection.execute(found).fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.001)
