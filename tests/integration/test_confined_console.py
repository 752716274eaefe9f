"""The console's own programs as processes: whose they are, what they may do, and what their surroundings give away."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from failover_console import run_as
from failover_console.confinement import CAP_NET_BIND_SERVICE, Confinement
from tests.integration.test_confined_servers import as_root, status
from tests.product import PASSWORD, ROOT, Product, eventually, running

pytestmark = [pytest.mark.integration]

SYSTEM_PYTHON = Path("/usr/bin/python3")
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        yield product


def children(product: Product) -> list[psutil.Process]:
    return psutil.Process(product.process.pid).children(recursive=True)


@as_root
def test_no_process_below_the_supervisor_has_a_capability_or_can_gain_one(product: Product) -> None:
    found = {child.pid: status(child.pid) for child in children(product)}
    assert len(found) > 10
    assert {int(each[name], 16) for each in found.values() for name in CAPABILITIES} == {0}
    assert {each["NoNewPrivs"] for each in found.values()} == {"1"}


@as_root
def test_what_was_decided_is_one_line(product: Product) -> None:
    def once_a_start() -> bool:
        said = product.log.read_text()
        return said.count("Started by root: ") == said.count("The failover console runs at") > 0

    eventually(once_a_start, 30, "each start says it once")


def test_no_secret_is_in_a_command_line_and_the_first_password_in_no_environment(product: Product) -> None:
    secrets = [(product.directory / name).read_text() for name in run_as.SECRETS] + [PASSWORD]
    for child in children(product):
        assert not [secret for secret in secrets if secret in " ".join(child.cmdline())]
        assert PASSWORD not in Path(f"/proc/{child.pid}/environ").read_text(errors="replace")


def test_the_work_is_done(product: Product) -> None:
    def works() -> bool:
        try:
            with urllib.request.urlopen(f"{product.address}/health/checks", timeout=5) as answer:
                return b'"ok"' in answer.read()
        except urllib.error.HTTPError:  # not yet
            return False

    eventually(works, 60, "checks are made")
    assert product.rows("SELECT 1 FROM nodes_event LIMIT 1")


def test_an_open_data_directory_is_closed_and_it_is_said(product: Product) -> None:
    product.stop()
    product.directory.chmod(0o755)
    (product.directory / "encryption_keys").chmod(0o644)
    before = len(product.log.read_text())
    product.start()
    said = [line for line in product.log.read_text()[before:].splitlines() if "closed now" in line]
    assert len(said) == 1
    assert str(product.directory / "encryption_keys") in said[0]
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (product.directory, product.directory / "encryption_keys")]
    assert modes == [0o700, 0o600]


def ordinary_python() -> tuple[str, str]:
    """A Python that an ordinary user may run, and where it finds our packages; the test is skipped where there is none."""
    packages = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    if not SYSTEM_PYTHON.exists():
        pytest.skip("there is no Python that an ordinary user may run")
    readable = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import django, sys; assert sys.version_info[:2] == tuple(map(int, sys.argv[1:]))"]
        + [str(part) for part in sys.version_info[:2]],
        env={"PYTHONPATH": str(packages)}, preexec_fn=Confinement(1, 1).enter, cwd="/", stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip  # options beside their values
    if readable.returncode != 0 or not os.access(ROOT, os.R_OK):
        pytest.skip("this checkout is closed to an ordinary user")
    return str(SYSTEM_PYTHON), str(packages)


@as_root
def test_where_an_ordinary_user_may_read_it_the_console_is_not_roots() -> None:
    python, packages = ordinary_python()
    with running("--demo", python=python, PYTHONPATH=packages) as product:
        user = pwd.getpwuid(product.directory.stat().st_uid)
        assert f"Started by root: the programs run as {user.pw_name}." in product.log.read_text()
        servers = {pwd.getpwnam("nobody").pw_uid}
        owners = {child.uids().effective for child in children(product)}
        assert owners == {user.pw_uid} | servers
        assert 0 not in owners
        eventually(lambda: product.rows("SELECT 1 FROM nodes_event LIMIT 1"), 60, "checks are made")
        web = product.pids("uvicorn")[0]
        product.kill(web)
        eventually(product.healthy, 30, "a killed program comes back")
        assert psutil.Process(product.pids("uvicorn")[0]).uids().effective == user.pw_uid


@as_root
def test_a_port_that_is_not_for_everybody_keeps_its_one_capability() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 1:
        pytest.skip("every port is for everybody here")
    script = "import socket, sys; socket.create_server(('127.0.0.1', int(sys.argv[1])))"
    for keeps, worked in ((True, True), (False, False)):
        confinement = Confinement(1, 1, keep=(CAP_NET_BIND_SERVICE,) if keeps else ())
        assert confinement == (run_as.RunAs(1, 1).confinement(first - 1) if keeps else run_as.RunAs(1, 1).confinement(first))
        done = subprocess.run(
            [SYSTEM_PYTHON, "-c", script, str(first - 1)],
            preexec_fn=confinement.enter,
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert (done.returncode == 0) is worked


def test_what_is_closed_stays_as_it_is_and_nothing_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "secret_key").touch(mode=0o600)
    assert run_as.tighten(tmp_path) == ""
