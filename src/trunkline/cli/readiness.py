"""`trunkline readiness` and `trunkline explain`: is this database ready for this code, and what does a check say."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from trunkline.cli.console import fail, out, progress
from trunkline.errors import SetupError, TrunklineError

if TYPE_CHECKING:
    from trunkline.readiness.report import Report
    from trunkline.readiness.runner import Event

FOUND, COULD_NOT_CHECK = 1, 3
"""Exit statuses; 0 is ready, 2 a wrong argument, 130 interrupted."""

_POSTGRES = re.compile(r"\s*(?:postgres(?:ql)?(?:\+\w+)?://|\w+\s*=)")
"""A URL, as libpq or SQLAlchemy writes it, or libpq's `host=… dbname=…`."""


class ReportFormat(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    SARIF = "sarif"


class Threshold(StrEnum):
    """How bad a finding has to be."""

    BLOCKER = "blocker"
    MAJOR = "major"
    MINOR = "minor"
    INFO = "info"


def readiness(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="DATABASE_URL",
            help="The database; else TRUNKLINE_DATABASE_DIRECT_URL, or TRUNKLINE_DATABASE_URL.",
            show_default=False,
        ),
    ] = None,
    *,
    models: Annotated[
        str | None,
        typer.Option(metavar="MODULE:BASE", help="SQLAlchemy models to compare with, in place of Trunkline's."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read tables in full; try writes where triggers and sequences are, too.")
    ] = False,
    sql: Annotated[
        Path | None,
        typer.Option(help="A file of statements of yours: would they run?", exists=True, dir_okay=False, readable=True),
    ] = None,
    style: Annotated[ReportFormat, typer.Option("--format", help="How the report is written.")] = ReportFormat.TEXT,
    output: Annotated[
        Path | None, typer.Option(help="Write the report into this file.", dir_okay=False, writable=True)
    ] = None,
    fail_on: Annotated[
        Threshold, typer.Option(help="Exit 1 for findings as bad as this, or worse.")
    ] = Threshold.BLOCKER,
    fail_under: Annotated[
        int | None, typer.Option(help="Exit 1 for a score below this.", min=0, max=100, show_default=False)
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="A report (JSON) of before: only what is new counts.", exists=True, dir_okay=False, readable=True
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Only these checks.")] = None,
    skip: Annotated[list[str] | None, typer.Option(metavar="CODE", help="All checks but these.")] = None,
    show_all: Annotated[bool, typer.Option("--all", "-v", help="Text: every finding in full.")] = False,
) -> None:
    """Tell whether a database is ready for the code, by looking and by trying. Changes nothing.

    Exit status: 0 nothing found at or over --fail-on, 1 something found, 2 usage, 3 could not check all that could
    reach --fail-on, 130 interrupted.
    """
    _refuse_unwritable(output)
    chosen, skipped = _codes(only), _codes(skip)
    with _usage():
        database = _database_url(url)
        statements = _statements(sql)
        before = _baseline(baseline, models)
    with _could_not_check():
        from trunkline.cli.target import load_target
        from trunkline.readiness.runner import analyse

        with _usage():
            target = load_target(models)
        with _progress() as on_event:
            report = analyse(database, target, on_event, deep=deep, statements=statements, only=chosen, skip=skipped)
        if before is not None:
            report = _only_new(report, before)
        _show(report, style, output, show_all=show_all)
    raise typer.Exit(_status(report, fail_on, fail_under, chosen, skipped))


def explain(
    code: Annotated[str | None, typer.Argument(help="Code of a check, as RLS003; all are listed without.")] = None,
) -> None:
    """Print what a check looks at, why it matters and what to do."""
    from trunkline.cli.readiness_text import draw_check, draw_checks
    from trunkline.readiness.checks import all_checks

    checks = {check.code: check for check in all_checks()}
    if code is None:
        draw_checks(out, checks.values())
        return
    check = checks.get(code.upper())
    if check is None:
        raise typer.BadParameter(_unknown(code, list(checks)))
    draw_check(out, check)


def _status(
    report: Report, fail_on: Threshold, fail_under: int | None, chosen: Sequence[str], skipped: Sequence[str]
) -> int:
    """What was found comes first; without it, an open question is no answer that a pipeline may take for one."""
    from trunkline.readiness.checks import all_checks
    from trunkline.readiness.outlook import open_questions

    if report.at_least(fail_on.value):
        return FOUND
    if fail_under is not None and report.score is not None and report.score < fail_under:
        return FOUND
    checks = [each for each in all_checks() if (not chosen or each.code in chosen) and each.code not in skipped]
    is_open = report.verdict == "unknown" or open_questions(report.not_checked, checks, fail_on.value)
    return COULD_NOT_CHECK if is_open or (fail_under is not None and report.score is None) else 0


@contextlib.contextmanager
def _usage() -> Generator[None]:
    """What is wrong with an argument ends with status 2."""
    try:
        yield
    except SetupError as error:
        fail(error.detail)
        raise typer.Exit(2) from None


@contextlib.contextmanager
def _could_not_check() -> Generator[None]:
    """Whatever goes wrong ends with status 3, since 1 means that something was found."""
    try:
        yield
    except TrunklineError as error:
        fail(error.detail)
        raise typer.Exit(COULD_NOT_CHECK) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if os.environ.get("TRUNKLINE_DEBUG"):
            raise
        reason = str(error).strip().partition("\n")[0][:300]
        fail(f"This should not happen: {type(error).__name__}: {reason}. TRUNKLINE_DEBUG=1 shows where.")
        raise typer.Exit(COULD_NOT_CHECK) from None


def _database_url(given: str | None) -> str:
    """The URL that is given, or the one of the settings.

    Raises:
        SetupError: there is none, or it is for another kind of database. It is never repeated: it may have a password.
    """
    from trunkline.settings import load_settings

    settings = load_settings().database
    secret = settings.direct_url or settings.url
    url = given or (secret.get_secret_value() if secret else "")
    if not url:
        raise SetupError("Which database? Give its URL, or set TRUNKLINE_DATABASE_DIRECT_URL.")
    if not _POSTGRES.match(url):
        raise SetupError("The database URL can't be read. It looks like postgresql://user:password@host:5432/name.")
    return url


def _statements(file: Path | None) -> list[tuple[str, str]]:
    """The user's statements, each labelled with its file and line."""
    from trunkline.readiness.sql_file import split_statements

    if file is None:
        return []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SetupError(f"{file} is not text in UTF-8.") from None
    if "\0" in text:
        raise SetupError(f"{file} is no text: it has a NUL byte, which PostgreSQL can't take.")
    found = [(f"{file.name}:{line}", statement) for line, statement in split_statements(text)]
    if not found:
        raise SetupError(f"{file} has no statement.")
    return found


def _baseline(file: Path | None, models: str | None) -> Report | None:
    from pydantic import ValidationError

    from trunkline.readiness.report import Report

    if file is None:
        return None
    try:
        report = Report.model_validate_json(file.read_bytes())
    except ValidationError:
        raise SetupError(
            f"{file} is no report. Write one by: trunkline readiness --format json --output {file}."
        ) from None
    target = models or "Trunkline"
    if report.target != target:
        raise SetupError(f"{file} is a report about {report.target}, and not about {target}.")
    return report


def _only_new(report: Report, before: Report) -> Report:
    """Without the findings that were there before, no less severe."""
    from trunkline.readiness.report import SEVERITIES

    rank = SEVERITIES.index
    worst: dict[tuple[str, str], int] = {}
    for each in before.findings:
        key = (each.code, each.object)
        worst[key] = min(rank(each.severity), worst.get(key, len(SEVERITIES)))
    new = [
        each for each in report.findings if rank(each.severity) < worst.get((each.code, each.object), len(SEVERITIES))
    ]
    return report.model_copy(update={"findings": tuple(new), "known_findings": len(report.findings) - len(new)})


def _codes(given: list[str] | None) -> list[str]:
    """Codes as given, apart or with commas between.

    Raises:
        typer.BadParameter: there is no such check.
    """
    codes = [code.strip().upper() for each in given or () for code in each.split(",") if code.strip()]
    if codes:
        from trunkline.readiness.checks import all_checks

        known = [check.code for check in all_checks()]
        for code in codes:
            if code not in known:
                raise typer.BadParameter(_unknown(code, known))
    return codes


def _unknown(code: str, known: list[str]) -> str:
    near = difflib.get_close_matches(code.upper(), known, n=4, cutoff=0.5)
    return (
        f"There is no check {code!r}. {'Near: ' + ', '.join(near) + '.' if near else '`trunkline explain` lists all.'}"
    )


@contextlib.contextmanager
def _progress() -> Generator[Callable[[Event], None] | None]:
    """A line that tells what goes on, once that has taken a second; nothing where nobody watches."""
    if not progress.is_terminal:
        yield None
        return
    line = progress.status("Connecting")
    timer = threading.Timer(1.0, line.start)
    timer.daemon = True
    timer.start()

    def tell(event: Event) -> None:
        share = f" ({100 * event.done // event.total} %)" if event.total else ""
        line.update(escape(f"{event.stage}{share}"))

    try:
        yield tell
    finally:
        timer.cancel()
        timer.join()
        line.stop()


def _refuse_unwritable(file: Path | None) -> None:
    """Before the work, not after it."""
    if file is not None and not _is_special(file) and not os.access(file.resolve().parent, os.W_OK):
        raise typer.BadParameter(f"{file.parent} is no folder that can be written.", param_hint="--output")


def _is_special(file: Path) -> bool:
    """Whether a device or a pipe stands there: it is written to, and never replaced."""
    return file.exists() and not file.is_file()


def _show(report: Report, style: ReportFormat, output: Path | None, *, show_all: bool) -> None:
    if output is not None:
        _write(output, _text(report, style, show_all=show_all))
        progress.print(escape(f"{report.status}: the report is in {output}."), soft_wrap=True)
    elif style is ReportFormat.TEXT:
        from trunkline.cli.readiness_text import draw

        _encode(errors="replace")
        draw(out, report, show_all=show_all)
    else:
        _encode(encoding="utf-8")
        print(_text(report, style, show_all=show_all), end="")  # noqa: T201  as it is, for files and pipes


def _encode(*, encoding: str | None = None, errors: str | None = None) -> None:
    """How stdout writes letters that the terminal may not have: programs get UTF-8, people a question mark."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # stdout may have been put in another's place
    if reconfigure is not None:
        reconfigure(encoding=encoding, errors=errors)


def _text(report: Report, style: ReportFormat, *, show_all: bool) -> str:
    if style is not ReportFormat.TEXT:
        from trunkline.readiness.render import RENDERERS

        return RENDERERS[style.value](report)
    from trunkline.cli.readiness_text import draw

    paper = io.StringIO()
    draw(Console(file=paper, width=80, highlight=False, color_system=None), report, show_all=show_all)
    return "".join(f"{line.rstrip()}\n" for line in paper.getvalue().splitlines())


def _write(file: Path, text: str) -> None:
    """All of it or nothing: a reader finds the old report or the new one, where its link leads and with its mode.

    Raises:
        SetupError: the disk is full, or refuses.
    """
    place = file.resolve()
    fresh = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        if _is_special(file):
            with file.open("w", encoding="utf-8") as pipe:
                pipe.write(text)
            return
        if place.exists():
            fresh.touch(mode=0o600)
            fresh.chmod(stat.S_IMODE(place.stat().st_mode))
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(place)
    except OSError as error:
        raise SetupError(f"{file} can't be written: {error.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
