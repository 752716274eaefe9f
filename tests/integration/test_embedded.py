"""The embedded PostgreSQL and Redis, as real processes."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from failover_console.addresses import socket_directory
from failover_console.embedded import EmbeddedError, Services
from tests.integration.processes import eventually, running

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import pathlib, signal, sys
from failover_console.embedded import Services
print(Services(pathlib.Path(sys.argv[1])).start(), flush=True)
signal.pause()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def services(data_dir: Path) -> Iterator[Services]:
    made = Services(data_dir)
    yield made
    made.stop()


def ask_redis(url: str, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(url.removeprefix("unix://"))
        door.sendall(line + b"\r\n")
        return door.recv(65_536)


def modes(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {at: (at.stat().st_mode, at.stat().st_uid, at.stat().st_gid) for at in (path, *path.parents)}


def test_both_servers_answer_at_the_addresses_that_start_returns(services: Services) -> None:
    addresses = services.start()
    with psycopg.connect(addresses["DATABASE_URL"]) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("SELECT current_database(), current_setting('listen_addresses')").fetchone() == ("failover", "")
    assert ask_redis(addresses["REDIS_URL"], b"PING") == b"+PONG\r\n"


def test_redis_refuses_to_forget_and_keeps_a_file(services: Services) -> None:
    url = services.start()["REDIS_URL"]
    assert b"maxmemory_policy:noeviction" in ask_redis(url, b"INFO memory")
    assert b"aof_enabled:1" in ask_redis(url, b"INFO persistence")


def test_the_next_start_has_the_data_of_the_last(services: Services, data_dir: Path) -> None:
    addresses = services.start()
    with psycopg.connect(addresses["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    ask_redis(addresses["REDIS_URL"], b"SET kept 7")
    services.stop()
    again = services.start()
    with psycopg.connect(again["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT seven FROM kept").fetchone() == (7,)
    assert ask_redis(again["REDIS_URL"], b"GET kept") == b"$1\r\n7\r\n"


def test_stop_leaves_no_process_and_no_socket_directory(services: Services, data_dir: Path) -> None:
    services.start()
    assert running(str(data_dir))
    services.stop()
    eventually(lambda: not running(str(data_dir)), "all processes have ended")
    assert not socket_directory(data_dir).exists()


def test_a_second_start_on_the_same_directory_is_refused_with_a_sentence(services: Services, data_dir: Path) -> None:
    services.start()
    with pytest.raises(EmbeddedError, match=r"Another console runs on .*: stop it, or set DATA_DIR"):
        Services(data_dir).start()
    assert running(str(data_dir))


def test_two_directories_run_side_by_side(services: Services, tmp_path: Path) -> None:
    other = Services(tmp_path / "database")
    try:
        mine, theirs = services.start(), other.start()
        with psycopg.connect(mine["DATABASE_URL"]) as one, psycopg.connect(theirs["DATABASE_URL"]) as two:
            assert one.info.backend_pid != two.info.backend_pid
        assert mine["REDIS_URL"] != theirs["REDIS_URL"]
    finally:
        other.stop()


def test_a_closed_parent_directory_stays_closed_and_hides_nothing_from_the_servers(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = modes(closed)
    made = Services(closed / "data")
    try:
        with psycopg.connect(made.start()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        made.stop()
    assert modes(closed) == before


def test_what_the_servers_keep_is_closed_to_others(services: Services, data_dir: Path) -> None:
    services.start()
    kept = [data_dir, data_dir / "postgres", data_dir / "redis"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept] == [0o700, 0o700, 0o700]
    assert stat.S_IMODE(socket_directory(data_dir).stat().st_mode) & 0o007 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be tried as root alone")
def test_another_user_of_the_machine_does_not_get_in(services: Services, data_dir: Path) -> None:
    url = services.start()["DATABASE_URL"]
    owner = (data_dir / "postgres").stat().st_uid  # may enter the socket's directory, and yet is not the one who started it
    script = (
        f"import os, psycopg; os.setuid({owner})\ntry: psycopg.connect({url!r})\nexcept psycopg.OperationalError as e: print(e)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "Peer authentication failed" in said or "Permission denied" in said


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    made = Services(tmp_path / ("long" * 30))
    try:
        assert ask_redis(made.start()["REDIS_URL"], b"PING") == b"+PONG\r\n"
    finally:
        made.stop()


def test_servers_of_a_killed_console_end_and_the_next_start_works(services: Services, data_dir: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(data_dir)], cwd=ROOT, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert b"DATABASE_URL" in holder.stdout.readline()
        holder.kill()
    eventually(lambda: not running(str(data_dir)), "the servers end by themselves")
    with psycopg.connect(services.start()["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_killed_servers_leave_nothing_that_hinders_the_next_start(services: Services, data_dir: Path) -> None:
    services.start()
    for child in services.processes:
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(10)
    services.stop()
    with psycopg.connect(services.start()["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_process_number_that_is_another_programs_now_hinders_nothing(services: Services, data_dir: Path) -> None:
    services.start()
    services.stop()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as bystander:
        (data_dir / "postgres" / "postmaster.pid").write_text(f"{bystander.pid}\n{data_dir}/postgres\n1\n5432\n")
        (data_dir / "redis" / "redis.pid").write_text(f"{bystander.pid}\n")
        assert set(services.start()) == {"DATABASE_URL", "REDIS_URL"}
        assert bystander.poll() is None


def test_a_cluster_of_another_version_is_refused_with_what_to_do(services: Services, data_dir: Path) -> None:
    services.start()
    services.stop()
    (data_dir / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 17 and this console brings 18: dump it .* or set DATABASE_URL"):
        services.start()
    assert not running(str(data_dir / "postgres"))


def test_a_start_that_fails_says_what_the_server_said_and_leaves_nothing(services: Services, data_dir: Path) -> None:
    services.start()
    services.stop()
    (kept,) = (data_dir / "redis").rglob("*.aof")  # where it is, is the server's version's business
    kept.write_text("not a command file\n")
    with pytest.raises(EmbeddedError, match=r"redis did not start: .*Bad file format"):
        services.start()
    eventually(lambda: not running(str(data_dir)), "all processes have ended")
