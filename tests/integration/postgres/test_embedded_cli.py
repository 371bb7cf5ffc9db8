"""`trunkline db`, run as people run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from trunkline.postgres.embedded import EmbeddedServer

PROGRAM = "from trunkline.cli import main; main()"

Db = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def db(data_dir: Path) -> Db:
    """Run `trunkline db …` on this data folder, or with further settings."""

    def run(*arguments: str, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, "db", *arguments],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            cwd=data_dir,
            env={**os.environ, "TRUNKLINE_DATA_DIR": str(data_dir), **settings},
        )

    return run


def test_start_keeps_it_up_until_stop(db: Db, data_dir: Path) -> None:
    assert facts(db)["running"] is False
    started = db("start", "--format", "json")
    assert started.returncode == 0, started.stderr
    shown = facts(db)
    assert (shown["running"], shown["kept"], shown["users"]) == (True, True, [])
    assert shown["port"] == json.loads(started.stdout)["port"]
    assert shown["data"] == str(data_dir.resolve() / "postgres" / "data")
    assert "yes" in db("status").stdout
    assert db("stop").stdout == "PostgreSQL is stopped.\n"
    assert db("stop").stdout == "PostgreSQL was not running.\n"
    assert facts(db)["running"] is False


def test_shell_dump_and_restore_work_on_the_application_database(db: Db) -> None:
    psql = db("shell", typed="SELECT current_database(); CREATE TABLE kept AS SELECT 42 AS number;\n\\q\n")
    assert psql.returncode == 0, psql.stderr
    assert "trunkline" in psql.stdout
    dumped = db("dump", "saved.dump")
    assert dumped.returncode == 0, dumped.stderr
    assert "saved.dump holds the database" in dumped.stdout
    refused = db("restore", "saved.dump")
    assert (refused.returncode, "--clean" in refused.stderr) == (1, True)
    db("shell", typed="DROP TABLE kept;")
    restored = db("restore", "saved.dump")
    assert restored.returncode == 0, restored.stderr
    assert "42" in db("shell", typed="TABLE kept;").stdout
    assert facts(db)["running"] is False  # none of these commands leaves it running


def test_psqls_exit_status_is_ours(db: Db) -> None:
    assert db("shell", typed="\\set ON_ERROR_STOP on\nSELECT 1/0;\n").returncode == 3


def test_a_server_of_ones_own_is_used_and_never_started_or_stopped(
    db: Db, data_dir: Path, other: EmbeddedServer
) -> None:
    running = other.start()  # stands for a server that somebody else runs
    running.ensure_database("mine")
    own = {"TRUNKLINE_DATABASE_URL": running.url("mine")}
    for command in ("start", "stop"):
        refused = db(command, **own)
        assert refused.returncode == 1
        assert f"the server at 127.0.0.1:{running.port} (TRUNKLINE_DATABASE_URL)" in refused.stderr
    shown = json.loads(db("status", "--format", "json", **own).stdout)
    assert (shown["kind"], shown["database"], shown["version"]) == ("own", "mine", other.status().version)
    db("shell", typed="CREATE TABLE kept AS SELECT 42 AS number;", **own)
    assert db("dump", "own.dump", **own).returncode == 0
    assert db("restore", "--clean", "own.dump", **own).returncode == 0
    with psycopg.connect(running.url("mine")) as connection:
        assert connection.execute("TABLE kept").fetchall() == [(42,)]
    assert not (data_dir / "postgres").exists()


def test_a_server_of_ones_own_that_is_down_is_named(db: Db) -> None:
    shown = db("status", TRUNKLINE_DATABASE_URL="postgresql://somebody:hush@127.0.0.1:1/mine")
    assert shown.returncode == 1
    assert "127.0.0.1:1 does not let us in: Connection refused." in shown.stderr
    assert "hush" not in shown.stderr


def facts(db: Db) -> dict[str, object]:
    shown = db("status", "--format", "json")
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)
