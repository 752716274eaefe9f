"""Files in directories that root gave away: what another user laid out there is refused, and what it leads to stays."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from failover_console import environment, files, run_as
from failover_console.child_process import ChildProcess
from failover_console.demo import ports
from failover_console.files import UnsafePathError
from failover_console.run_as import RunAs

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's links lead nowhere that it may not go")
USER, OTHER = 1, 2  # of no account that matters here
Plant = Callable[[Path], None]


class Scene:
    """A directory of the user's, and a file and a directory outside that are none of its business."""

    def __init__(self, directory: Path) -> None:
        self.given, self.outside = directory / "given", directory / "outside"
        self.given.mkdir(mode=0o700)
        os.chown(self.given, USER, USER)
        self.outside.mkdir(mode=0o755)
        self.file = self.outside / "shadow"
        self.file.write_text("root:secret\n")
        self.file.chmod(0o644)
        self.before = self._seen()

    def _seen(self) -> object:
        found = [(path.name, path.stat(), path.is_file() and path.read_text()) for path in (self.outside, *self.outside.iterdir())]
        return [(name, at.st_mode, at.st_uid, at.st_gid, at.st_ino, at.st_mtime_ns, text) for name, at, text in found]

    def untouched(self) -> bool:
        return self._seen() == self.before

    def symbolic(self, path: Path) -> None:
        path.symlink_to(self.file)

    def hard(self, path: Path) -> None:
        path.hardlink_to(self.file)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture(params=["symbolic", "hard"])
def plant(request: pytest.FixtureRequest, scene: Scene) -> Plant:
    found: Plant = getattr(scene, request.param)
    return found


WAYS: dict[str, Callable[[Path], object]] = {
    "read": files.read,
    "status": files.status,
    "write": lambda path: files.write(path, "ours"),
    "open": lambda path: files.open_or_make(path, os.O_WRONLY),
    "mode": lambda path: files.set_mode(path, 0o600),
    "log": lambda path: ChildProcess("a program", ["true"], output=path).start(),
    "keys": lambda path: environment.kept("SECRET_KEY_HERE", path.parent, embedded=True, make=lambda: "a key"),
    "give": lambda path: RunAs(USER, USER).give(path.parent),
}


@as_root
@pytest.mark.parametrize("way", WAYS)
def test_a_link_is_refused_and_where_it_leads_nothing_changes(scene: Scene, plant: Plant, way: str) -> None:
    path = scene.given / "secret_key_here"
    plant(path)
    with pytest.raises((UnsafePathError, ImproperlyConfigured)) as refused:
        WAYS[way](path)
    assert str(refused.value).startswith(f"{path} is a ")
    assert str(refused.value).endswith("have the file or directory itself in its place, and start again.")
    assert scene.untouched()
    assert list(scene.given.iterdir()) == [path]


@as_root
@pytest.mark.parametrize("way", [way for way in WAYS if way != "give"])
def test_nor_is_anything_done_behind_a_link_to_a_directory(scene: Scene, way: str) -> None:
    (scene.given / "postgres").symlink_to(scene.outside)
    with pytest.raises((UnsafePathError, ImproperlyConfigured), match=r"behind a symbolic link|is a symbolic link"):
        WAYS[way](scene.given / "postgres" / "shadow")
    assert scene.untouched()


@as_root
def test_a_directory_is_neither_made_nor_owned_through_a_link(scene: Scene) -> None:
    (scene.given / "redis").symlink_to(scene.outside)
    with pytest.raises(UnsafePathError, match="redis is a symbolic link"), files.made_directory(scene.given / "redis"):
        pass
    with pytest.raises(UnsafePathError), files.made_directory(scene.given / "redis" / "deeper"):
        pass
    with pytest.raises(UnsafePathError):
        files.unlink(scene.given / "redis" / "shadow")
    assert scene.untouched()


@as_root
def test_a_pipe_does_not_keep_root_waiting(scene: Scene) -> None:
    os.mkfifo(scene.given / "encryption_keys")
    with pytest.raises(UnsafePathError, match="neither a file nor a directory"):
        files.read(scene.given / "encryption_keys")


@as_root
@pytest.mark.parametrize("key", run_as.SECRETS)
def test_what_keys_lead_to_is_not_closed(scene: Scene, plant: Plant, key: str) -> None:
    plant(scene.given / key)
    with pytest.raises(UnsafePathError, match=key):
        run_as.tighten(scene.given)
    assert scene.untouched()


