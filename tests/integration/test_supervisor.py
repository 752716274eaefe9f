"""The supervisor: a real one in a process of its own, with real children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from failover_console.child_process import ChildProcess
from failover_console.redaction import Redaction
from failover_console.supervisor import Stage, Supervisor, printable
from tests.integration.processes import eventually, running

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

# Children get a mark, by which the process table shows them, and their name.
WELL = """
import os, signal, sys
def stop(*_):
    print(sys.argv[2], "stops", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print(sys.argv[2], "runs as", os.getpid(), flush=True)
while True:
    signal.pause()
"""
STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(sys.argv[2], "runs as", os.getpid(), flush=True)
while True:
    signal.pause()
"""
FAMILY = r"""
import os, signal, sys
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, f"grandchild runs as {os.getpid()}\n".encode())
    while True:
        signal.pause()
os.write(1, f"{sys.argv[2]} runs as {os.getpid()}\n".encode())
signal.pause()
"""
RUDE = """
import signal, sys
sys.stdout.buffer.write(b"red \\x1b[31m bell \\x07 half \\xff" + b"x" * 20000 + b"\\nlast")
sys.stdout.flush()
signal.pause()
"""
SUPERVISOR = """
import sys
from failover_console.child_process import ChildProcess
from failover_console.supervisor import Stage, Supervisor

mark, *rest = sys.argv[1:]
stages = [
    Stage((ChildProcess(name, [sys.executable, "-c", script, mark, name]),), patience=float(patience))
    for name, script, patience in zip(rest[0::3], rest[1::3], rest[2::3])
]
Supervisor(stages, lambda line: print(line, flush=True), on_ready=lambda: print("READY", flush=True)).run()
print("END", flush=True)
"""


class Supervised:
    """A supervisor with its children (name, script, patience), and what it has said so far."""

    def __init__(self, said: Path, *children: tuple[str, str, float]) -> None:
        self.mark = str(said)
        self._said = said
        words = [str(word) for child in children for word in child]
        with said.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, self.mark, *words], cwd=ROOT, stdout=out)

    def lines(self, text: str) -> list[str]:
        return [line for line in self._said.read_text().splitlines() if text in line]

    def says(self, text: str, times: int = 1) -> str:
        """The line in which it says `text` for the n-th time."""
        return eventually(lambda: (self.lines(text) + [""] * times)[times - 1], text)

    def number(self, name: str, times: int = 1) -> int:
        """The process id of the n-th run of a child."""
        return int(self.says(f"{name} runs as", times).rsplit(" ", 1)[1])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def alone(self) -> bool:
        return not running(self.mark)


Start = Callable[..., Supervised]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[Supervised] = []

    def begin(*children: tuple[str, str, float]) -> Supervised:
        begun.append(Supervised(tmp_path / f"said-{len(begun)}", *children))
        return begun[-1]

    yield begin
    for supervised in begun:
        supervised.process.kill()
        supervised.process.wait()
        for pid in running(supervised.mark):
            os.kill(pid, signal.SIGKILL)


def test_a_killed_child_is_said_and_started_again(start: Start) -> None:
    supervised = start(("one", WELL, 5))
    os.kill(supervised.number("one"), signal.SIGKILL)
    assert "it starts again in" in supervised.says("one ended (killed by SIGKILL)")
    assert supervised.number("one", 2) != supervised.number("one", 1)


def test_a_child_that_ends_by_itself_is_started_again_ever_later(start: Start) -> None:
    supervised = start(("one", "raise SystemExit(3)", 5))
    delays = [float(supervised.says("one ended (status 3)", n).rsplit(" ", 2)[1]) for n in (1, 2, 3)]
    assert delays[0] <= 0.5
    assert max(delays) <= 2.0


def test_the_end_is_in_reverse_order_of_the_start(start: Start) -> None:
    supervised = start(("one", WELL, 5), ("two", WELL, 5), ("three", WELL, 5))
    for name in ("one", "two", "three"):
        supervised.number(name)
    assert supervised.end() == 0
    assert [line.split()[0] for line in supervised.lines("stops")] == ["three", "two", "one"]
    assert supervised.lines("END")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_ending_signal_ends_all(start: Start, number: signal.Signals) -> None:
    supervised = start(("one", WELL, 5))
    supervised.number("one")
    assert supervised.end(number) == 0
    assert supervised.alone()


