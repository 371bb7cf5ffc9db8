"""What ends a command that runs until it is told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Interrupted(KeyboardInterrupt):
    """A signal to stop has come.

    A class of our own: where `exec` of a text was interrupted (each dataclass that is made does that), CPython takes
    a KeyboardInterrupt for unhandled, whoever handles it, and kills its process by SIGINT at the end.
    """


@dataclass(slots=True)
class Stop:
    """Whether a signal to stop has come: what it raised may have been lost, as in the middle of an import."""

    is_wanted: bool = False

    def check(self) -> None:
        """End here if so."""
        if self.is_wanted:
            raise Interrupted


@contextmanager
def until_interrupted() -> Generator[Stop]:
    """Let Ctrl-C or a signal to stop end the block like its own end: it cleans up, and the command has succeeded."""
    stop = Stop()

    def interrupt(*_: Any) -> None:
        stop.is_wanted = True
        raise Interrupted

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers if not _is_nohup(number)}
    sys.unraisablehook = _tell_unless_interrupted
    try:
        yield stop
    except BaseException as error:
        if not _came_of_a_signal(error):
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = sys.__unraisablehook__


def _came_of_a_signal(error: BaseException | None) -> bool:
    """Also where something in between has made another error of it."""
    while error is not None and not isinstance(error, Interrupted):
        error = error.__cause__ or error.__context__
    return error is not None


def _tell_unless_interrupted(lost: sys.UnraisableHookArgs) -> None:
    """What was raised where nobody can catch it; a signal is remembered by `Stop`."""
    if not isinstance(lost.exc_value, Interrupted):
        sys.__unraisablehook__(lost)


def _is_nohup(number: int) -> bool:
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
