"""Files in directories that root gave away: there root follows no link, and changes no file that has a second name.

Started by root, the console gives DATA_DIR to its programs' user and parts of it to that of the embedded servers. Who owns a
directory can put a link where root is about to write. So root names a thing once (`pin`), looks at what it got, and works on that
one whatever takes its place meanwhile. What should not be there is an `UnsafePathError`.

An ordinary user reaches by a link only what it may reach anyway: for it links are followed as everywhere. Paths are absolute and
without links in their directories, as `real` makes them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_RENAME_NOREPLACE = 1  # linux/fs.h
_NEW = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # with these no link is followed either

_libc = ctypes.CDLL(None, use_errno=True)


class UnsafePathError(OSError):
    """Root does not touch a path that another user may have laid out for it; the text is a sentence that says what to do."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            errno.ELOOP,
            f"{path} {what}, which root does not touch where another user may write: find out who put it there, "
            "have the file or directory itself in its place, and start again",
        )

    def __str__(self) -> str:
        return f"{self.strerror}."


def real(path: Path) -> Path:
    """A directory that the operator named, with its links resolved. For root, a link in its place must be root's."""
    if not _root():
        return path
    if path.is_symlink() and path.lstat().st_uid != 0:
        raise UnsafePathError(path, "is a symbolic link of another user's")
    return path.resolve()


def pin(path: Path) -> int:
    """A descriptor (O_PATH) of what `path` names now, whatever is put there later. Raises UnsafePathError."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if _root() else 0))
    try:
        if _root():
            _judge(path, os.fstat(descriptor))
            if os.readlink(itself(descriptor)) != str(path):
                raise UnsafePathError(path, "lies behind a symbolic link")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def pinned(path: Path) -> Iterator[int]:
    """`pin` for a block."""
    descriptor = pin(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def itself(descriptor: int) -> str:
    """A path to what a descriptor is of, for calls that take no O_PATH descriptor."""
    return f"/proc/self/fd/{descriptor}"


def status(path: Path) -> os.stat_result | None:
    """Of what is there, None of nothing."""
    try:
        with pinned(path) as there:
            return os.fstat(there)
    except FileNotFoundError:
        return None


def read(path: Path) -> str:
    """The text of a file."""
    with pinned(path) as there, open(itself(there), errors="replace") as file:
        return file.read()


def open_or_make(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of a file, made when there is none."""
    if not _root():
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, mode)
    with pinned(path.parent) as at, suppress(FileExistsError):
        return os.open(path.name, flags | _NEW, mode, dir_fd=at)
    with pinned(path) as there:
        return os.open(itself(there), flags | os.O_CLOEXEC)


def write(path: Path, text: str) -> None:
    """Put a file of mode 0600 there, all of it or nothing; it belongs to whom its directory belongs to."""
    status(path)
    _write(path, text, os.rename)


def write_once(path: Path, text: str) -> None:
    """As `write`, but what is there already stays: of two that write at once, the first one's counts."""
    with suppress(FileExistsError):
        _write(path, text, _rename_to_new)


def unlink(path: Path) -> None:
    """Remove a name, if there is one."""
    with suppress(FileNotFoundError), pinned(path.parent) as at:
        os.unlink(path.name, dir_fd=at)


def set_mode(path: Path, mode: int) -> None:
    """Of a file or directory."""
    with pinned(path) as there:
        os.chmod(itself(there), mode)


@contextmanager
def made_directory(path: Path) -> Iterator[int]:
    """A pinned directory, made (for this user alone) when there is none."""
    with pinned(path.parent) as at:
        try:
            os.mkdir(path.name, 0o700, dir_fd=at)
        except FileExistsError:
            if not path.is_dir():
                raise
    with pinned(path) as there:
        yield there


def own(descriptor: int, uid: int, gid: int, mode: int) -> None:
    """Give what is pinned a mode and, if we are root, to a user."""
    if _root():
        os.chown(itself(descriptor), uid, gid)
    os.chmod(itself(descriptor), mode)


def give(top: Path, uid: int, gid: int, *, but: Collection[str] = ()) -> None:
    """As root: make what is below `top`, and then `top`, a user's; without the directories `but` directly below it.

    Only what was root's or the former owner's changes hands. Raises UnsafePathError for a link, before `top` is given.
    """
    with pinned(top) as at:
        owners = {0, os.fstat(at).st_uid}
        for directory, names, others, here in os.fwalk(".", dir_fd=at, onerror=_fail):
            if directory == ".":
                names[:] = [name for name in names if name not in but]
            for name in (*names, *others):
                with suppress(FileNotFoundError):
                    _give(here, Path(top, directory, name), uid, gid, owners)
        os.chown(itself(at), uid, gid)


def _give(at: int, path: Path, uid: int, gid: int, owners: Collection[int]) -> None:
    descriptor = os.open(path.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid) == (uid, gid) and not stat.S_ISLNK(found.st_mode):
            return
        _judge(path, found)
        if found.st_uid in {uid, *owners}:
            os.chown(itself(descriptor), uid, gid)
    finally:
        os.close(descriptor)


def _judge(path: Path, found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFLNK:
        raise UnsafePathError(path, "is a symbolic link")
    if kind == stat.S_IFREG and found.st_nlink > 1:
        raise UnsafePathError(path, "is a file with a second name (a hard link)")
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise UnsafePathError(path, "is neither a file nor a directory")


def _write(path: Path, text: str, put: Callable[..., None]) -> None:
    """Beside its place first, under a name that nobody can foresee."""
    draft = f"{path.name}.{secrets.token_hex(8)}"
    with pinned(path.parent) as at:
        descriptor = os.open(draft, os.O_WRONLY | _NEW, 0o600, dir_fd=at)
        try:
            with open(descriptor, "w") as file:
                if _root():
                    owner = os.fstat(at)
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                file.write(text)
            put(draft, path.name, src_dir_fd=at, dst_dir_fd=at)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=at)


def _rename_to_new(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
    """Rename, where nothing is yet. A link and an unlink would show two names for a moment; NFS knows nothing better."""
    if _libc.renameat2(src_dir_fd, os.fsencode(source), dst_dir_fd, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number != errno.EINVAL:
        raise OSError(number, os.strerror(number), target)
    os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)


def _root() -> bool:
    return os.geteuid() == 0


def _fail(trouble: OSError) -> None:
    raise trouble
