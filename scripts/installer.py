"""Makes `.venv` hold what the checkout asks for: hash-locked packages, the bundled model, and the checkout itself.

Several set-ups at once wait for each other; one that was interrupted is done again. Packages are installed by uv
where there is one, else by pip, and only ready-made ones: nothing is resolved, and nothing is built but ourselves.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Sequence
from types import FrameType
from typing import BinaryIO, NoReturn

from environment import LOCKS, ROOT, THIS_PYTHON, VENV, asked_python, fingerprint, is_ready, read_state, write_state
from progress import Progress, advice, last_words, say

VENV_PYTHON = VENV / "bin" / "python"
LOCK = VENV / "setup.lock"
LOG = VENV / "setup.log"
DOWNLOADS = VENV / "downloads"

# Measured on Linux (x86-64), in MB: for the progress line, and to notice in time that the disk is too full.
DOWNLOAD_MB = {"run": 185, "dev": 350}
DISK_MB = {"run": 800, "dev": 1500}


class SetupFailedError(Exception):
    """The set-up cannot go on. The text says what happened and what to do."""


def main(kind: str) -> None:
    """Prepare `.venv` for `kind`. Ends this process, after one sentence, where that fails."""
    signal.signal(signal.SIGTERM, end)
    try:
        prepare(kind)
    except SetupFailedError as failure:
        sys.exit(f"Set-up failed. {failure}")
    except OSError as failure:
        sys.exit(f"Set-up failed. {advice(str(failure)) or failure}")
    except KeyboardInterrupt:
        say("Set-up interrupted. The same command takes it up again.")
        sys.exit(130)


def end(signal_number: int, _frame: FrameType | None) -> NoReturn:
    """Leave by way of every `finally`, so that no installer stays behind."""
    sys.exit(128 + signal_number)


def prepare(kind: str) -> None:
    """Prepare `.venv` for `kind`, alone."""
    VENV.mkdir(exist_ok=True)
    with LOCK.open("ab") as lock:
        take(lock)
        if is_ready(kind):  # by the set-up that was waited for
            return
        announce(kind)
        check_disk(kind)
        with LOG.open("wb") as log:
            python = make_venv()
            Installer(kind, lock, log).install()
        write_state({"root": str(ROOT), "python": python, kind: fingerprint(kind)})
    say("The environment is ready.")


def take(lock: BinaryIO) -> None:
    """Lock `.venv` for this set-up; wait while another has it. The kernel lets go when the holder ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another set-up of this folder is at work; waiting for it.")
        fcntl.flock(lock, fcntl.LOCK_EX)


def announce(kind: str) -> None:
    """Say what begins, and how much a first set-up downloads."""
    first = f"Setting up Trunkline's environment, once: about {DOWNLOAD_MB[kind]} MB to download."
    say(f"{'Bringing the environment up to date.' if read_state() else first} Details: {LOG.relative_to(ROOT)}")


def check_disk(kind: str) -> None:
    """Refuse to begin what would fill the disk."""
    free_mb = shutil.disk_usage(VENV).free // 1_000_000
    if free_mb < DISK_MB[kind] and not read_state():
        raise SetupFailedError(
            f"It needs about {DISK_MB[kind]} MB in {VENV}, and {free_mb} MB are free there. Make room, then try again."
        )


def make_venv() -> str:
    """Make `.venv` where there is none that works; the version of its Python (`3.12`)."""
    python = venv_python()
    moved = read_state().get("root", str(ROOT)) != str(ROOT)  # its scripts name the folder where they were made
    if python is None or moved or asked_python() not in (None, python):
        empty_venv()
        venv.EnvBuilder(symlinks=True).create(VENV)
        python = THIS_PYTHON
    write_state({"root": str(ROOT), "python": python})
    return python


def venv_python() -> str | None:
    """Version of the Python in `.venv`, None where it doesn't run or is too old."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        found = subprocess.run([VENV_PYTHON, "-I", "-c", program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version = found.stdout.strip()
    return version if tuple(map(int, version.split("."))) >= (3, 11) else None


def empty_venv() -> None:
    """Remove all of `.venv` but the lock that this set-up holds and the log that it writes."""
    for entry in VENV.iterdir():
        if entry in (LOCK, LOG):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


class Installer:
    """Installs into `.venv`, and keeps the installers' own output in the log."""

    def __init__(self, kind: str, lock: BinaryIO, log: BinaryIO) -> None:
        self._kind = kind
        self._lock = lock
        self._log = log
        self._packages = ["--require-hashes", "--no-deps", *(f"--requirement={name}" for name in LOCKS[kind])]
        self._ourselves = ["--no-deps", "--no-build-isolation", "--editable", "."]

    def install(self) -> None:
        """Install the locked packages, then this checkout, editable. Raises SetupFailedError."""
        DOWNLOADS.mkdir(exist_ok=True)
        try:
            # Where uv fails pip tries: it may know another index or certificate.
            if not self._install_by_uv():
                self._install_by_pip()
        finally:
            shutil.rmtree(DOWNLOADS, ignore_errors=True)

    def _install_by_uv(self) -> bool:
        """False where there is no uv, or where it failed."""
        uv = shutil.which("uv")
        if uv is None:
            return False
        command = [uv, "pip", "install", f"--python={VENV_PYTHON}"]
        return self._run([*command, "--compile-bytecode", "--no-build", *self._packages], shown=True) and self._run(
            [*command, "--offline", *self._ourselves]
        )

    def _install_by_pip(self) -> None:
        pip = [str(VENV_PYTHON), "-m", "pip"]
        if not self._run([*pip, "--version"]) and not self._run([str(VENV_PYTHON), "-m", "ensurepip"]):
            raise SetupFailedError(
                f"This Python ({sys.executable}) comes without pip. On Debian or Ubuntu: apt-get install "
                f"python{THIS_PYTHON}-venv. Elsewhere: install a complete Python, then make PYTHON=/path/to/python3."
            )
        command = [*pip, "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
        for arguments in (["--only-binary=:all:", *self._packages], ["--no-index", *self._ourselves]):
            if not self._run([*command, *arguments], shown=True):
                raise SetupFailedError(f"{last_words(LOG)} The whole log: {LOG}")

    def _run(self, command: Sequence[str], *, shown: bool = False) -> bool:
        """Whether `command` succeeds. It ends when this process does; `shown` shows its progress meanwhile."""
        self._log.write(f"\n$ {' '.join(command)}\n".encode())
        self._log.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=installer_environment(),
            pass_fds=(self._lock.fileno(),),  # should we be killed, the lock is held until the installer has ended
        )
        try:
            with Progress(LOG, DOWNLOADS, DOWNLOAD_MB[self._kind]) as progress:
                while process.poll() is None:
                    wait_a_moment(process)
                    if shown:
                        progress.show()
        finally:
            process.terminate()
            process.wait()
        return process.returncode == 0


def wait_a_moment(process: subprocess.Popen[bytes]) -> None:
    """Wait until `process` ends, a quarter of a second at most."""
    try:
        process.wait(timeout=0.25)
    except subprocess.TimeoutExpired:
        return


def installer_environment() -> dict[str, str]:
    """The caller's environment (proxies, mirrors and certificates stay), less what would install elsewhere."""
    unwanted = {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_NO_BINARY", "PYTHONPATH", "PYTHONHOME"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    # pip unpacks where it downloads: beside the environment, not in a /tmp that may be small.
    return kept | {"PIP_USER": "0", "TMPDIR": str(DOWNLOADS), "PYTHONUNBUFFERED": "1"}
