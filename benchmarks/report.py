"""How the benchmarks tell what they found: a table for people, a file for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent / "results"

_out = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def say(line: str) -> None:
    """One line of progress."""
    _out.print(line, markup=False)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One table; all columns but the first are numbers."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    _out.print(table)


def save(name: str, results: Mapping[str, Any]) -> None:
    """Write `results/NAME.json`, with what it was measured on."""
    measured_on = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"measured_on": measured_on, **results}, indent=2) + "\n", encoding="utf-8")
    say(f"Written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
