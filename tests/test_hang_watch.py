"""Whom the supervisor judges to hang, by signs of real processes and a clock moved by hand."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from failover_console.hang_watch import FIRST, SILENT, STOPPED, HangWatch, Hung, Process
from nodes.sign_of_life import DIRECTORY, SignOfLife, is_stopped, read, started_at

Start = Callable[..., int]
PROGRAM = "import signal; signal.pause()"
START = 1000.0


class Scene:
    """A watch, its clock, and the signs of processes."""

    def __init__(self, directory: Path) -> None:
        self.now = START
        self.directory = directory
        self.watch = HangWatch(directory, lambda: self.now)

    def show(self, *pids: int) -> None:
        for pid in pids:
            (self.directory / f"{pid}.{started_at(pid)}").write_text(f"{self.now:.3f}")

    def look(self, seconds: float, *leaders: int, showing: tuple[int, ...] = ()) -> list[tuple[float, Hung]]:
        """Look each half second for so long, while some show signs; what was found, and when."""
        found = []
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.show(*showing)
            if (hung := self.watch.look(dict.fromkeys(leaders, START))) is not None:
                found.append((self.now - START, hung))
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process in a group of its own, or in that of another."""
    begun: list[subprocess.Popen[bytes]] = []

    def one(group: int = 0) -> int:
        begun.append(subprocess.Popen([sys.executable, "-c", PROGRAM], process_group=group))
        return begun[-1].pid

    yield one
    for each in begun:
        each.kill()
        each.wait()


def test_who_shows_signs_is_left_alone(scene: Scene, start: Start) -> None:
    leader = start()
    assert scene.look(60, leader, showing=(leader,)) == []


def test_a_child_that_is_silent_is_killed_alone_while_its_program_lives(scene: Scene, start: Start) -> None:
    leader = start()
    child = start(leader)
    scene.show(child)
    ((after, hung), *more) = scene.look(SILENT + 2, leader, showing=(leader,))
    assert (hung.pid, hung.group, hung.whole_group, more) == (child, leader, False, [])
    assert SILENT < after <= SILENT + 1
    assert scene.watch.members(hung) == [Process(child, started_at(child))]


def test_a_child_whose_program_is_silent_too_takes_it_along(scene: Scene, start: Start) -> None:
    leader = start()
    child = start(leader)
    scene.show(leader, child)
    ((_, hung), *_) = scene.look(SILENT + 2, leader)
    assert (hung.pid, hung.whole_group) == (leader, True)
    assert set(scene.watch.members(hung)) == {Process(leader, started_at(leader)), Process(child, started_at(child))}


def test_a_process_that_a_signal_stopped_is_given_less_time(scene: Scene, start: Start) -> None:
    leader = start()
    os.kill(leader, signal.SIGSTOP)
    os.waitpid(leader, os.WUNTRACED)
    assert is_stopped(leader)
    scene.show(leader)
    (after, hung) = scene.look(SILENT, leader)[0]
    assert hung.pid == leader
    assert STOPPED < after <= STOPPED + 1


def test_a_pause_of_the_supervisors_own_counts_against_nobody(scene: Scene, start: Start) -> None:
    leader = start()
    scene.show(leader)
    assert scene.look(SILENT - 1, leader) == []
    scene.now += 3600.0  # the machine was suspended
    assert scene.look(SILENT, leader) == []
    assert scene.look(2, leader) != []


def test_a_program_that_never_showed_a_sign_has_a_minute(scene: Scene, start: Start) -> None:
    leader = start()
    assert scene.look(FIRST - 1, leader) == []
    ((after, hung), *_) = scene.look(3, leader)
    assert (hung.pid, hung.whole_group) == (leader, True)
    assert FIRST < after <= FIRST + 1


def test_where_no_sign_can_be_written_nobody_is_judged_for_the_first(tmp_path: Path, start: Start) -> None:
    scene = Scene(tmp_path)
    (tmp_path / "probe").mkdir()  # what the watch tries to write cannot be: as on a full disk
    assert scene.look(2 * FIRST, start()) == []


def test_between_two_that_hang_time_passes_ever_more(scene: Scene, start: Start) -> None:
    leader = start()
    scene.show(*(start(leader) for _ in range(3)))  # nobody kills them here: they are found again and again
    found = [after for after, _ in scene.look(60, leader, showing=(leader,))]
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert len(gaps) >= 3
    assert gaps == sorted(gaps)
    assert gaps[0] >= 2.0


def test_those_that_a_signal_stopped_wait_no_longer_for_each_other(scene: Scene, start: Start) -> None:
    stopped = [start() for _ in range(6)]
    for each in stopped:
        os.kill(each, signal.SIGSTOP)
        os.waitpid(each, os.WUNTRACED)
    scene.show(*stopped)
    found = [after for after, _ in scene.look(60, *stopped)]  # nobody kills them here, as above
    assert max(later - earlier for earlier, later in itertools.pairwise(found)) <= 2.5


def test_signs_of_the_dead_and_of_their_successors_are_told_apart(scene: Scene, start: Start) -> None:
    living = start()
    (scene.directory / f"{living}.{started_at(living) - 1}").write_text("1.0")  # an earlier process of that number
    (scene.directory / "4194305.1").write_text("1.0")  # there is none
    (scene.directory / "something else").write_text("1.0")
    scene.show(living)
    assert [sign.pid for sign in read(scene.directory)] == [living]
    assert sorted(path.name for path in scene.directory.iterdir()) == sorted([f"{living}.{started_at(living)}", "something else"])


def test_a_process_shows_its_sign_and_takes_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    sign = SignOfLife()
    (seen,) = read(tmp_path)
    assert (seen.pid, seen.started) == (os.getpid(), started_at(os.getpid()))
    sign.end()
    sign.end()
    sign.show()
    assert list(read(tmp_path)) == []


def test_without_a_supervisor_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIRECTORY, raising=False)
    monkeypatch.chdir(tmp_path)
    SignOfLife().show()
    assert list(tmp_path.iterdir()) == []
