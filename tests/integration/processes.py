"""What the tests of real processes share: waiting with a deadline, and the process table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")

DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.05


def eventually(ask: Callable[[], Answer], what: str, seconds: float = DEADLINE_SECONDS) -> Answer:
    """The first true answer; fails with `what` when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := ask():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


def running(*marks: str) -> dict[int, str]:
    """Process id -> command line of those whose command line or environment holds each mark, without this one and zombies."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            command, environment = (_words(entry / name) for name in ("cmdline", "environ"))
            if command and all(mark in command or mark in environment for mark in marks):
                found[int(entry.name)] = command
    return found


def _words(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
