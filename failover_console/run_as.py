"""Whom the console's programs run as when root starts it: an ordinary user, or root's user without any of root's powers.

A checkout or a Python below /root cannot be read by an ordinary user; then the programs keep root's user id, lose every capability
for good and can gain none (`confinement`).  Either way the embedded servers are yet another user's, which reads nothing of the
console's.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django

from failover_console import files
from failover_console.confinement import CAP_NET_BIND_SERVICE, Confinement

USERS = ("failover", "daemon")  # the first of these that there is, where nobody is named
OF_THE_SERVERS = {"postgres", "postgres.new", "redis", "run"}  # below the data directory
SECRETS = ("secret_key", "encryption_keys")
PROBE_SECONDS = 10.0
_FIRST_FREE_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_OPEN = stat.S_IRWXG | stat.S_IRWXO
_READS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


@dataclass(frozen=True)
class RunAs:
    """A user and a group id for the programs; `notice` says what was decided, empty when nothing was."""

    uid: int
    gid: int
    notice: str = ""

    def confinement(self, port: int | None = None) -> Confinement:
        """Of a program; one that listens on a `port` that is not for everybody keeps the right to."""
        if os.geteuid() != 0:
            return Confinement()
        keep = (CAP_NET_BIND_SERVICE,) if port is not None and port < _first_free_port() else ()
        return Confinement(self.uid, self.gid, keep=keep)

    def give(self, data_dir: Path) -> None:
        """Make all that the console keeps this user's; what the embedded servers keep stays theirs."""
        if os.geteuid() == 0:
            files.give(data_dir, self.uid, self.gid, but=OF_THE_SERVERS)


def choose(data_dir: Path, name: str, base: Path, *, may_give: bool) -> RunAs:
    """Who runs the programs: `name`, else the owner of `data_dir`, else (if it may be given away) a user for such programs."""
    if os.geteuid() != 0:
        return RunAs(os.geteuid(), os.getegid())
    tried = []
    for user in _candidates(data_dir, name, may_give=may_give):
        if user.pw_uid != 0 and _can_run(user, data_dir, base):
            return RunAs(user.pw_uid, user.pw_gid, f"Started by root: the programs run as {user.pw_name}.")
        tried += [user.pw_name] if user.pw_uid != 0 else []
    why = f", for {' and '.join(tried)} may not read {base} and its Python" if tried else ""
    return RunAs(0, 0, f"Started by root: the programs keep its user, without any capability{why}.")


def _candidates(data_dir: Path, name: str, *, may_give: bool) -> Iterator[pwd.struct_passwd]:
    if name:
        yield pwd.getpwnam(name)
        return
    owner = data_dir.stat().st_uid
    if owner != 0:
        try:
            yield pwd.getpwuid(owner)
        except KeyError:  # PostgreSQL admits by name
            pass
        else:
            return
    for each in USERS if may_give else ():
        try:
            yield pwd.getpwnam(each)
        except KeyError:
            continue


def _can_run(user: pwd.struct_passwd, data_dir: Path, base: Path) -> bool:
    """Try it: permission bits alone would not show access lists or security modules."""
    read = [base / "manage.py", Path(__file__), Path(django.__file__)]
    script = "import os, sys; sys.exit(not (os.access(sys.argv[1], os.X_OK) and all(os.access(p, os.R_OK) for p in sys.argv[2:])))"
    words = [sys.executable, "-I", "-S", "-c", script, str(data_dir.parent), *map(str, read)]
    try:
        tried = subprocess.run(
            words, cwd="/", capture_output=True, timeout=PROBE_SECONDS, check=False, stdin=subprocess.DEVNULL,
            preexec_fn=Confinement(user.pw_uid, user.pw_gid).enter,  # system calls, no lock
        )  # fmt: skip  # options beside their values
    except (OSError, subprocess.SubprocessError):
        return False
    return tried.returncode == 0


def tighten(data_dir: Path) -> str:
    """Close a data directory and keys that others could read; the sentence that says so, or nothing."""
    looked_at = [(data_dir, _READS), *((data_dir / name, _OPEN) for name in SECRETS)]
    found = [path for path, bits in looked_at if (kept := files.status(path)) and kept.st_mode & bits]
    if not found:
        return ""
    named = ", ".join(map(str, found))
    try:
        for path in found:
            files.set_mode(path, 0o700 if path == data_dir else 0o600)
    except PermissionError:
        return f"Others of this machine may read {named}, which this user may not change: have its owner close it (chmod go=)."
    return f"Others of this machine could read {named}: closed now."


def _first_free_port() -> int:
    try:
        return int(_FIRST_FREE_PORT.read_text())
    except (OSError, ValueError):
        return 1024
