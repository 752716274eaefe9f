"""One child process: a session of its own, and never longer alive than its parent.

A terminal's Ctrl-C reaches every process of its session at once, so each child leads a session of its own and hears only what
its parent tells it.
The kernel signals the child when the parent dies in whatever way (PR_SET_PDEATHSIG); what the child started itself belongs to its
process group and is ended with it.
"""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from failover_console import files
from failover_console.confinement import WITHOUT_GAIN, Confinement

PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Have the kernel send this process signal `number` when its parent dies.

    With `parent` (a process id) the process ends here when that parent is gone already, for then the signal never comes.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def confined(confinement: Confinement, orphan_signal: int) -> Callable[[], None]:
    """What a child of this process does before it becomes its program."""
    parent = os.getpid()

    def enter() -> None:
        confinement.enter()
        die_with_parent(orphan_signal, parent=parent)  # afterwards: a change of user makes the kernel forget it

    return enter


class ChildProcess:
    """A program that may be started again and again: `name` for people, `argv`, the signals that end it.

    `output` None pipes what it prints to `stream`; a path keeps what its present run prints there.  With `shows_signs` it shows
    its supervisor that it lives (`nodes.sign_of_life`); `confinement` is what it may do.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGKILL,
        shows_signs: bool = False,
        confinement: Confinement = WITHOUT_GAIN,
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.directory = directory
        self.environment = environment
        self.output = output
        self.stop_signal = stop_signal
        self.orphan_signal = orphan_signal
        self.shows_signs = shows_signs
        self.confinement = confinement
        self._process: subprocess.Popen[bytes] | None = None
        self._group_left = False

    def start(self) -> None:
        """Start the program. Raises OSError when it cannot be run, or not confined."""
        try:
            self._start()
        except subprocess.SubprocessError as trouble:
            raise OSError(errno.EPERM, f"{self.name} cannot be confined") from trouble

    def _start(self) -> None:
        with contextlib.ExitStack() as stack:
            stdout: int | IO[bytes] = subprocess.PIPE
            if self.output is not None:
                stdout = stack.enter_context(open(files.open_or_make(self.output, os.O_WRONLY, 0o666), "wb"))
                stdout.truncate()
            self._process = subprocess.Popen(
                self.argv,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
                preexec_fn=confined(self.confinement, self.orphan_signal),  # noqa: PLW1509 - system calls, no lock
            )
        self._group_left = True

    @property
    def pid(self) -> int:
        """The process id of the present or last run."""
        assert self._process is not None
        return self._process.pid

    @property
    def stream(self) -> IO[bytes] | None:
        """What the present run prints, or None when that goes to a file."""
        return self._process.stdout if self._process else None

    def status(self) -> int | None:
        """The exit status of the last run (negative: the signal that ended it), None while it runs."""
        return self._process.poll() if self._process else None

    def running(self) -> bool:
        """Whether the program itself (not what it started) runs."""
        return self._process is not None and self._process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the signal that ends it in good order."""
        if self._process is not None:
            self._process.send_signal(self.stop_signal)

    def end_group(self) -> None:
        """End the program and all that is left of what it started, at once.

        It does so once for each run: later the number may be another's.
        """
        if self._process is None or not self._group_left:
            return
        self._group_left = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """Wait until the program has ended; False when it still runs after `seconds`."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
