"""What README shows of the analyser is what it says. `UPDATE_README=1` writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.factories.command import Command
from tests.factories.legacy.make import make_legacy

README = Path(__file__).parents[3] / "README.md"
EXAMPLE = re.compile(r"(?<=```console\n\$ trunkline readiness postgresql://…/chatbots\n).*?(?=```)", re.DOTALL)
OF_THE_MOMENT = re.compile(r"^database .*?\n(?=\n)", re.DOTALL | re.MULTILINE)
"""Name of the database, version of the server, time: they differ from run to run."""


async def test_the_example_in_readme_is_what_the_command_says(empty_url: str, tmp_path: Path) -> None:
    make_legacy(empty_url, "newer")
    command = Command({"TRUNKLINE_DATA_DIR": str(tmp_path)}, tmp_path)
    ran = await command.run("readiness", empty_url, COLUMNS="80")
    lines = [line.rstrip() for line in ran.out.splitlines()]
    said = "\n".join(lines[: _end_of_the_table(lines)])
    said = OF_THE_MOMENT.sub("", said)
    text = README.read_text()
    if os.environ.get("UPDATE_README"):
        README.write_text(EXAMPLE.sub(lambda _: said, text, count=1))
    shown = EXAMPLE.search(README.read_text())
    assert shown is not None
    assert shown[0] == said


def _end_of_the_table(lines: list[str]) -> int:
    """The line after the components."""
    return next(number for number, line in enumerate(lines) if line.startswith("Blockers"))
