"""An analysis beside others: it leaves nothing behind, holds nobody up, and waits for nobody."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
import pytest
from tests.factories.legacy.make import Generation, make_legacy
from tests.factories.legacy.variations import CONTENT_FOR_TEXT, ENUM_ROLE, VARIATIONS

from trunkline.models import Base
from trunkline.postgres import tools
from trunkline.readiness import analyse, target_of

OURS = target_of(Base.metadata, name="Trunkline")


def dumped(url: str) -> str:
    """Schema, rows and values of sequences, as pg_dump writes them."""
    target = tools.target_of(url)
    with tools.connected(target) as connection:
        program = tools.client_program("pg_dump", at_least=tools.server_major(connection))
    command = [program, "--no-password", target.argument()]
    done = subprocess.run(
        command,
        env=target.environment(),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    lines = done.stdout.splitlines()
    return "\n".join(each for each in lines if not each.startswith(("\\restrict", "\\unrestrict")))  # a random word


@pytest.mark.parametrize("generation", ["newer", "older"])
def test_nothing_is_left_behind(empty_url: str, generation: Generation) -> None:
    possible = [each for each in VARIATIONS if generation in each.generations]
    make_legacy(empty_url, generation, [each for each in possible if each not in (ENUM_ROLE, CONTENT_FOR_TEXT)])
    before = dumped(empty_url)
    assert "setval" in before
    analyse(empty_url, OURS)
    assert dumped(empty_url) == before


@pytest.mark.parametrize("deep", [False, True])
def test_nobody_who_writes_is_held_up(empty_url: str, deep: bool) -> None:
    make_legacy(empty_url, "newer")
    with _writer(empty_url) as failures:
        for _ in range(3):
            report = analyse(empty_url, OURS, deep=deep)
            assert report.not_checked == ()
    assert failures == []


@contextmanager
def _writer(url: str) -> Generator[list[str]]:
    """Somebody who writes to all tables without a pause, and waits for a lock no longer than 100 ms."""
    failures: list[str] = []
    stop, rounds = threading.Event(), 0

    def write() -> None:
        nonlocal rounds
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set lock_timeout = '100ms'")
            while not stop.is_set():
                try:
                    _write(connection)
                except psycopg.errors.LockNotAvailable as error:
                    failures.append(str(error))
                rounds += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join(timeout=30)
    assert rounds > 0


def _write(connection: psycopg.Connection) -> None:
    with connection.transaction():
        (session,) = connection.execute(
            "insert into chat_sessions (bot_id) select id from bots limit 1 returning id"
        ).fetchone() or (None,)
        connection.execute("insert into chat_messages (session_id, role, text) values (%s, 'user', 'x')", (session,))
        connection.execute("update bots set updated_at = now()")
        connection.execute("update organization_members set role = role")
        connection.execute("delete from chat_sessions where id = %s", (session,))


@pytest.mark.parametrize("mode", ["row exclusive", "share row exclusive", "exclusive"])
def test_it_waits_for_nobody_and_says_what_was_not_checked(empty_url: str, mode: str) -> None:
    make_legacy(empty_url, "newer")
    with psycopg.connect(empty_url) as other:
        other.execute("update chat_messages set text = text")
        other.execute(f"lock table chat_messages in {mode} mode".encode())
        report = analyse(empty_url, OURS)
        said = {each.what for each in report.not_checked if "chat_messages" in each.what}
        assert bool(said) == (mode != "row exclusive"), report.not_checked
        assert other.execute("select 1").fetchone() == (1,)
        other.rollback()
    assert analyse(empty_url, OURS).not_checked == ()
