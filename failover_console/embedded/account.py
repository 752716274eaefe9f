"""Who the embedded servers run as.

PostgreSQL refuses to run as root, and Redis has no need to. Started by root, both run as the owner of what they keep, or as nobody,
without any capability. They own only their own directories below the data directory; nothing else changes its owner.

A data directory of mode 0700, or a checkout below /root, would hide both programs and data from that account: it then has a view of
the disk (`confinement.View`) in which the closed directories hold nothing but those.
"""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from failover_console import files
from failover_console.confinement import Confinement, View
from failover_console.embedded.trouble import EmbeddedError

NOBODY = 65534  # where the account has no name
PROBE_SECONDS = 10.0
PASSABLE = 0o011


@dataclass(frozen=True)
class Account:
    """A user and group id, how a server is confined to them, and the group of those who may connect."""

    uid: int
    gid: int
    confinement: Confinement
    clients_gid: int

    def directory(self, path: Path) -> None:
        """Have a directory that only this account (and root) may enter. Raises EmbeddedError when it is another's."""
        self._own(path, self.gid, 0o700)

    def socket_directory(self, path: Path) -> None:
        """Where the console reaches the servers: as a group when it is another user, and the sockets inherit that group."""
        if os.geteuid() == 0:
            self._own(path, self.clients_gid, 0o2710)
        else:
            self.directory(path)

    def _own(self, path: Path, gid: int, mode: int) -> None:
        with files.made_directory(path) as directory:
            if path.is_symlink() or os.fstat(directory).st_uid not in {os.geteuid(), self.uid}:
                raise EmbeddedError(
                    f"{path} belongs to another user: remove it, run as its owner, or set DATA_DIR to another directory."
                )
            files.own(directory, self.uid, gid, mode)

    @property
    def socket_mode(self) -> str:
        """Of the sockets, as the servers' settings take it."""
        return "0770" if os.geteuid() == 0 else "0700"


def choose_account(data_dir: Path, kept: Path, programs: tuple[Path, ...], sockets: Path, *, clients_gid: int) -> Account:
    """The account that can run all `programs`: the owner of `kept` (from an earlier start) goes first. Raises EmbeddedError."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), Confinement(), os.getegid())
    served = tuple(data_dir / name for name in ("postgres", "postgres.new", "redis"))
    for path in served:
        files.status(path)  # refuses a link here, with a sentence; a view could only fail
    uid, gid = _unprivileged_ids(data_dir, kept)
    view = View((*served, sockets), tuple(_whole(program) for program in programs))
    Account(uid, gid, Confinement(), clients_gid).socket_directory(sockets)  # first, for a view of nothing could not be tried
    mode = stat.S_IMODE(data_dir.stat().st_mode)
    for confinement, passable in (
        (Confinement(uid, gid), 0),
        (Confinement(uid, gid, view=view), 0),
        (Confinement(uid, gid), PASSABLE),
    ):
        # At last, as in a container without the right to mount, others may pass, and read nothing.
        files.set_mode(data_dir, mode | passable)
        account = Account(uid, gid, confinement, clients_gid)
        if all(_can_run(account, program, data_dir if confinement.view is None else sockets) for program in programs):
            return account
    files.set_mode(data_dir, mode)
    raise EmbeddedError(
        f"The embedded PostgreSQL and Redis do not run as root, and user {uid} may not both search {data_dir} "
        f"and run {' and '.join(map(str, programs))}, nor may root mount a view of them: place them where every user may search, "
        "start the console as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _whole(program: Path) -> Path:
    """All that comes with a program: the directory of its package, or of what is installed beside it."""
    return next((each for each in program.parents if each.parent.name == "site-packages"), program.parent)


def _unprivileged_ids(data_dir: Path, kept: Path) -> tuple[int, int]:
    for path in (kept, data_dir):
        found = files.status(path)
        if found is not None and found.st_uid != 0:
            return found.st_uid, found.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return nobody.pw_uid, nobody.pw_gid


def _can_run(account: Account, program: Path, reached: Path) -> bool:
    """Try it: permission bits alone would not show access lists, security modules or a container's missing capabilities."""
    script = 'test -d "$1/." && test -r "$2" && exec "$2" --version'
    words = ("sh", "-c", script, "sh", str(reached), str(program))
    try:
        return (
            subprocess.run(
                words,
                cwd="/",
                capture_output=True,
                timeout=PROBE_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                preexec_fn=account.confinement.enter,  # system calls, no lock
            ).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False
