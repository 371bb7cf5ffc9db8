"""The set-up that every make target begins with, run for real on a small project that needs no network."""

from __future__ import annotations

import ast
import base64
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "ourselves"
version = "1"
"""

BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "ourselves-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("ourselves.py", "")
        wheel.writestr("ourselves-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ourselves\\nVersion: 1\\n")
        wheel.writestr("ourselves-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("ourselves-1.dist-info/RECORD", "")
    return name
"""


class Checkout:
    """A project with our Makefile and scripts whose requirements are wheels made here."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a check out"  # the name has spaces on purpose
        self.wheels = folder / "wheels"
        (self.root / "requirements").mkdir(parents=True)
        self.wheels.mkdir()
        shutil.copy(ROOT / "Makefile", self.root)
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "backend.py").write_text(BACKEND)
        self.require("dev", "tiny", "1")
        self.require("run", "tiny", "1")
        self.require("weights", "weighty", "1")
        # A PATH with this very Python, the tools that make needs, and no uv.
        tools = folder / "tools"
        tools.mkdir()
        (tools / "python3").symlink_to(Path(sys.executable).resolve())
        self.environment = {
            "PATH": f"{tools}:/usr/bin:/bin",
            "HOME": str(folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
        }

    def require(self, lock: str, name: str, version: str) -> None:
        """Make a wheel and let `lock` ask for it, by hash."""
        wheel = self.wheels / f"{name}-{version}-py3-none-any.whl"
        if not wheel.exists():
            write_wheel(wheel, name, version)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.root / "requirements" / f"{lock}.txt").write_text(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`make -C` from another folder."""
        return subprocess.run(
            ["make", "--no-print-directory", "-C", self.root, *arguments],
            cwd="/",
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    @contextmanager
    def setup(self, *command: str) -> Generator[subprocess.Popen[str]]:
        """The set-up alone, as a process of ours; ended at the end."""
        process = subprocess.Popen(
            ["sh", "scripts/setup.sh", "run", *command],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def installed(self, module: str) -> str | None:
        """The version of an installed module, None where it isn't."""
        found = subprocess.run(
            [self.root / ".venv/bin/python", "-c", f"import {module}; print({module}.VERSION)"],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() or None


def write_wheel(path: Path, name: str, version: str) -> None:
    information = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        record = ""
        for file, text in files.items():
            wheel.writestr(file, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{file},sha256={digest},{len(text)}\n"
        wheel.writestr(f"{information}/RECORD", f"{record}{information}/RECORD,,\n")


def wait_until_written(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} was never written to {path}"
        time.sleep(0.005)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_second_time_does_and_says_nothing(checkout: Checkout) -> None:
    first = checkout.make("setup")
    assert first.returncode == 0, first.stderr
    assert (checkout.installed("tiny"), checkout.installed("weighty")) == ("1", "1")
    log = checkout.root / ".venv/setup.log"
    log.unlink()
    second = checkout.make("setup", PIP_FIND_LINKS="/nowhere")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert not log.exists()


def test_a_changed_requirement_or_place_is_noticed(checkout: Checkout) -> None:
    assert checkout.make("setup").returncode == 0
    checkout.require("run", "tiny", "2")
    assert checkout.make("setup").returncode == 0
    assert checkout.installed("tiny") == "2"
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    assert checkout.make("setup").returncode == 0
    pip = (checkout.root / ".venv/bin/pip3").read_text()
    assert str(checkout.root) in pip.splitlines()[0]


def test_a_package_with_another_hash_is_not_installed(checkout: Checkout) -> None:
    with zipfile.ZipFile(checkout.wheels / "tiny-1-py3-none-any.whl", "a") as wheel:
        wheel.writestr("unwanted.py", "")
    result = checkout.make("setup")
    assert result.returncode != 0
    assert "not the one that requirements/ names by hash" in result.stderr
    assert "Traceback" not in result.stderr
    assert checkout.installed("tiny") is None


def test_without_a_network_one_sentence_says_so(checkout: Checkout) -> None:
    del checkout.environment["PIP_NO_INDEX"], checkout.environment["PIP_FIND_LINKS"]
    result = checkout.make("setup", PIP_INDEX_URL="http://127.0.0.1:1/simple", PIP_RETRIES="1")
    assert result.returncode != 0
    assert "The package index does not answer." in result.stderr
    assert "Traceback" not in result.stderr


def test_a_set_up_waits_for_another(checkout: Checkout) -> None:
    lock = checkout.root / ".venv/setup.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with checkout.setup() as process:
            assert process.stderr
            assert process.stderr.readline() == "Another set-up of this folder is at work; waiting for it.\n"
            fcntl.flock(held, fcntl.LOCK_UN)
            process.communicate(timeout=60)
    assert process.returncode == 0
    assert checkout.installed("tiny") == "1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_set_up_that_was_ended_is_taken_up_again(checkout: Checkout, number: signal.Signals) -> None:
    with checkout.setup() as process:
        wait_until_written(checkout.root / ".venv/setup.log", "ensurepip")
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    result = checkout.make("setup")
    assert result.returncode == 0, result.stderr
    assert checkout.installed("tiny") == "1"


def test_the_command_takes_the_place_of_the_set_up(checkout: Checkout) -> None:
    """So a signal to make reaches it, and its exit status and its output are make's own."""
    assert checkout.make("setup").returncode == 0
    with checkout.setup(".venv/bin/python", "-c", "import os; print(os.getpid()); raise SystemExit(7)") as process:
        output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == (f"{process.pid}\n", 7)


def test_a_python_that_is_too_old_is_told_so() -> None:
    pretend = "import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path('scripts/setup.py')"
    result = subprocess.run(
        [sys.executable, "-c", pretend], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Trunkline needs Python 3.11 or newer; this is ")
    assert len(result.stderr.splitlines()) == 1
    ast.parse((ROOT / "scripts/setup.py").read_text(), feature_version=(3, 4))