def test_a_child_that_will_not_end_is_killed_after_its_patience(start: Start) -> None:
    supervised = start(("one", WELL, 5), ("two", STUBBORN, 0.3))
    supervised.number("one")
    supervised.number("two")
    assert supervised.end() == 0
    assert supervised.lines("two did not end in time and was killed")
    assert supervised.lines("one stops"), "the others still end in order"
    assert supervised.alone()


def test_all_end_long_before_their_patience_together_is_over(start: Start) -> None:
    supervised = start(*((name, STUBBORN, 3600) for name in ("one", "two", "three")))
    for name in ("one", "two", "three"):
        supervised.number(name)
    assert supervised.end() == 0
    assert supervised.alone()


def test_a_second_signal_hastens(start: Start) -> None:
    supervised = start(("one", STUBBORN, 3600))
    supervised.number("one")
    supervised.process.send_signal(signal.SIGINT)
    assert supervised.end(signal.SIGTERM) == 0
    assert supervised.alone()


def test_what_a_killed_child_had_started_ends_too(start: Start) -> None:
    supervised = start(("family", FAMILY, 5))
    supervised.number("grandchild")
    os.kill(supervised.number("family"), signal.SIGKILL)
    supervised.number("grandchild", 2)
    assert len(eventually(lambda: running(supervised.mark), "one family")) == 3, "supervisor, child, grandchild"


def test_what_a_child_had_started_ends_with_the_supervisor(start: Start) -> None:
    supervised = start(("family", FAMILY, 5))
    supervised.number("grandchild")
    assert supervised.end() == 0
    assert supervised.alone()


def test_children_die_with_a_killed_supervisor(start: Start) -> None:
    supervised = start(("one", WELL, 5), ("two", STUBBORN, 5))
    supervised.number("one")
    supervised.number("two")
    supervised.process.kill()
    supervised.process.wait()
    eventually(supervised.alone, "no child is left")


def test_ctrl_c_at_the_terminal_does_not_reach_the_children(start: Start) -> None:
    supervised = start(("one", WELL, 5))
    assert os.getsid(supervised.number("one")) != os.getsid(supervised.process.pid)


def test_nothing_that_a_child_prints_can_steer_the_terminal(start: Start) -> None:
    supervised = start(("rude", RUDE, 5))
    line = supervised.says("red")
    assert line.startswith(r"rude | red \x1b[31m bell \x07 half ")
    assert len(line) < 10_000
    supervised.end()
    assert supervised.lines("rude | last")


def test_a_program_that_is_missing_is_said_and_tried_again(start: Start, tmp_path: Path) -> None:
    program = "from failover_console.child_process import ChildProcess\nfrom failover_console.supervisor import Stage, Supervisor\n"
    program += "Supervisor([Stage((ChildProcess('gone', ['/nonexistent']),), 1.0)], lambda line: print(line, flush=True)).run()"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().split(";")[0] for _ in range(2)] == ["gone cannot start (No such file or directory)"] * 2
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext é", "plain\ttext é"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("line\r", "line"),
        ("a\rb", r"a\rb"),
        ("\u202eevil", r"\u202eevil"),
    ],
)
def test_printable_escapes_what_is_no_plain_text(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_a_program_prints_before_it_has_a_log_gives_no_secret_away() -> None:
    said: list[str] = []
    script = "raise SystemExit('cannot connect to postgresql://failover:hunter22@db/failover with my-own-key')"

    def end_when_told() -> None:
        if any("cannot connect" in line for line in said):
            os.kill(os.getpid(), signal.SIGTERM)

    child = ChildProcess("web", [sys.executable, "-c", script])
    Supervisor([Stage((child,), patience=1.0)], said.append, on_turn=end_when_told, redacted=Redaction(["my-own-key"])).run()

    told = "\n".join(said)
    assert "cannot connect to postgresql://[hidden]@db/failover with [hidden]" in told
    assert not [secret for secret in ("hunter22", "my-own-key") if secret in told]
