"""Why PostgreSQL did not start, in one sentence."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Generator
from pathlib import Path

from trunkline.errors import SetupError

_SEVERE = re.compile(r"^.*?\b(?:FATAL|PANIC|[Ee]rror|ERROR):\s+(?P<message>.+)$", re.MULTILINE)

_ADVICE = (
    ("No space left on device", "The disk is full: free some space."),
    ("Permission denied", "Give the account that runs PostgreSQL access to that."),
    ("shared memory", "Give the machine or container more memory (for Docker: --shm-size)."),
    ("Cannot allocate memory", "Give the machine or container more memory."),
    ("could not fork", "Allow more processes (ulimit -u)."),
    ("invalid value for parameter", "Correct the setting."),
    ("unrecognized configuration parameter", "Correct the setting."),
)


def port_is_taken(output: str) -> bool:
    """Tell whether the server ended since another one has its port."""
    return "Address already in use" in output


def explain_failure(output: str, cluster: Path, *, port: int) -> SetupError:
    """The error for a server (or initdb) that ended with this output. `port` is the one asked for, 0 for any."""
    if port and port_is_taken(output):
        return SetupError(f"Port {port} on 127.0.0.1 is taken. End the program that has it, or choose another port.")
    severe = [match["message"] for match in _SEVERE.finditer(output)]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    cause = severe[-1] if severe else lines[-1] if lines else "it said nothing"
    advice = ""
    known = [(message, advice) for sign, advice in _ADVICE for message in severe if sign in message]
    if known:  # what follows it in the output are its consequences
        cause, advice = known[0]
    return SetupError(f"The embedded PostgreSQL at {cluster} did not start: {cause.rstrip('.')}. {advice}".rstrip())


@contextlib.contextmanager
def explain_os_error(folder: Path) -> Generator[None]:
    """Turn the system's refusals inside a block into sentences about this folder.

    Raises:
        SetupError: no access, no space, or another refusal of the system.
    """
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        if isinstance(error, PermissionError):
            reason = f"{path} is not accessible for you. Use the account that it belongs to, or set TRUNKLINE_DATA_DIR"
        elif error.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason = f"The disk that has {path} is full. Free some space"
        elif error.errno == errno.EROFS:
            reason = f"{path} can't be written: the file system is read-only. Set TRUNKLINE_DATA_DIR"
        elif error.errno == errno.ENOLCK:
            reason = f"The file system of {path} has no locks. Set TRUNKLINE_DATA_DIR to a folder on a local disk"
        else:
            reason = f"{path}: {error.strerror or error}"
        raise SetupError(f"The embedded PostgreSQL can't use its folder. {reason}.") from error
