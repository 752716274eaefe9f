"""Finds processes that hang: they run, and show no sign of life.

In: the programs of a supervisor with the instant of their start, and the signs that their processes show (`nodes.sign_of_life`).
Out: one process at a time that is to be killed, with a growing wait between two.
A gap of the supervisor's own proves nothing against anybody: after one all counts start anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nodes import sign_of_life
from nodes.sign_of_life import boot_time, is_stopped, started_at

SILENT = 10.0  # s without a sign
STOPPED = 4.0  # s without one, of a process that a signal has stopped: it waits for nothing
LATE = 3.0  # s without a sign of its program's first process: that one cannot replace what is killed
FIRST = 60.0  # s until the first sign
OWN_GAP = 1.0  # s
WAIT_FIRST, WAIT_LONGEST, QUIET = 2.0, 60.0, 120.0  # s between two; after a quiet while the first again
LOOK_EVERY = 0.5  # s


class Process(NamedTuple):
    """A process of this machine, by its id and its start in clock ticks since the boot."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Hung:
    """A process to be killed; with `whole_group` all that its program started, since nobody would replace it alone."""

    pid: int
    started: int
    group: int  # process id of the program that it belongs to
    silent_for: float

    @property
    def whole_group(self) -> bool:
        return self.pid == self.group


class HangWatch:
    """Judges the signs in a directory; `look` is called at each turn of the supervisor's loop."""

    def __init__(self, directory: Path, clock: Callable[[], float] = boot_time) -> None:
        self.directory = directory
        self._clock = clock
        self._since = self._turned = clock()
        self._next_look = 0.0
        self._next_kill, self._wait = 0.0, WAIT_FIRST

    def look(self, leaders: Mapping[int, float]) -> Hung | None:
        """What hangs now; `leaders`: process id of each program that shows signs -> boot-time clock at its start."""
        now = self._clock()
        if now - self._turned > OWN_GAP:
            self._since = now
        self._turned = now
        if now < self._next_look or now < self._next_kill:
            return None
        self._next_look = now + LOOK_EVERY
        hung = self._find(leaders, now)
        if hung is None:
            return None
        if is_stopped(hung.pid):  # that says nothing of a machine that is too slow for all of them
            self._next_kill = now + WAIT_FIRST
        else:
            self._wait = WAIT_FIRST if now - self._next_kill > QUIET else min(WAIT_LONGEST, 2 * self._wait)
            self._next_kill = now + self._wait
        return hung

    def _find(self, leaders: Mapping[int, float], now: float) -> Hung | None:
        silent: list[Hung] = []
        found = list(sign_of_life.read(self.directory))
        signs = {sign.pid: max(sign.shown_at, self._since) for sign in found}
        for sign in found:
            age = now - max(sign.shown_at, self._since)
            if age > SILENT or (age > STOPPED and is_stopped(sign.pid)):
                group = _group(sign.pid)
                whole = group in leaders and now - signs.get(group, now) > LATE
                pid = group if whole else sign.pid
                silent.append(Hung(pid, started_at(pid), group, age))
        if self._can_be_written():
            late = {pid: now - max(at, self._since) for pid, at in leaders.items() if pid not in signs}
            silent += [Hung(pid, started_at(pid), pid, age) for pid, age in late.items() if age > FIRST]
        return min(silent, key=lambda each: (not each.whole_group, -each.silent_for), default=None)

    def members(self, hung: Hung) -> list[Process]:
        """Who ends with it, as far as they show signs."""
        signs = sign_of_life.read(self.directory)
        together = [Process(each.pid, each.started) for each in signs if hung.whole_group and _group(each.pid) == hung.group]
        return together or [Process(hung.pid, hung.started)]

    def _can_be_written(self) -> bool:
        """Whether a first sign could be there at all; on a full disk it could not."""
        probe = self.directory / "probe"
        with suppress(OSError):
            probe.unlink(missing_ok=True)
            with probe.open("x") as written:  # the directory is the programs': no link of theirs is followed
                written.write("a sign")
            probe.unlink()
            return True
        return False


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
