"""The sign of life that a working loop shows its supervisor, and how the supervisor reads it.

Out: a file in the directory that the environment names, called by the process's id and start, its text the boot-time clock when
the loop last turned.  It needs neither database nor broker.  Without a supervisor nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = "FAILOVER_SIGNS"  # environment variable
EVERY = 1.0  # s
_LONGEST = 64  # characters of a sign


def boot_time() -> float:
    """Seconds since the boot, those asleep counted: the same for all processes of a machine, and nobody sets it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def started_at(pid: int) -> int:
    """When a process of this machine began, in clock ticks since the boot; 0 when there is none.  With its id it names it."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process: it will not go on by itself."""
    fields = _stat(pid)
    return bool(fields) and fields[0] == "T"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


class SignOfLife:
    """This process's sign: `show` it at each turn of the loop."""

    def __init__(self) -> None:
        given, pid = os.environ.get(DIRECTORY), os.getpid()
        self._path = Path(given, f"{pid}.{started_at(pid)}") if given else None
        self._file = -1
        self._next = 0.0
        if self._path is not None:
            with suppress(OSError):  # a full disk: the supervisor then judges nobody that it never saw
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.show()

    def show(self) -> None:
        """The loop turns; written once a second at the most, over the same few bytes, which a full disk does not refuse."""
        now = boot_time()
        if self._file < 0 or now < self._next:
            return
        self._next = now + EVERY
        os.pwrite(self._file, f"{now:017.3f}".encode(), 0)

    def end(self) -> None:
        """The loop ends in order: nobody need watch it any more."""
        if self._path is not None and self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Sign:
    """What a supervisor reads: the process, and the boot-time clock when it last turned."""

    pid: int
    started: int
    shown_at: float


def read(directory: Path) -> Iterator[Sign]:
    """The signs of processes that live; what the dead left is cleared away.

    Who writes there speaks for processes of the same user alone, and leads the reader nowhere else by a link.
    """
    for path in directory.iterdir():
        pid, _, started = path.name.partition(".")
        if not (pid.isdigit() and started.isdigit()):
            continue
        if started_at(int(pid)) != int(started):
            path.unlink(missing_ok=True)
            continue
        with suppress(OSError, ValueError), open(path, opener=_no_link) as file:  # it is written just now
            if os.fstat(file.fileno()).st_uid == _user_of(int(pid)):
                yield Sign(int(pid), int(started), float(file.read(_LONGEST)))


def _no_link(path: str, flags: int) -> int:
    """Nor a pipe that would keep its reader waiting."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _user_of(pid: int) -> int:
    """The effective user, which is the owner of the files that the process makes."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return next((int(line.split()[2]) for line in lines if line.startswith("Uid:")), -1)
