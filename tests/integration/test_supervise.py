"""`manage.py supervise NAME`, what containers and units run: as plain processes, beside a running console."""

from __future__ import annotations

import configparser
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from failover_console.processes import all_processes
from tests.product import ROOT, Product, eventually, free_ports, running

pytestmark = [pytest.mark.integration]

PROGRAMS = list(all_processes("", ""))


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running() as product:
        yield product


class Supervised:
    """`manage.py supervise`, told where to notify as systemd does."""

    def __init__(self, product: Product, name: str, directory: Path) -> None:
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.settimeout(30)
        self.notified.bind(str(directory / "notify"))
        self.port = free_ports(1)
        # As on a host of its own: the console's services, another port.
        environment = os.environ | {"DATA_DIR": str(product.directory), "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        environment |= {"NOTIFY_SOCKET": str(directory / "notify")}
        self.said = directory / "said"
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "supervise", name], cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
            )

    def told(self) -> str:
        return self.notified.recv(100).decode()

    def is_silent(self) -> bool:
        try:
            self.told()
        except TimeoutError:
            return True
        return False

    def programs(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.notified.close()


@pytest.fixture
def supervised(product: Product, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Supervised]:
    started = Supervised(product, request.param, tmp_path)
    yield started
    left = psutil.Process(started.process.pid).children(recursive=True) if started.process.poll() is None else []
    started.end()
    psutil.wait_procs(left, timeout=5)
    assert not [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("supervised", PROGRAMS, indirect=True)
def test_each_program_runs_and_starts_again_when_it_ends(supervised: Supervised) -> None:
    assert supervised.told() == "READY=1"
    assert supervised.told() == "WATCHDOG=1"
    (first,) = eventually(supervised.programs, 30, "the program runs")
    first.kill()
    eventually(lambda: [each.pid for each in supervised.programs()] not in ([], [first.pid]), 30, "it runs again")
    assert "ended (killed by SIGKILL)" in supervised.said.read_text()
    supervised.end()
    assert supervised.process.returncode == 0


@pytest.mark.parametrize("supervised", ["web", "worker-housekeeping"], indirect=True)
def test_a_program_that_hangs_is_ended_and_starts_again(supervised: Supervised) -> None:
    ready = {"web": "Uvicorn running", "worker-housekeeping": "ready."}
    eventually(lambda: any(words in supervised.said.read_text() for words in ready.values()), 60, "it serves")
    (first,) = supervised.programs()
    first.send_signal(signal.SIGSTOP)
    eventually(lambda: "shows no sign of life" in supervised.said.read_text(), 20, "the supervisor says so")
    eventually(lambda: [each.pid for each in supervised.programs()] not in ([], [first.pid]), 30, "it runs again")


def test_a_supervisor_that_hangs_stops_telling_its_service_manager(product: Product, tmp_path: Path) -> None:
    supervised = Supervised(product, "beat", tmp_path)
    try:
        assert supervised.told() == "READY=1"
        assert supervised.told() == "WATCHDOG=1"
        supervised.process.send_signal(signal.SIGSTOP)
        supervised.notified.settimeout(3)
        assert any(supervised.is_silent() for _ in range(9))  # what was on its way when it stopped comes first
        supervised.process.send_signal(signal.SIGCONT)
        assert supervised.told() == "WATCHDOG=1"
    finally:
        supervised.process.send_signal(signal.SIGCONT)
        supervised.end()


def test_the_health_check_of_the_web_container_answers(product: Product) -> None:
    web = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["web"]
    kind, *command = web["healthcheck"]["test"]
    assert kind == "CMD"
    asked = [sys.executable, *(word.replace(":8000/", f":{product.port}/") for word in command[1:])]
    assert subprocess.run(asked, timeout=20, check=False).returncode == 0
    gone = [word.replace(f":{product.port}/", f":{free_ports(1)}/") for word in asked]
    assert subprocess.run(gone, timeout=20, check=False, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "web"])
def test_the_health_check_of_each_worker_container_answers(product: Product, name: str) -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][name]
    kind, line = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    environment = os.environ | {
        "DATA_DIR": str(product.directory),
        "HOSTNAME": socket.gethostname(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    # In its container a console is on the default port, where its names are plain.
    line = line.replace("@$$HOSTNAME", f"-{product.port}@$$HOSTNAME").replace("beat@", f"beat-{product.port}@")

    def answers() -> bool:
        asked = subprocess.run(["sh", "-c", line.replace("$$", "$")], cwd=ROOT, env=environment, timeout=60, check=False)
        return asked.returncode == 0

    eventually(answers, 90, "the check passes")  # asked again, as Docker does while a worker still begins


def test_the_unit_runs_the_supervisor_and_is_watched() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read(ROOT / "docs" / "systemd" / "failover-console@.service")
    assert unit["Service"]["ExecStart"].endswith("manage.py supervise %i")
    assert unit["Service"]["Type"] == "notify"
    assert int(unit["Service"]["WatchdogSec"]) > 10
