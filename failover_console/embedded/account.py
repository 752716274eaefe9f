"""Who the embedded servers run as.

PostgreSQL refuses to run as root, and Redis has no need to. Started by root, both run as the owner of the data directory, or as
nobody when that is root too. They own only their own directories below the data directory; nothing else changes its owner or mode.

A checkout below /root (mode 0700) would hide both programs and data from that account. Instead of opening the parents, the
servers keep one capability, the weakest that does: to search and read any directory, else to pass permission checks at all.
"""

import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from failover_console.embedded.trouble import EmbeddedError

NOBODY = 65534  # where the account has no name
CAPABILITIES = (None, "dac_read_search", "dac_override")
PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Account:
    """A user and group id, and the words before a command line that run it as them (`become`)."""

    uid: int
    gid: int
    become: tuple[str, ...] = ()

    def prefix(self, orphan_signal: signal.Signals | None = None) -> tuple[str, ...]:
        """The words before a command line; a change of user makes the kernel forget the orphan's signal, so it is named anew."""
        if not self.become or orphan_signal is None:
            return self.become
        return (*self.become, f"--pdeathsig={orphan_signal.name}")

    def own(self, path: Path, mode: int) -> None:
        """Make `path` this account's, with `mode`."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)
        path.chmod(mode)

    def directory(self, path: Path) -> Path:
        """`path`, a directory that only this account (and root) may enter. Raises EmbeddedError when it is another's."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), self.uid}:
            raise EmbeddedError(
                f"{path} belongs to another user: remove it, run as its owner, or set DATA_DIR to another directory."
            )
        self.own(path, 0o700)
        return path


def choose_account(data_dir: Path, kept: Path, program: Path) -> Account:
    """The account that can run `program`: the owner of `kept` (from an earlier start) goes first. Raises EmbeddedError."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    uid, gid = _unprivileged_ids(data_dir, kept)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedError(
            "The embedded PostgreSQL and Redis do not run as root, and setpriv (Debian: util-linux) is missing: "
            "install it, start the console as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    for capability in CAPABILITIES:
        account = Account(uid, gid, _become(setpriv, uid, gid, capability))
        if _can_run(account, data_dir, program):
            return account
    raise EmbeddedError(
        f"The embedded PostgreSQL and Redis do not run as root, and user {uid} may not both search {data_dir} "
        f"and run {program}: place them where every user may search, start the console as an ordinary user, "
        "or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _unprivileged_ids(data_dir: Path, kept: Path) -> tuple[int, int]:
    for path in (kept, data_dir):
        if path.exists() and path.stat().st_uid != 0:
            return path.stat().st_uid, path.stat().st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return nobody.pw_uid, nobody.pw_gid


def _become(setpriv: str, uid: int, gid: int, capability: str | None) -> tuple[str, ...]:
    prefix: tuple[str, ...] = (setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    if capability is None:
        return (*prefix, "--inh-caps=-all")
    # PostgreSQL asks access(2) whether it may read its own program, and that call forgets a user's capabilities unless the
    # process has this security bit.
    return (*prefix, f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}", "--securebits=+no_setuid_fixup")


def _can_run(account: Account, data_dir: Path, program: Path) -> bool:
    """Try it: permission bits alone would not show access lists, security modules or a container's missing capabilities."""
    script = 'cd "$1" && test -r "$2" && exec "$2" --version'
    words = (*account.prefix(), "sh", "-c", script, "sh", str(data_dir), str(program))
    try:
        return (
            subprocess.run(words, capture_output=True, timeout=PROBE_SECONDS, check=False, stdin=subprocess.DEVNULL).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
