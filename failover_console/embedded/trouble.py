"""What may go wrong with the embedded servers, and what they left behind."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

from failover_console import files

LOG_TAIL_LINES = 5
POLL_SECONDS = 0.05


class EmbeddedError(Exception):
    """The embedded PostgreSQL or Redis cannot be had; the message is a sentence that says what to do."""


def tail(log: Path) -> str:
    """The last lines of a log as one line, or a word that there are none."""
    try:
        lines = files.read(log).splitlines()
    except OSError:
        lines = []
    return " / ".join(lines[-LOG_TAIL_LINES:]) or "it said nothing"


def end_leftover(pid_file: Path, mark: str, *, ask: signal.Signals, insist: signal.Signals, seconds: float) -> None:
    """End the server that an earlier, killed start left behind, and forget its pid file.

    The process is ours only if its command line holds `mark`: after a reboot the number may be anybody's.
    Raises EmbeddedError when it does not end within `seconds`.
    """
    pid = _read_pid(pid_file)
    if pid is not None and _is_ours(pid, mark):
        for number in (ask, insist):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if _gone(pid, mark, seconds):
                break
        else:
            raise EmbeddedError(f"Process {pid} of an earlier start still uses {mark} and does not end: end it and start again.")
    files.unlink(pid_file)


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(files.read(pid_file).split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _is_ours(pid: int, mark: str) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    # A whole word, so that the copy under /data/a leaves that under /data/ab alone; Redis writes "unixsocket:PATH".
    return re.search(rf"(?:^|[\0: ]){re.escape(mark)}(?:[\0 ]|$)", command) is not None


def _gone(pid: int, mark: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _is_ours(pid, mark):
            return True
        time.sleep(POLL_SECONDS)
    return False
