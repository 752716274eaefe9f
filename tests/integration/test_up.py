"""`manage.py up`: the whole console as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from failover_console.addresses import database_url
from tests.integration.processes import eventually, running

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0  # a first start on a busy machine


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


class Console:
    """One `manage.py up` on a data directory; `said` is all it printed."""

    def __init__(self, data_dir: Path, said: Path, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = int(environment.pop("PORT", "0")) or free_port()
        self._said = said
        given = {"DATA_DIR": str(data_dir), "PORT": str(self.port)} | environment
        with said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=ROOT, env=os.environ | given, stdout=out, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def says(self, text: str, seconds: float = 60.0) -> str:
        return eventually(
            lambda: next((line for line in self.said.splitlines() if text in line), ""), f"{text}\n{self.said}", seconds
        )

    def serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except (urllib.error.URLError, OSError):
            return False

    def up(self) -> Console:
        self.says("The failover console runs at", START_SECONDS)
        assert self.serves()
        return self

    def pid(self, *words: str) -> int:
        """The one process of this console whose command line holds all `words`, the oldest of its kind."""
        return eventually(
            lambda: min(
                (pid for pid, command in running(str(self.data_dir)).items() if all(word in command for word in words)), default=0
            ),
            f"a process with {words}",
        )

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


Start = Callable[..., Console]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[Console] = []

    def begin(name: str = "data", **environment: str) -> Console:
        begun.append(Console(tmp_path / name, tmp_path / f"said-{len(begun)}", **environment))
        return begun[-1]

    yield begin
    for console in begun:
        console.process.kill()
        console.process.wait()
    eventually(lambda: not running(str(tmp_path)), "a killed console leaves nothing running")


def users(data_dir: Path) -> list[tuple[str, bool]]:
    with psycopg.connect(database_url(data_dir)) as connection:
        return connection.execute("SELECT username, is_superuser FROM auth_user ORDER BY 1").fetchall()


def test_one_command_serves_ends_in_order_and_comes_back_with_its_history(start: Start) -> None:
    first = start().up()
    assert "The first user is admin, the password " in first.said
    assert users(first.data_dir) == [("admin", True)]
    assert first.end() == 0
    assert not running(str(first.data_dir)), "nothing is left"
    assert "All has ended; the history is kept." in first.said
    again = start().up()
    assert "The first user" not in again.said
    assert users(again.data_dir) == [("admin", True)]
    assert again.end(signal.SIGTERM) == 0


def test_a_given_password_is_taken_and_not_shown(start: Start) -> None:
    console = start(DJANGO_SUPERUSER_USERNAME="olga", DJANGO_SUPERUSER_PASSWORD="a-long-password-of-hers").up()
    assert users(console.data_dir) == [("olga", True)]
    assert "a-long-password-of-hers" not in console.said


def test_killed_parts_are_said_and_come_back_and_nothing_is_left_of_them(start: Start) -> None:
    console = start().up()
    parts = {
        "web": ("uvicorn",),
        "worker-checks": ("celery", "worker", "checks"),
        "beat": ("celery", "beat"),
        "redis": ("unixsocket:",),
        "postgres": ("postgres", "-D"),
    }
    before = {name: console.pid(*words) for name, words in parts.items()}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    for name in parts:
        console.says(f"{name} ended (killed by SIGKILL); it starts again in")
    assert all(console.pid(*words) not in before.values() for words in parts.values())
    eventually(console.serves, "it serves again")
    assert console.end() == 0
    assert not running(str(console.data_dir))


def test_a_second_console_on_the_same_directory_is_refused(start: Start) -> None:
    first, second = start().up(), start()
    assert second.process.wait(60) == 1
    assert f"Another console runs on {first.data_dir}: stop it, or set DATA_DIR (and PORT) for this one." in second.said
    assert first.serves()


def test_a_taken_port_is_refused_by_name_before_anything_starts(start: Start) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        console = start(PORT=str(door.getsockname()[1]))
        assert console.process.wait(60) == 1
    assert f"PORT {console.port} on 127.0.0.1 is taken: end what listens there, or set PORT to another." in console.said
    assert not running(str(console.data_dir))


def test_a_signal_before_everything_is_up_ends_all_the_same(start: Start) -> None:
    console = start()
    eventually(lambda: (console.data_dir / "postgres.new").exists() or (console.data_dir / "postgres").exists(), "it has begun", 60)
    assert console.end() == 0
    eventually(lambda: not running(str(console.data_dir)), "what makes the database ends with it", 5)


def test_two_copies_run_side_by_side(start: Start) -> None:
    one, two = start("one"), start("two")
    assert one.up().port != two.up().port
