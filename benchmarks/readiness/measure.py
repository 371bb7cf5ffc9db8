"""Analyses, with the time that each took."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

from trunkline.models import Base
from trunkline.readiness import Event, analyse, target_of

OURS = target_of(Base.metadata, name="Trunkline")


@dataclass(frozen=True, slots=True)
class Timed:
    """One analysis."""

    seconds: float
    stages: dict[str, float]
    """Seconds by stage."""


def measure(url: str, rounds: int) -> list[Timed]:
    """Analyses one after the other; a first one, which warms, isn't counted."""
    analyse(url, OURS)
    return [timed(url) for _ in range(rounds)]


def timed(url: str) -> Timed:
    """One analysis, with how long each stage took."""
    stages: defaultdict[str, float] = defaultdict(float)
    began = last = time.perf_counter()
    stage = ""

    def note(event: Event) -> None:
        nonlocal last, stage
        now = time.perf_counter()
        stages[stage] += now - last
        last, stage = now, event.stage

    analyse(url, OURS, note)
    stages.pop("", None)
    return Timed(time.perf_counter() - began, dict(stages))


def analyse_for(url: str, seconds: float) -> int:
    """One analysis after the other for so long, one at least. Returns how many."""
    until, count = time.perf_counter() + seconds, 0
    while not count or time.perf_counter() < until:
        analyse(url, OURS)
        count += 1
    return count
