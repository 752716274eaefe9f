"""The demo's ports: from the system, remembered, held while its servers run, and another one when somebody else has them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover_console.demo import ports
from failover_console.demo.door import Door
from failover_console.demo.http import Request, Response


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """Another program that listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def close(doors: dict[str, Door]) -> dict[str, int]:
    """What they were, once they are closed."""
    for door in doors.values():
        door.close()
    return {part: door.port for part, door in doors.items()}


async def nothing(_: Request) -> Response | None:
    return None


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_was_chosen_once_is_claimed_again_and_again(tmp_path: Path) -> None:
    chosen = ports.choose(tmp_path)

    assert chosen == ports.choose(tmp_path) == close(ports.claim(tmp_path, {})) == close(ports.claim(tmp_path, {"api-1": 1}))
    assert (len(chosen), len(set(chosen.values()))) == (11, 11)


def test_two_consoles_never_get_the_same_port(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = ports.claim(tmp_path / "one", {})
    two = ports.claim(tmp_path / "two", {})

    assert not {door.port for door in one.values()} & {door.port for door in two.values()}
    close(one)
    close(two)


def test_a_taken_port_moves_its_part_alone_and_is_remembered(tmp_path: Path, stranger: socket.socket) -> None:
    chosen = ports.choose(tmp_path)
    taken = stranger.getsockname()[1]
    (tmp_path / "demo-ports.json").write_text(json.dumps(chosen | {"api-2": taken}))

    claimed = close(ports.claim(tmp_path, {}))

    assert claimed["api-2"] not in {taken, *chosen.values()} - {chosen["api-2"]}
    assert claimed | {"api-2": 0} == chosen | {"api-2": 0}
    assert ports.remembered(tmp_path) == claimed


def test_a_copy_of_a_data_directory_moves_away_from_its_original(tmp_path: Path) -> None:
    original = ports.claim(tmp_path, {})
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "demo-ports.json").write_text((tmp_path / "demo-ports.json").read_text())

    copy = close(ports.claim(tmp_path / "copy", {}))

    assert not set(copy.values()) & set(close(original).values())


def test_an_older_demo_stays_at_the_ports_of_its_nodes(tmp_path: Path) -> None:
    named = ports.choose(tmp_path)
    (tmp_path / "demo-ports.json").unlink()

    assert close(ports.claim(tmp_path, {"api-1": named["api-1"]}))["api-1"] == named["api-1"]


@pytest.mark.parametrize("stored", ["", "[]", "{", '{"api-1": "80"}', '{"api-1": 0}', '{"api-1": 70000}', '{"api-1": true}'])
def test_a_memory_that_makes_no_sense_is_forgotten(tmp_path: Path, stored: str) -> None:
    (tmp_path / "demo-ports.json").write_text(stored)

    assert ports.remembered(tmp_path) == {}
    assert len(ports.choose(tmp_path)) == 11


async def test_a_shut_door_refuses_and_keeps_its_port() -> None:
    door = Door()
    seen = [connects(door.port)]
    for _ in range(2):
        await door.open(nothing)
        seen.append(connects(door.port))
        door.shut()
        seen.append(connects(door.port))
        with pytest.raises(OSError, match="in use"):
            Door(door.port)
    door.close()

    assert seen == [False, True, False, True, False]
    Door(door.port).close()


async def test_a_server_that_ended_a_moment_ago_is_in_nobodys_way() -> None:
    door = Door()
    await door.open(nothing)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""  # it hung up first, so its port has an ended connection for a minute
    writer.close()
    door.close()

    Door(door.port).close()
