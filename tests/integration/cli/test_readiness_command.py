"""`trunkline readiness` and `trunkline explain`, as people run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
from tests.factories.command import Command, Ran

from trunkline.db.urls import sqlalchemy_url
from trunkline.readiness.check import Check
from trunkline.readiness.checks import all_checks
from trunkline.readiness.report import Report

NARROW = {"COLUMNS": "80"}
EXAMPLE = ("--models", "trunkline.readiness.example:metadata")
SHOPS = """
    create table shops (
        id uuid primary key default gen_random_uuid(), owner_id uuid not null, name text not null,
        unique (owner_id, name)
    );
    create index on shops (owner_id);
"""
"""Half of the example's tables."""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, told no database."""
    return Command({"TRUNKLINE_DATA_DIR": str(tmp_path)}, tmp_path)


@pytest.fixture
def half_url(empty_url: str) -> str:
    """A database with half of the example's tables."""
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute(SHOPS.encode())
    return empty_url


async def analysed(command: Command, *arguments: str, status: int, **settings: str) -> Report:
    ran = await command.run("readiness", *arguments, "--format", "json", **settings)
    assert ran.status == status, ran
    assert ran.err == ""
    return Report.model_validate_json(ran.out)


def a_line(ran: Ran, status: int, says: str) -> None:
    """One sentence on stderr, nothing on stdout."""
    assert (ran.status, ran.out) == (status, ""), ran
    assert says in ran.err, ran
    assert ran.err.startswith("trunkline: ")


async def test_our_own_schema_is_ready(command: Command, owner_url: str) -> None:
    report = await analysed(command, owner_url, "--fail-on", "info", "--fail-under", "100", status=0)
    assert (report.verdict, report.score, report.status, report.findings) == ("ready", 100, "READY", ())
    shown = await command.works("readiness", owner_url, **NARROW)
    assert shown.startswith("READY   score 100 %\n")
    assert "Nothing found." in shown


async def test_the_url_may_be_in_the_environment_and_as_sqlalchemy_writes_it(command: Command, owner_url: str) -> None:
    url = sqlalchemy_url(owner_url).render_as_string(hide_password=False)
    assert url.startswith("postgresql+psycopg://")
    for name in ("TRUNKLINE_DATABASE_DIRECT_URL", "TRUNKLINE_DATABASE_URL"):
        report = await analysed(command, status=0, **{name: url})
        assert report.database == sqlalchemy_url(owner_url).database
    first = {"TRUNKLINE_DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none"}
    assert (await analysed(command, status=0, TRUNKLINE_DATABASE_DIRECT_URL=url, **first)).verdict == "ready"


async def test_text_fits_80_columns_without_colour_when_piped(command: Command, half_url: str) -> None:
    ran = await command.run("readiness", half_url, *EXAMPLE, "--all", **NARROW)
    assert ran.status == 1
    assert ran.err == "", "no progress where nobody watches"
    assert "\x1b" not in ran.out
    lines = [line for line in ran.out.splitlines() if not line.startswith("  $ ")]
    assert max(map(len, lines)) <= 80
    assert re.match(r"(NOT READY|PARTIALLY READY - NEEDS MIGRATION)   score \d+ %\n", ran.out)
    for part in (
        "Component",
        "Findings",
        "SCH001 blocker  Missing table: orders",
        "Migration at a glance",
        "Bottom line",
        "  $ ",
    ):
        assert part in ran.out, part
    brief = await command.run("readiness", half_url, *EXAMPLE, **NARROW)
    assert "--all shows them" in brief.out
    assert len(brief.out) < len(ran.out)


async def test_the_threshold_decides_the_exit_status(command: Command, half_url: str) -> None:
    some = ("--only", "SCH001")
    report = await analysed(command, half_url, *EXAMPLE, *some, status=1)
    assert {each.severity for each in report.findings} == {"blocker"}
    assert report.verdict == "not_ready"
    await analysed(command, half_url, *EXAMPLE, "--skip", "SCH001", "--fail-under", "100", status=1)


async def test_only_what_is_new_counts_over_a_baseline(command: Command, half_url: str) -> None:
    before = await command.run("readiness", half_url, *EXAMPLE, "--format", "json", "--output", "before.json")
    assert (before.status, before.out) == (1, "")
    assert before.err.endswith(": the report is in before.json.")
    old = Report.model_validate_json((command.folder / "before.json").read_bytes())
    same = await analysed(command, half_url, *EXAMPLE, "--baseline", "before.json", status=0)
    assert (same.findings, same.known_findings) == ((), len(old.findings))
    assert same.verdict == "not_ready"
    with psycopg.connect(half_url, autocommit=True) as connection:
        connection.execute("alter table shops drop column name")
    now = await analysed(command, half_url, *EXAMPLE, "--baseline", "before.json", status=1)
    assert "shops.name" in {each.object for each in now.findings}
    assert not {(each.code, each.object) for each in now.findings} & {(each.code, each.object) for each in old.findings}
    shown = await command.run("readiness", half_url, *EXAMPLE, "--baseline", "before.json")
    assert "in the baseline and not shown." in shown.out
    other = await command.run("readiness", half_url, "--baseline", "before.json")
    a_line(other, 2, "is a report about trunkline.readiness.example:metadata, and not about Trunkline")


