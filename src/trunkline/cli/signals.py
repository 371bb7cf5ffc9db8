"""What ends a command that runs until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def until_interrupted() -> Generator[None]:
    """Let Ctrl-C or a signal to stop end the block like its own end: it cleans up, and the command has succeeded."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.signal(number, _interrupt) for number in numbers if not _is_nohup(number)}
    try:
        yield
    except Interrupted:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupted(KeyboardInterrupt):
    """A signal to stop has come.

    A class of our own: where `exec` of a text was interrupted (each dataclass that is made does that), CPython takes
    a KeyboardInterrupt for unhandled, whoever handles it, and kills its process by SIGINT at the end.
    """


def _interrupt(*_: Any) -> None:
    raise Interrupted


def _is_nohup(number: int) -> bool:
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
