"""What a child process may do: the user it runs as, the capabilities it keeps, what it sees of the disk.

`Confinement.enter` is called in the child between fork and exec, so it makes system calls and nothing else. Started by root,
the child loses root's capabilities for good: they leave its bounding set, and `no_new_privs` keeps any program that it starts from
getting some back. An ordinary user's child gets `no_new_privs`.

A directory that others may not search (a checkout below /root, a data directory of mode 0700) hides what an unprivileged child
needs. Instead of opening it, or leaving the child a capability to pass, `View` gives it a mount namespace of its own: there the
closed directory is an empty one that holds only what is needed, at the same paths. Nothing changes for anybody else.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from failover_console import files

CAP_NET_BIND_SERVICE = 10  # linux/capability.h

_PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 8, 24, 38, 47  # linux/prctl.h
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63  # the kernel refuses numbers above its own last one
_CLONE_NEWNS = 0x00020000  # linux/sched.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18  # linux/mount.h

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *given: object) -> None:
    """A function of the C library; raises OSError when it fails."""
    if getattr(_libc, name)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


@dataclass(frozen=True)
class View:
    """Paths that a user is to reach although directories above them are closed to it; those that are missing are left out."""

    writable: tuple[Path, ...]
    readable: tuple[Path, ...]

    def enter(self, uid: int, gid: int) -> None:
        """Give this process the view. Raises OSError where mounting is not allowed."""
        _call("unshare", _CLONE_NEWNS)
        _mount(None, Path("/"), _MS_REC | _MS_PRIVATE)
        shown = [path for path in (*self.writable, *self.readable) if path.exists()]
        closed = {path: _closed_above(path, uid, gid) for path in shown}
        shown = [path for path in shown if closed[path] is not None]
        # What is writable lies where another user may write; the programs are root's, and links lead to many of them.
        sources = {path: files.pin(path) if path in self.writable else os.open(path, os.O_PATH | os.O_CLOEXEC) for path in shown}
        covers = _outermost(cover for path in shown if (cover := closed[path]) is not None)
        for cover in covers:
            _mount("tmpfs", cover, _MS_NOSUID | _MS_NODEV, kind="tmpfs", options="mode=755,size=64k")
        for path in shown:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{sources[path]}", path, _MS_BIND)
            if path not in self.writable:
                _mount(None, path, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID)
        for cover in covers:
            _mount(None, cover, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


@dataclass(frozen=True)
class Confinement:
    """Runs a child as `uid` and `gid` with the capabilities `keep`, and with `view`; no user named: it stays whose it is."""

    uid: int | None = None
    gid: int | None = None
    keep: tuple[int, ...] = ()
    view: View | None = None

    def enter(self) -> None:
        """Called in the child. Raises OSError when it cannot be confined."""
        if os.geteuid() == 0:
            uid, gid = self.uid or 0, self.gid or 0
            if self.view is not None:
                self.view.enter(uid, gid)
            for number in range(_LAST_CAPABILITY + 1):
                if number not in self.keep:  # who may not shrink the set has few, and below nothing of it can be gained
                    _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
            _libc.prctl(_PR_SET_KEEPCAPS, 1 if self.keep else 0, 0, 0, 0)
            _leave_groups(uid)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            _keep_capabilities(self.keep)
        _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


WITHOUT_GAIN = Confinement()  # of the user who starts it


def may_search(directory: os.stat_result, uid: int, gid: int) -> bool:
    """Whether a user without capabilities may pass through a directory, by its mode alone."""
    if uid == directory.st_uid:
        return bool(directory.st_mode & stat.S_IXUSR)
    return bool(directory.st_mode & (stat.S_IXGRP if gid == directory.st_gid else stat.S_IXOTH))


def _leave_groups(uid: int) -> None:
    try:
        os.setgroups([])
    except PermissionError:  # a user namespace may forbid it, where root is somebody's own
        if uid != 0:
            raise


def _closed_above(path: Path, uid: int, gid: int) -> Path | None:
    """The outermost directory above `path` that the user may not pass."""
    return next((each for each in reversed(path.parents) if not may_search(each.stat(), uid, gid)), None)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    found = sorted(set(paths))
    return [path for path in found if not any(other in path.parents for other in found)]


def _mount(source: str | None, target: Path, flags: int, *, kind: str = "", options: str = "") -> None:
    _call(
        "mount",
        source.encode() if source else None,
        bytes(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


def _keep_capabilities(numbers: tuple[int, ...]) -> None:
    """These and no others: permitted, effective and inheritable, and ambient, so that they outlive the exec of another user."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low = sum(1 << number for number in numbers if number < 32)
    high = sum(1 << (number - 32) for number in numbers if number >= 32)
    sets = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    _libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    _call("capset", header, sets)
    for number in numbers:
        _libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number, 0, 0)
