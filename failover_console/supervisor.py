"""Keeps a set of children running, ends what hangs, and ends all in order.

One thread, one loop: it passes on what the children print, starts again what died (with backoff and a line that says so), and on
the first SIGINT, SIGTERM or SIGHUP ends the stages in the reverse order of their start, all within STOP_SECONDS. A second
signal hastens. Children are started by this thread alone, for the kernel's "your parent died" means the thread that forked.
"""

import contextlib
import os
import random
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from failover_console.child_process import ChildProcess
from failover_console.hang_watch import HangWatch, Process
from nodes.sign_of_life import boot_time

STOP_SECONDS = 7.3  # for all together; a stage that comes later has what it takes `hurried`
KILLED_SECONDS = 1.0  # what the kernel may take to end a killed process
BACKOFF_FIRST_SECONDS, BACKOFF_CAP_SECONDS = 0.5, 10.0
STABLE_SECONDS = 30.0  # after that a death is the first one again
TURN_SECONDS = 0.2
LINE_BYTES = 8192  # a longer line is broken
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Stage:
    """Children that start and end together: `patience` seconds to end in order, `hurried` when time is short."""

    members: tuple[ChildProcess, ...]
    patience: float
    hurried: float = 0.0


@dataclass
class _Watch:
    child: ChildProcess
    started: float = 0.0
    started_boot: float = 0.0
    deaths: int = 0
    again: float | None = None  # monotonic; None while it runs
    rest: bytes = field(default=b"")


