"""The import contracts of pyproject.toml hold, and each of them notices what it is there for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Lines appended to modules of a copy of the package (made where they don't exist), by the contract that must break.
PLANTS = {
    "Imports point only downwards": {"errors.py": "from trunkline import settings"},
    "Inside a feature: endpoints, service, repository, models": {
        "agents/service.py": "",
        "agents/repository.py": "from trunkline.agents import service",
    },
    "A repository is imported by its own feature only": {
        "organizations/repository.py": "",
        "agents/service.py": "from trunkline.organizations import repository",
    },
    "LangChain and LangGraph are imported in runtime only": {"usage/models.py": "import langgraph"},
    "The engines read no settings and need no server library": {"postgres/locks.py": "import fastapi"},
}


def lint(source: Path) -> subprocess.CompletedProcess[str]:
    """lint-imports over the package in the folder `source`."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    return subprocess.run(
        [*command, "--config", ROOT / "pyproject.toml"],
        cwd=source,
        env=os.environ | {"PYTHONPATH": str(source), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def copy_of_the_package(folder: Path) -> Path:
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    return source


def plant(source: Path, lines: dict[str, str]) -> None:
    for name, line in lines.items():
        with (source / "trunkline" / name).open("a") as module:
            module.write(f"\n{line}\n")


def test_the_package_keeps_every_contract() -> None:
    result = lint(ROOT / "src")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_catches_a_planted_violation(tmp_path: Path) -> None:
    source = copy_of_the_package(tmp_path)
    for lines in PLANTS.values():
        plant(source, lines)
    broken = set(re.findall(r"^(.+) BROKEN", lint(source).stdout, re.MULTILINE))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert broken == {contract["name"] for contract in contracts}


def test_a_module_without_a_layer_is_refused(tmp_path: Path) -> None:
    source = copy_of_the_package(tmp_path)
    plant(source, {"stray.py": ""})
    result = lint(source)
    assert result.returncode == 1
    assert "trunkline.stray" in result.stdout


def test_every_engine_is_under_the_engines_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each["name"].startswith("The engines"))
    engines = {name for name in ("postgres", "migration", "readiness") if (ROOT / "src/trunkline" / name).is_dir()}
    assert set(contract["source_modules"]) == {f"trunkline.{engine}" for engine in engines}
