"""What a person sees of the set-up: how far it is, and what to do where it failed."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self


def say(text: str) -> None:
    """One line to the person who waits. Standard output is left to the command that follows."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Draws how far an installer is, which writes to `log` and downloads below `downloads` about `expected_mb` MB.

    On a terminal it is one line that changes, elsewhere a line every ten seconds.
    """

    def __init__(self, log: Path, downloads: Path, expected_mb: int) -> None:
        self._log = log
        self._downloads = downloads
        self._expected_mb = expected_mb
        self._terminal = sys.stderr.isatty()
        self._began = self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self) -> None:
        """Draw the present state, where it is time to."""
        now = time.monotonic()
        if not self._terminal and now - self._drawn < 10:
            return
        self._drawn = now
        text = f"  {now - self._began:3.0f} s  {self._step()}"
        if self._terminal:
            print(f"\r\x1b[K{text[:79]}", end="", file=sys.stderr, flush=True)
        else:
            say(text)

    def _step(self) -> str:
        """What the installer does now, by its own words."""
        pattern = r"^ *(Collecting|Downloading|Using cached|Processing|Installing collected) (\S+)"
        steps = re.findall(pattern, tail(self._log), re.MULTILINE)
        verb, what = steps[-1] if steps else ("", "packages")
        if verb == "Installing collected":
            return "unpacking"
        name = re.split(r"-\d|==", Path(what).name)[0]
        megabytes = sum(sizes(self._downloads)) / 1_000_000
        percent = min(99, 100 * megabytes / self._expected_mb)
        return f"{percent:2.0f} %  {megabytes:3.0f} of up to {self._expected_mb} MB  {name}"


def sizes(folder: Path) -> Iterator[int]:
    """Sizes in bytes of the files below `folder`, which come and go meanwhile."""
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                yield Path(path, name).stat().st_size
            except FileNotFoundError:
                continue


def tail(path: Path, size: int = 20_000) -> str:
    """The last `size` bytes of a text file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode(errors="replace")


def last_words(log: Path) -> str:
    """What the end of an installer's log means, and what to do."""
    text = tail(log).rpartition("\n$ ")[2]  # the last command's
    errors = [line.strip() for line in text.splitlines() if line.lower().startswith("error")]
    said = errors[-1] if errors else "The installer broke off without a word."
    return advice(text) or said


def advice(text: str) -> str | None:
    """The sentence for the first known cause found in `text`, None where none is."""
    lowered = text.lower()
    return next((sentence for signs, sentence in CAUSES.items() if any(sign in lowered for sign in signs)), None)


CAUSES = {
    ("do not match the hashes", "hash mismatch"): (
        "A downloaded package is not the one that requirements/ names by hash; it was not installed. A broken download "
        "passes when you try again; if it stays, the index or a proxy in between serves other files."
    ),
    ("no space left on device", "disk quota exceeded"): "The disk is full. Make room, then try again.",
    ("permission denied", "read-only file system"): (
        "This user may not write to .venv in the checkout. Use a checkout of your own, or run as the owner of this one."
    ),
    ("certificate_verify_failed", "sslerror", "ssl error"): (
        "The package index was reached, but its certificate is not trusted here. Behind a proxy that signs anew, name "
        "its certificate authority: PIP_CERT=/path/to/ca.pem"
    ),
    (
        "connection broken by",
        "failed to establish a new connection",
        "name resolution",
        "name or service not known",
        "network is unreachable",
        "connection refused",
        "connection reset",
        "timed out",
        "proxyerror",
    ): (
        "The package index does not answer. The first set-up needs the network, or a mirror that can be reached "
        "(PIP_INDEX_URL); later ones don't. Connect, then try again."
    ),
    ("no matching distribution found",): (
        "A package has no ready-made build for this Python or machine. There are builds of all of them for Python 3.11 "
        "to 3.14 on Linux (x86-64, arm64) and macOS (Apple silicon)."
    ),
}
"""Signs in lower case, any of which points to the cause; the first that fits counts."""