async def test_a_finding_that_has_become_worse_is_new(command: Command, half_url: str) -> None:
    report = await analysed(command, half_url, *EXAMPLE, status=1)
    milder = tuple(each.model_copy(update={"severity": "info"}) for each in report.findings)
    (command.folder / "mild.json").write_text(report.model_copy(update={"findings": milder}).model_dump_json())
    again = await analysed(command, half_url, *EXAMPLE, "--baseline", "mild.json", status=1)
    assert again.known_findings == sum(each.severity == "info" for each in report.findings)


@pytest.mark.parametrize("style", ["text", "json", "markdown", "html", "sarif"])
async def test_every_format_is_written_into_a_file_whole(command: Command, half_url: str, style: str) -> None:
    arguments = ("readiness", half_url, *EXAMPLE, "--format", style)
    file = command.folder / f"report.{style}"
    file.write_text("old")
    ran = await command.run(*arguments, "--output", file.name)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.endswith(f": the report is in {file.name}.")
    assert [each.name for each in command.folder.glob("*report*")] == [file.name]
    printed = await command.run(*arguments, **NARROW)
    begins = 40 if style in ("text", "markdown", "html") else 1
    assert file.read_text()[:begins] == printed.out[:begins]
    assert "SCH001" in file.read_text()
    if style in ("json", "sarif"):
        json.loads(printed.out)


async def test_what_is_wrong_with_an_argument_is_said(command: Command, half_url: str) -> None:
    async def refuses(says: str, *arguments: str, **settings: str) -> None:
        a_line(await command.run("readiness", *arguments, **settings), 2, says)

    (command.folder / "empty.sql").write_text("-- nothing\n")
    (command.folder / "binary.sql").write_bytes(b"\xff\xfe\x00")
    (command.folder / "nul.sql").write_bytes(b"select 1;\0 select nothing;")
    (command.folder / "mad.py").write_text("class Mad(BaseException): pass\nraise Mad('of its own')\n")
    (command.folder / "odd.py").write_text(
        "from sqlalchemy import Column, MetaData, Table\nfrom sqlalchemy.types import NullType\n"
        "metadata = MetaData()\nTable('odd', metadata, Column('a', NullType()))\n"
    )
    (command.folder / "other.json").write_text('{"verdict": "ready"}')
    (command.folder / "hollow.py").write_text("from sqlalchemy import MetaData\nmetadata = MetaData()\nx = 1\n")
    (command.folder / "broken.py").write_text("print('hello')\nraise SystemExit('not today')\n")
    await refuses("Which database?")
    await refuses("can't be read", "mysql://user:hidden@host/name")
    await refuses("can't be read", "nonsense")
    await refuses("has no statement", half_url, "--sql", "empty.sql")
    await refuses("not text in UTF-8", half_url, "--sql", "binary.sql")
    await refuses("NUL byte", half_url, "--sql", "nul.sql")
    await refuses("Mad: of its own", half_url, "--models", "mad")
    await refuses("odd", half_url, "--models", "odd")
    await refuses("is no report", half_url, "--baseline", "other.json")
    await refuses("can't be imported", half_url, "--models", "nowhere.models:Base")
    await refuses("is no module's name", half_url, "--models", "models.py:Base")
    await refuses("declares no tables", half_url, "--models", "hollow")
    await refuses("is neither", half_url, "--models", "hollow:x")
    await refuses("has no y", half_url, "--models", "hollow:y")
    await refuses("has no Base and no metadata", half_url, "--models", "json")
    for wrong in (("--only", "SCH999"), ("--fail-on", "all"), ("--fail-under", "101"), ("--output", "no/where.json")):
        ran = await command.run("readiness", half_url, *wrong)
        assert (ran.status, ran.out) == (2, ""), ran
    broken = await command.run("readiness", half_url, "--models", "broken")
    assert (broken.status, broken.out) == (2, "")
    assert "SystemExit: not today." in broken.err
    assert "hello" in broken.err, "what a module prints must not get into the report"


async def test_models_are_found_in_the_current_folder(command: Command, half_url: str) -> None:
    (command.folder / "shop").mkdir()
    (command.folder / "shop" / "models.py").write_text(
        "from sqlalchemy import Text\n"
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n"
        "class Base(DeclarativeBase):\n    pass\n"
        "class Parcel(Base):\n    __tablename__ = 'parcels'\n    id: Mapped[int] = mapped_column(primary_key=True)\n"
    )
    for name in ("shop.models:Base", "shop.models", "shop.models:Base.metadata"):
        report = await analysed(command, half_url, "--models", name, "--only", "SCH001", status=1)
        assert [each.object for each in report.findings] == ["parcels"]
        assert report.target == name


