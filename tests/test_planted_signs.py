"""Who writes signs of life is another user than the supervisor, and may not lead it elsewhere or have it end what it likes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from failover_console import watched
from failover_console.confinement import Confinement
from failover_console.hang_watch import FIRST, SILENT, HangWatch
from failover_console.run_as import RunAs
from nodes.sign_of_life import read, started_at

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the programs are another user's only if root started them")
USER = 1


def sign(directory: Path, pid: int) -> Path:
    return directory / f"{pid}.{started_at(pid)}"


def test_who_writes_signs_has_no_process_of_another_user_killed(tmp_path: Path) -> None:
    now = 0.0
    watch = HangWatch(tmp_path, lambda: now)
    sign(tmp_path, os.getpid()).write_text("0.0")
    assert [each.pid for each in read(tmp_path)] == [os.getpid()]
    os.chown(sign(tmp_path, os.getpid()), USER, USER)
    assert list(read(tmp_path)) == []
    for _ in range(round(2 * SILENT)):
        now += 1.0
        assert watch.look({}) is None


def test_signs_are_read_through_no_link_and_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("0.0")
    sign(tmp_path, os.getpid()).symlink_to(tmp_path / "elsewhere")
    os.mkfifo(sign(tmp_path, os.getppid()))
    assert list(read(tmp_path)) == []


def test_whether_signs_can_be_written_is_tried_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("a secret")
    (tmp_path / "probe").symlink_to(tmp_path / "outside")
    now = 0.0
    watch = HangWatch(tmp_path, lambda: now)
    now = FIRST + 1
    watch.look({})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("outside", "a secret")]


def test_the_programs_cannot_put_another_directory_in_the_place_of_that_of_the_signs() -> None:
    with watched.signs_directory(RunAs(USER, USER)) as signs:
        enter = Confinement(USER, USER).enter
        assert subprocess.run(["touch", signs / "1.1"], preexec_fn=enter, cwd="/", check=False).returncode == 0
        for path in (signs, signs.parent):
            moved = subprocess.run(["mv", path, f"{path}.moved"], preexec_fn=enter, cwd="/", stderr=subprocess.DEVNULL, check=False)
            assert moved.returncode != 0
    assert not signs.parent.exists()
