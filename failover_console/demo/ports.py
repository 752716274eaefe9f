"""The numbers of the demo's ports: given by the system once, remembered in the data directory, changed when one is taken.

In: the data directory, and the ports that the inventory names.  Out: a number, or an open claim, for each part of the demo.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from failover_console import files
from failover_console.demo.door import Door
from failover_console.demo.layout import NODES

SWITCHES, RECEIVER = "switches", "receiver"
PARTS = (SWITCHES, RECEIVER, *(node.name for node in NODES))
_FILE = "demo-ports.json"
_PORTS = range(1, 65_536)


def remembered(directory: Path) -> dict[str, int]:
    """What an earlier start remembered; a file that says nothing sensible says nothing."""
    try:
        stored = json.loads(files.read(directory / _FILE))
        return {part: stored[part] for part in PARTS if type(stored.get(part)) is int and stored[part] in _PORTS}
    except (OSError, ValueError, AttributeError):
        return {}


def choose(directory: Path) -> dict[str, int]:
    """The port of each part: the remembered one, else a free one.  Nobody listens there yet."""
    chosen = remembered(directory)
    with contextlib.ExitStack() as held:
        for part in PARTS:
            if part not in chosen:
                chosen[part] = held.enter_context(contextlib.closing(Door())).port
    _remember(directory, chosen)
    return chosen


def claim(directory: Path, named: Mapping[str, int]) -> dict[str, Door]:
    """Take each part's port: the remembered one, else the `named` one, else, and where that is taken, a free one."""
    wanted = {**named, **remembered(directory)}
    doors: dict[str, Door] = {}
    try:
        for part in PARTS:
            doors[part] = _door(wanted.get(part, 0))
    except OSError:
        for door in doors.values():
            door.close()
        raise
    _remember(directory, {part: door.port for part, door in doors.items()})
    return doors


def _door(port: int) -> Door:
    try:
        return Door(port)
    except OSError:  # taken, or not for this user
        return Door()


def _remember(directory: Path, ports: Mapping[str, int]) -> None:
    if remembered(directory) == ports:
        return
    files.write(directory / _FILE, json.dumps(ports))