class Supervisor:
    """Runs `stages` in their order until a signal ends them; `say` takes each line for the terminal.

    `ready` is asked until it is true, then `on_ready` runs, once; `on_turn` runs at each turn.
    What `hangs` finds is killed, and `on_killed` told of it. What children print passes `redacted`: a program that cannot start
    has no log yet that would hide its secrets.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        say: Callable[[str], None],
        *,
        ready: Callable[[], bool] = lambda: True,
        on_ready: Callable[[], None] = lambda: None,
        on_turn: Callable[[], None] = lambda: None,
        hangs: HangWatch | None = None,
        on_killed: Callable[[Sequence[Process]], None] = lambda _killed: None,
        redacted: Callable[[str], str] = str,
    ) -> None:
        self._stages = tuple(stages)
        self._say = say
        self._ready: Callable[[], bool] | None = ready
        self._on_ready = on_ready
        self._on_turn = on_turn
        self._hangs = hangs
        self._on_killed = on_killed
        self._redacted = redacted
        self._watches = [_Watch(child) for stage in stages for child in stage.members]
        self._width = max((len(watch.child.name) for watch in self._watches), default=0)
        self._selector = selectors.DefaultSelector()
        self._asked = 0

    def run(self) -> None:
        """Start what does not run yet and keep all running until a signal asks for the end; nothing is left when it returns."""
        with _woken_by_signals(self._selector, self._ask):
            try:
                for watch in self._watches:
                    self._begin(watch)
                while not self._asked:
                    self._turn()
                    self._tend()
                    self._on_turn()
            finally:
                self._stop()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked += 1

    def _begin(self, watch: _Watch) -> None:
        """Start one child, or take over one that runs already."""
        watch.started, watch.started_boot, watch.again = time.monotonic(), boot_time(), None
        if not watch.child.running():
            try:
                watch.child.start()
            except OSError as trouble:
                self._plan_again(watch, f"cannot start ({trouble.strerror})")
                return
        if (stream := watch.child.stream) is not None:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, watch)

    def _turn(self, seconds: float = TURN_SECONDS) -> None:
        """Wait for output, a signal or the end of the turn, and pass on what was printed."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, _Watch):
                self._pass_on(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    key.data.recv(4096)

    def _tend(self) -> None:
        """Start again what died and is due; tell when all is ready."""
        now = time.monotonic()
        for watch in self._watches:
            if watch.again is None:
                if not watch.child.running():
                    self._bury(watch)
                    self._plan_again(watch, f"ended ({_manner(watch.child.status())})")
            elif now >= watch.again:
                self._begin(watch)
        self._end_what_hangs()
        if self._ready is not None and self._ready():
            self._ready = None
            self._on_ready()

    def _end_what_hangs(self) -> None:
        """Kill one process that shows no sign of life: alone where its parent replaces it, else with all of its program."""
        if self._hangs is None:
            return
        running = {watch.child.pid: watch for watch in self._watches if watch.child.shows_signs and watch.child.running()}
        hung = self._hangs.look({pid: watch.started_boot for pid, watch in running.items()})
        if hung is None:
            return
        watch = running.get(hung.group)
        what = f"process {hung.pid} shows no sign of life for {hung.silent_for:.0f} s and is killed"
        self._say(f"{watch.child.name if watch else 'a child'}: {what}.")
        killed = self._hangs.members(hung)
        if watch is not None and hung.whole_group:
            watch.child.end_group()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(hung.pid, signal.SIGKILL)
        self._on_killed(killed)

    def _plan_again(self, watch: _Watch, what: str) -> None:
        now = time.monotonic()
        if now - watch.started >= STABLE_SECONDS:
            watch.deaths = 0
        # Full jitter, so that children that died of one cause do not come back in one moment.
        delay = random.uniform(0, min(BACKOFF_CAP_SECONDS, BACKOFF_FIRST_SECONDS * 2**watch.deaths))
        watch.deaths = min(watch.deaths + 1, 10)
        watch.again = now + delay
        self._say(f"{watch.child.name} {what}; it starts again in {delay:.1f} s.")

    def _bury(self, watch: _Watch) -> None:
        """End what a dead child left behind, and print its last words."""
        watch.child.end_group()
        stream = watch.child.stream
        if stream is None or stream.closed:
            return
        self._pass_on(watch)
        if not stream.closed:
            self._close(watch)

    def _pass_on(self, watch: _Watch) -> None:
        stream = watch.child.stream
        if stream is None or stream.closed:
            return
        while chunk := self._read(stream.fileno()):
            *lines, watch.rest = (watch.rest + chunk).split(b"\n")
            if len(watch.rest) >= LINE_BYTES:
                lines.append(watch.rest)
                watch.rest = b""
            for line in lines:
                self._print(watch, line)
        if chunk is not None:
            self._close(watch)

    @staticmethod
    def _read(descriptor: int) -> bytes | None:
        """What is there, empty at the end of the stream, None when there is nothing now."""
        try:
            return os.read(descriptor, 65536)
        except BlockingIOError:
            return None

    def _close(self, watch: _Watch) -> None:
        stream = watch.child.stream
        assert stream is not None
        if watch.rest:
            self._print(watch, watch.rest)
            watch.rest = b""
        self._selector.unregister(stream)
        stream.close()

    def _print(self, watch: _Watch, line: bytes) -> None:
        for start in range(0, len(line) or 1, LINE_BYTES):
            text = printable(self._redacted(line[start : start + LINE_BYTES].decode(errors="replace")))
            self._say(f"{watch.child.name:<{self._width}} | {text}")

    def _stop(self) -> None:
        """Stages in reverse; each gets its patience, all together STOP_SECONDS."""
        limit = time.monotonic() + STOP_SECONDS
        for stage in reversed(self._stages):
            running = [child for child in stage.members if child.running()]
            for child in running:
                child.ask_to_stop()
            asked_at = time.monotonic()
            while any(child.running() for child in running):
                hurried = asked_at + stage.hurried
                until = hurried if self._asked > 1 else max(hurried, min(asked_at + stage.patience, limit))
                if time.monotonic() >= until:
                    break
                self._turn(0.05)
            self._end(stage, {id(child) for child in running if child.running()})
        self._selector.close()

    def _end(self, stage: Stage, late: set[int]) -> None:
        for watch in self._watches:
            if watch.child in stage.members:
                self._bury(watch)
                watch.child.wait(KILLED_SECONDS)
                if id(watch.child) in late:
                    self._say(f"{watch.child.name} did not end in time and was killed.")


def printable(text: str) -> str:
    """`text` with every character that could steer a terminal written as its escape."""
    return "".join(
        character if character.isprintable() or character == "\t" else ascii(character)[1:-1] for character in text.rstrip("\r")
    )


def _manner(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"


@contextlib.contextmanager
def _woken_by_signals(selector: selectors.BaseSelector, ask: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """The ending signals call `ask`; they and the death of a child end the selector's wait."""
    inside, outside = socket.socketpair()
    inside.setblocking(False)
    outside.setblocking(False)
    selector.register(inside, selectors.EVENT_READ, inside)
    before = {number: signal.signal(number, ask) for number in ENDING_SIGNALS}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    wakeup = signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        inside.close()
        outside.close()
