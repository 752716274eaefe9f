"""PostgreSQL and Redis of our own below the data directory, for a machine that has neither. Needs no Django."""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Protocol

from failover_console import files
from failover_console.addresses import database_url, redis_url, socket_directory
from failover_console.child_process import ChildProcess
from failover_console.embedded import postgresql, redis
from failover_console.embedded.account import choose_account
from failover_console.embedded.trouble import EmbeddedError

__all__ = ["EmbeddedError", "Services"]

READY_SECONDS = 60.0  # a recovery after a crash replays at most max_wal_size
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
STARTS_AGAIN, START_AGAIN_SECONDS = 5, 1.0


class _Server(Protocol):
    process: ChildProcess

    def prepare(self) -> None: ...
    def ready(self) -> bool: ...
    def complete(self) -> None: ...
    def complaint(self) -> str: ...


class Services:
    """The embedded servers of one data directory, and the lock that keeps a second console off it.

    `start` returns the addresses as settings name them (DATABASE_URL, REDIS_URL) and raises EmbeddedError, whose message says
    what to do; `stop` ends both and frees the directory. With `with_postgresql` or `with_redis` False that one is left out.
    Beside the user who starts them, `client` (a user and a group id) may connect. `notices` are sentences for whom it concerns.
    """

    def __init__(
        self, data_dir: Path, *, with_postgresql: bool = True, with_redis: bool = True, client: tuple[int, int] | None = None
    ) -> None:
        self._data_dir = data_dir
        self._client = client or (os.geteuid(), os.getegid())
        self.notices: list[str] = []
        self._with_postgresql = with_postgresql
        self._with_redis = with_redis
        self._lock: int | None = None
        self.servers: list[_Server] = []

    @property
    def processes(self) -> list[ChildProcess]:
        """The servers' processes, in the order of their start."""
        return [server.process for server in self.servers]

    def start(self) -> dict[str, str]:
        """Start both, make what is missing, wait until they answer."""
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._data_dir = self._data_dir.resolve()
            self._take_lock()
        except OSError as trouble:
            raise _refusal(
                trouble, f"{self._data_dir} cannot be used ({trouble.strerror}): set DATA_DIR to a directory that you may write to."
            ) from trouble
        try:
            addresses = self._place()
            for server in self.servers:
                server.prepare()
                server.process.start()
            for server in self.servers:
                _wait(server)
                server.complete()
                _wait(server)  # again if it was started anew
        except OSError as trouble:
            self.stop()
            raise _refusal(
                trouble, f"The embedded servers cannot start ({trouble}): mend that, or set DATABASE_URL and REDIS_URL."
            ) from trouble
        except BaseException:
            self.stop()
            raise
        return addresses

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End Redis, then PostgreSQL, each in order within `seconds`, else at once; free the data directory."""
        for process in reversed(self.processes):
            if process.running():
                process.ask_to_stop()
                process.wait(seconds)
            process.end_group()
            process.wait(seconds)
        if self._lock is not None:
            with contextlib.suppress(OSError):
                socket_directory(self._data_dir).rmdir()
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        lock = files.open_or_make(self._data_dir / "up.lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise EmbeddedError(
                f"Another console runs on {self._data_dir}: stop it, or set DATA_DIR (and PORT) for this one."
            ) from None
        self._lock = lock

    def _place(self) -> dict[str, str]:
        """Decide who runs what where; nothing runs yet."""
        self.servers = []
        if not (self._with_postgresql or self._with_redis):
            return {}
        cluster, sockets = self._data_dir / "postgres", socket_directory(self._data_dir)
        broker = redis.chosen() if self._with_redis else None
        programs = [postgresql.binaries() / "postgres"] if self._with_postgresql else []
        programs += [broker.program] if broker else []
        uid, gid = self._client
        account = choose_account(self._data_dir, cluster, tuple(programs), sockets, clients_gid=gid)
        account.socket_directory(sockets)
        addresses = {}
        if self._with_postgresql:
            addresses["DATABASE_URL"] = url = database_url(self._data_dir)
            clients = frozenset({os.geteuid(), uid})
            self.servers.append(postgresql.PostgreSQL(cluster, sockets, url, account, clients))
        if broker:
            addresses["REDIS_URL"] = redis_url(self._data_dir)
            self.servers.append(redis.Redis(self._data_dir / "redis", sockets / "redis.sock", account, broker))
            self.notices = [broker.notice] if broker.notice else []
        return addresses


def _refusal(trouble: OSError, sentence: str) -> EmbeddedError:
    """A planted link speaks for itself."""
    return EmbeddedError(str(trouble) if isinstance(trouble, files.UnsafePathError) else sentence)


def _wait(server: _Server) -> None:
    """Until it answers. A server of a killed start may hold its memory a moment longer, so one that ends is started again."""
    deadline = time.monotonic() + READY_SECONDS
    ends = 0
    while not server.ready():
        if not server.process.running():
            ends += 1
            if ends > STARTS_AGAIN or "pre-existing shared memory" not in server.complaint():
                raise EmbeddedError(f"{server.process.name} did not start: {server.complaint()}")
            time.sleep(START_AGAIN_SECONDS)
            server.process.start()
        elif time.monotonic() > deadline:
            raise EmbeddedError(f"{server.process.name} did not answer within {READY_SECONDS:.0f} s: {server.complaint()}")
        time.sleep(POLL_SECONDS)