@as_root
def test_the_demo_remembers_no_port_through_a_link(scene: Scene, plant: Plant) -> None:
    plant(scene.given / "demo-ports.json")
    with pytest.raises(UnsafePathError, match="demo-ports"):
        ports.choose(scene.given)
    assert scene.untouched()


@as_root
@pytest.mark.parametrize("deep", ["", "static/admin"])
def test_no_link_is_given_and_nothing_behind_it(scene: Scene, deep: str) -> None:
    directory = scene.given / deep
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "css").symlink_to(scene.outside)
    os.lchown(directory / "css", USER, USER)  # as the user made it
    with pytest.raises(UnsafePathError, match="css is a symbolic link"):
        RunAs(USER, USER).give(scene.given)
    assert scene.untouched()


@as_root
def test_what_root_made_is_given_and_what_is_a_third_ones_stays(tmp_path: Path) -> None:
    for name in ("static/admin/a.css", "postgres/base/1", "foreign", "secret_key"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.chown(tmp_path / "foreign", OTHER, OTHER)
    RunAs(USER, USER).give(tmp_path)
    owners = {str(path.relative_to(tmp_path)): path.stat().st_uid for path in tmp_path.rglob("*")}
    kept = {"postgres": 0, "postgres/base": 0, "postgres/base/1": 0, "foreign": OTHER}
    assert owners == kept | dict.fromkeys(("static", "static/admin", "static/admin/a.css", "secret_key"), USER)
    assert tmp_path.stat().st_uid == USER


@as_root
def test_a_change_of_the_user_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    RunAs(USER, USER).give(tmp_path)
    os.chown(tmp_path / "a", OTHER, OTHER)  # so far it came; the directory comes last
    RunAs(OTHER, OTHER).give(tmp_path)
    assert {path.stat().st_uid for path in (tmp_path, *tmp_path.iterdir())} == {OTHER}


@as_root
def test_what_root_writes_belongs_to_whom_the_directory_belongs_to(scene: Scene) -> None:
    files.write(scene.given / "pg_hba.conf", "one")
    files.write(scene.given / "pg_hba.conf", "two")
    found = (scene.given / "pg_hba.conf").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (USER, USER, 0o600)
    assert [path.read_text() for path in scene.given.iterdir()] == ["two"]


def test_of_two_that_make_a_key_at_once_the_first_ones_counts(tmp_path: Path) -> None:
    def make() -> str:
        return environment.kept("A_KEY", tmp_path, embedded=True, make=lambda: "the first") and "the second"

    assert environment.kept("A_KEY", tmp_path, embedded=True, make=make) == "the first"
    assert [(path.name, path.stat().st_nlink) for path in tmp_path.iterdir()] == [("a_key", 1)]


def test_a_program_prints_into_its_file_anew_at_each_start(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of an earlier run, and longer")
    program = ChildProcess("a program", ["echo", "short"], output=tmp_path / "log")
    program.start()
    assert program.wait(10)
    assert (tmp_path / "log").read_text() == "short\n"


@as_root
def test_a_data_directory_that_is_a_link_must_be_roots(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    link = scene.given.with_name("link")
    link.symlink_to(scene.given)
    monkeypatch.setenv("HERE", str(link))
    assert environment.directory("HERE", link) == scene.given
    os.lchown(link, USER, USER)
    with pytest.raises(ImproperlyConfigured, match=r"HERE is .*link of another user's"):
        environment.directory("HERE", link)


@pytest.fixture
def ordinary() -> Iterator[Path]:
    """A directory of an ordinary user, who we are for the test."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, USER, USER)
        os.seteuid(USER)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("dangling", [False, True])
def test_an_ordinary_user_uses_links_as_ever(ordinary: Path, dangling: bool) -> None:
    elsewhere = ordinary / "elsewhere"
    (ordinary / "log").symlink_to(elsewhere)
    if not dangling:
        elsewhere.write_text("a key")
        (ordinary / "second").hardlink_to(elsewhere)
        assert files.read(ordinary / "log") == "a key"
        files.set_mode(ordinary / "log", 0o640)
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640
    os.close(files.open_or_make(ordinary / "log", os.O_WRONLY))
    assert elsewhere.is_file()
    assert (ordinary / "log").is_symlink()
