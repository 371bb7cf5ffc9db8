"""How the command line speaks: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console(highlight=False)
progress = Console(stderr=True, highlight=False)


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="text to read, json for scripts.")]


def fail(sentence: str) -> None:
    """Say what went wrong, on stderr."""
    progress.print(f"[bold red]trunkline:[/] {escape(sentence)}", soft_wrap=True)


def print_json(value: Any) -> None:
    """A value as JSON on stdout; ids and times as text."""
    print(json.dumps(value, default=str, indent=2, ensure_ascii=False))  # noqa: T201  plain, whatever the width of the terminal


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], style: Format) -> None:
    """Rows as a table, or as JSON."""
    if style is Format.JSON:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if row[column] is None else str(row[column])) for column in columns))
    out.print(table)
