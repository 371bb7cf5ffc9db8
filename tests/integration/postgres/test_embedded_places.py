"""Where the embedded server keeps its data, as root and as an ordinary user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.integration.postgres.conftest import PACKAGES, QUICK, StartUser

from trunkline.errors import SetupError
from trunkline.postgres import place
from trunkline.postgres.binaries import bundled_prefix
from trunkline.postgres.embedded import EmbeddedServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def system_folder(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /var/lib/trunkline-postgres."""
    folder = data_dir / "system"
    monkeypatch.setattr(place, "SYSTEM_FOLDER", folder)
    return folder


@pytest.fixture
def closed(data_dir: Path) -> Generator[Path]:
    """A folder that only root can enter."""
    folder = data_dir / "closed"
    folder.mkdir(mode=0o700)
    yield folder
    for data in folder.iterdir():
        if (data / "postgres").exists():
            EmbeddedServer(data).stop()


@as_root
def test_root_hands_the_server_to_an_unprivileged_account(server: EmbeddedServer, data_dir: Path) -> None:
    data = server.start().data_folder
    pid = server.status().pid
    assert pid
    assert data == data_dir.resolve() / "postgres" / "data"
    owner = pwd.getpwuid(data.stat().st_uid).pw_name
    assert owner in place.UNPRIVILEGED
    shown = subprocess.run(["ps", "-o", "user=", "-p", str(pid)], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == owner


@as_root
def test_data_lies_in_the_system_folder_where_the_account_cannot_enter_ours(system_folder: Path, closed: Path) -> None:
    servers = [EmbeddedServer(closed / name, settings=QUICK) for name in ("one", "two")]
    found = [server.start().data_folder for server in servers]
    assert found[0] != found[1]
    for server, data in zip(servers, found, strict=True):
        assert data.is_relative_to(system_folder / "clusters")
        assert data.stat().st_mode & 0o777 == 0o700
        server.release()
        assert server.status().data_folder == data
        assert server.start().data_folder == data
        server.release()
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_moved_folder_keeps_its_data_and_a_copied_one_does_not_share_it(system_folder: Path, closed: Path) -> None:
    first = EmbeddedServer(closed / "first", settings=QUICK)
    data = first.start().data_folder
    first.release()
    shutil.copytree(closed / "first", closed / "copy")
    with pytest.raises(SetupError, match="is a copy of"):
        EmbeddedServer(closed / "copy").start()
    (closed / "first").rename(closed / "moved")
    moved = EmbeddedServer(closed / "moved", settings=QUICK)
    assert moved.start().data_folder == data
    moved.release()
    shutil.rmtree(closed / "copy")
    shutil.rmtree(system_folder)
    with pytest.raises(SetupError, match="is gone"):
        moved.start()
    shutil.rmtree(closed / "moved")


@as_root
def test_programs_are_copied_where_the_account_cannot_enter_their_folder(system_folder: Path, closed: Path) -> None:
    prefix = bundled_prefix()
    package = closed / "site-packages" / prefix.parent.name
    shutil.copytree(prefix, package / prefix.name)
    libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, package.with_name(libraries.name))
    server = EmbeddedServer(closed / "data", binaries=package / prefix.name, settings=QUICK)
    assert server.start().data_folder.is_relative_to(system_folder)
    (copied,) = (system_folder / "binaries").iterdir()
    for file in copied.rglob("*"):
        assert file.stat().st_uid == 0
        assert not file.stat().st_mode & 0o022
    server.release()
    server.start()
    assert list((system_folder / "binaries").iterdir()) == [copied]
    server.release()


@as_root
def test_an_ordinary_user_runs_it_as_is(data_dir: Path, start_user: StartUser) -> None:
    nobody = pwd.getpwnam("nobody")
    python = python_for(nobody.pw_uid)
    own = data_dir / "own"
    own.mkdir(mode=0o700)
    os.chown(own, nobody.pw_uid, -1)
    user = start_user(own, uid=nobody.pw_uid, python=python)
    assert user.stdout
    assert user.stdout.readline()
    assert {path.stat().st_uid for path in own.rglob("*")} == {nobody.pw_uid}
    # Root finds the same server, and leaves it with its owner.
    assert EmbeddedServer(own).status().users == (user.pid,)
    user.communicate("leave\n")
    assert not EmbeddedServer(own).status().running
    as_root = EmbeddedServer(own, settings=QUICK)
    assert as_root.start().data_folder.stat().st_uid == nobody.pw_uid
    as_root.release()
    # A folder of somebody else's is refused in words.
    (data_dir / "roots").mkdir(mode=0o755)
    refused = start_user(data_dir / "roots", uid=nobody.pw_uid, python=python)
    _, said = refused.communicate()
    assert "is not accessible for you" in said
    assert "Traceback" not in said


@as_user
def test_a_folder_that_cannot_be_written_is_named(data_dir: Path) -> None:
    data_dir.chmod(0o500)
    with pytest.raises(SetupError, match="is not accessible for you"):
        EmbeddedServer(data_dir).start()
    data_dir.chmod(0o700)


def python_for(uid: int) -> str:
    """A Python that this account can run, with our package within its reach."""
    program = "import sys; sys.path.append(sys.argv[1]); import trunkline.postgres.embedded"
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            tried = subprocess.run([python, "-c", program, PACKAGES[0]], user=uid, check=False, capture_output=True)
            if tried.returncode == 0:
                return python
    pytest.skip("no Python of 3.11 or later here can be run by another account")