async def test_a_file_of_statements_is_checked_and_never_run(command: Command, half_url: str) -> None:
    (command.folder / "queries.sql").write_text(
        "-- mine\nselect name from shops where id = :id;\ndelete from shops;\nselect parcel from shops;\n"
    )
    with psycopg.connect(half_url, autocommit=True) as connection:
        connection.execute("insert into shops (owner_id, name) values (gen_random_uuid(), 'a')")
        report = await analysed(
            command, half_url, *EXAMPLE, "--sql", "queries.sql", "--only", "CMP002", "--fail-on", "info", status=1
        )
        assert [("queries.sql:4" in each.object + each.evidence) for each in report.findings] == [True]
        assert connection.execute("select count(*) from shops").fetchone() == (1,)


async def test_what_could_not_be_reached_is_no_answer(command: Command, half_url: str) -> None:
    a_line(await command.run("readiness", "postgresql://nobody:hidden@127.0.0.1:1/none"), 3, "127.0.0.1")
    url = sqlalchemy_url(half_url).set(drivername="postgresql", password="hidden")
    ran = await command.run("readiness", url.render_as_string(hide_password=False))
    a_line(ran, 3, "password")
    assert "hidden" not in ran.err
    none = url.set(password=sqlalchemy_url(half_url).password, database="trunkline_test_nowhere")
    ran = await command.run("readiness", none.render_as_string(hide_password=False))
    a_line(ran, 3, "trunkline_test_nowhere")
    assert str(none.password) not in ran.err


async def test_what_could_not_be_checked_is_no_answer(command: Command, owner_url: str) -> None:
    """A role without rights on a database that would be ready: no score, no verdict."""
    role = f"{sqlalchemy_url(owner_url).database}_reader"
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'only-here'".encode())
        try:
            url = sqlalchemy_url(owner_url).set(drivername="postgresql", username=role, password="only-here")
            report = await analysed(command, url.render_as_string(hide_password=False), status=3)
        finally:
            connection.execute(f"drop role {role}".encode())
    assert (report.verdict, report.status) == ("unknown", "COULD NOT CHECK")
    assert report.not_checked


async def test_a_chosen_check_that_stays_open_is_no_answer_whatever_the_verdict(
    command: Command, owner_url: str
) -> None:
    role = f"{sqlalchemy_url(owner_url).database}_reader"
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("alter table agents drop column avatar_url")
        connection.execute(f"create role {role} login password 'only-here'".encode())
        try:
            url = sqlalchemy_url(owner_url).set(drivername="postgresql", username=role, password="only-here")
            there = url.render_as_string(hide_password=False)
            report = await analysed(command, there, "--only", "RLS007,RLS008", status=3)
            await analysed(command, there, "--only", "SCH001", status=0)
        finally:
            connection.execute(f"drop role {role}".encode())
    assert (report.verdict, report.findings) == ("not_ready", ())
    assert "that could hold a blocker could not be checked" in report.headline


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders, and other modes.")
async def test_the_report_goes_where_a_link_leads_and_keeps_what_stands_there(command: Command, half_url: str) -> None:
    arguments = ("readiness", half_url, *EXAMPLE, "--only", "SCH001", "--format", "json", "--output")
    real, link, pipe = (command.folder / name for name in ("real.json", "link.json", "pipe"))
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    assert (await command.run(*arguments, "link.json")).status == 1
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    Report.model_validate_json(real.read_bytes())
    os.mkfifo(pipe)
    reader = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
    assert (await command.run(*arguments, "pipe")).status == 1
    Report.model_validate_json(await reader)
    assert pipe.is_fifo()
    Report.model_validate_json((await command.run(*arguments, "/dev/stdout")).out)


async def test_an_interrupt_ends_it(command: Command) -> None:
    async with silent_server() as (url, reached):
        process = await command.start("readiness", url)
        try:
            async with asyncio.timeout(60):
                await reached.wait()
                process.send_signal(signal.SIGINT)
                out, err = await process.communicate()
        finally:
            await ended(process)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals.")
async def test_a_terminal_is_told_what_goes_on(command: Command) -> None:
    ours, theirs = os.openpty()
    async with silent_server() as (url, _):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trunkline", "readiness", url),
            stderr=theirs,
            env={**os.environ, **command.settings, "TERM": "xterm"},
        )
        try:
            async with asyncio.timeout(60):
                seen = b""
                while b"Connecting" not in seen:
                    seen += await asyncio.to_thread(os.read, ours, 1000)
        finally:
            await ended(process)
            os.close(theirs)
            os.close(ours)


@contextlib.asynccontextmanager
async def silent_server() -> AsyncGenerator[tuple[str, asyncio.Event]]:
    """A server that takes connections and says nothing; its URL, and whether somebody has come."""
    reached = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield f"postgresql://nobody@127.0.0.1:{server.sockets[0].getsockname()[1]}/none", reached


async def ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_explain_prints_one_check_or_lists_all(command: Command) -> None:
    listed = await command.works("explain", **NARROW)
    assert [check.code for check in all_checks() if check.code not in listed] == []
    check: Check = all_checks()[0]
    shown = await command.works("explain", check.code.lower(), **NARROW)
    for part in (check.code, check.title, *check.covers):
        assert part in shown
    near = await command.run("explain", "SHC001")
    assert (near.status, near.out) == (2, "")
    assert "SCH001" in near.err
