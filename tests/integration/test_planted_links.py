"""A user that root gave DATA_DIR to lays out links there: the real start refuses them, and where they lead nothing changes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from failover_console.addresses import socket_directory
from failover_console.confinement import Confinement, View
from failover_console.embedded import EmbeddedError, Services
from failover_console.run_as import RunAs
from tests.integration.test_confined_console import ordinary_python
from tests.product import ROOT, Product, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("confined"),
    pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's links lead nowhere that it may not go"),
]

USER = 1
PLACES = (
    "up.lock", "postgres.log", "redis.log", "postgres/pg_hba.conf", "postgres/pg_ident.conf", "postgres/PG_VERSION",
)  # fmt: skip  # a line each would say no more
DIRECTORIES = ("postgres", "postgres.new", "redis", "run")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file of root's with a directory around it; both are afterwards as before."""
    directory = tmp_path / "outside"
    directory.mkdir(mode=0o755)
    file = directory / "shadow"
    file.write_text("root:secret\n")
    file.chmod(0o644)

    def seen() -> list[object]:
        found = [directory, *directory.iterdir()]
        return [(path, at.st_mode, at.st_uid, at.st_gid, at.st_mtime_ns) for path in found if (at := path.stat())]

    before = seen()
    yield file
    assert seen() == before
    assert file.read_text() == "root:secret\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after its first start, given to a user."""
    data_dir = tmp_path_factory.mktemp("given") / "data"
    services = Services(data_dir)
    services.start()
    services.stop()
    RunAs(USER, USER).give(data_dir)
    return data_dir


def refused(data_dir: Path, path: Path) -> None:
    services = Services(data_dir)
    with pytest.raises(EmbeddedError) as refusal:
        services.start()
    services.stop()
    assert f"{path} " in str(refusal.value)
    assert "find out who put it there" in str(refusal.value)


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("place", PLACES)
def test_the_servers_do_not_start_over_a_planted_file(made: Path, outside: Path, place: str, plant: Callable[..., None]) -> None:
    path, kept = made / place, made / "kept"
    path.rename(kept)
    plant(path, outside)
    try:
        refused(made, path)
    finally:
        path.unlink()
        kept.rename(path)


@pytest.mark.parametrize("name", DIRECTORIES)
def test_nor_in_a_planted_directory(made: Path, outside: Path, name: str) -> None:
    path, kept = made / name, made / "kept"
    if path.exists():
        path.rename(kept)
    path.symlink_to(outside.parent)
    try:
        refused(made, path)
    finally:
        path.unlink()
        if kept.exists():
            kept.rename(path)


def test_a_server_that_ended_is_not_started_again_over_a_planted_log(made: Path, outside: Path) -> None:
    services = Services(made, with_postgresql=False)
    services.start()
    try:
        (process,) = services.processes
        process.ask_to_stop()
        assert process.wait(10)
        (made / "redis.log").unlink()
        (made / "redis.log").symlink_to(outside)
        with pytest.raises(OSError, match=r"redis.log is a symbolic link"):
            process.start()
        assert services.servers[0].complaint().startswith("it said nothing")  # nor is it read
    finally:
        (made / "redis.log").unlink()
        (made / "redis.log").touch()
        services.stop()


def test_the_servers_view_shows_nothing_behind_a_link(tmp_path: Path, outside: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "redis").symlink_to(outside.parent)
    view = View((closed / "redis",), ())
    with pytest.raises(subprocess.SubprocessError):
        subprocess.run(
            ["cat", closed / "redis" / "shadow"], preexec_fn=Confinement(USER, USER, view=view).enter, cwd="/", check=True
        )


def start_is_refused(product: Product, path: Path) -> None:
    done = subprocess.run(
        [product.python, "manage.py", "up"],
        cwd=ROOT,
        env=product.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert f"{path} is a " in line
    assert line.endswith("have the file or directory itself in its place, and start again.")
    lines = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if str(product.directory) in line]


def test_the_whole_console_does_not_start_over_a_planted_link(outside: Path) -> None:
    """As a program that was taken over would leave it."""
    python, packages = ordinary_python()
    with running(python=python, PYTHONPATH=packages) as product:
        data_dir = product.directory
        user = data_dir.stat().st_uid
        assert user != 0
        static = [path for path in (data_dir / "static").rglob("*") if path.stat().st_uid != user]
        assert static == []
        product.stop()
        for name in ("encryption_keys", "secret_key", "postgres.log", "up.lock", "postgres/pg_hba.conf", "static"):
            path, kept = data_dir / name, data_dir / "kept"
            path.rename(kept)
            path.symlink_to(outside.parent if kept.is_dir() else outside)
            os.lchown(path, user, user)
            start_is_refused(product, path)
            path.unlink()
            kept.rename(path)
        assert not socket_directory(data_dir).exists()
        shutil.rmtree(data_dir / "static")
        product.start()
        modes = {(path.stat().st_uid, stat.S_IMODE(path.stat().st_mode) & 0o022) for path in (data_dir / "static").rglob("*")}
        assert modes == {(user, 0)}
