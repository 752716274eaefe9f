"""A name server on loopback that answers, refuses or swallows what it is asked, and processes whose resolver asks it.

The system's resolver is told by /etc/resolv.conf, which stays as it is: a process gets one of its own in a mount namespace.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ADDRESS = "127.0.0.53"
_QUESTION = 12  # where it begins
_IPV4 = 1


@dataclass
class NameServer:
    """Answers every name with 127.0.0.1 or its `addresses`, but those below `.invalid`; what it swallows is never answered."""

    swallows: set[str] = field(default_factory=set)  # ends of names; "" is every name
    asked: list[str] = field(default_factory=list)
    asked_at: list[tuple[float, str]] = field(default_factory=list)  # monotonic; for addresses of version 4 alone
    delay: float = 0.0  # s before each answer
    addresses: dict[str, list[str]] = field(default_factory=dict)

    def answer(self, question: bytes) -> bytes | None:
        name, end = _name(question)
        self.asked.append(name)
        kind = struct.unpack_from("!H", question, end)[0]
        if kind == _IPV4:
            self.asked_at.append((time.monotonic(), name))
        if any(name.endswith(each) for each in self.swallows):
            return None
        found = kind == _IPV4 and not name.endswith(".invalid")
        flags = 0x8183 if name.endswith(".invalid") else 0x8180
        addresses = self.addresses.get(name, ["127.0.0.1"]) if found else []
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
        records = [struct.pack("!HHHIH", 0xC00C, _IPV4, 1, 1, 4) + socket.inet_aton(each) for each in addresses]
        return head + question[_QUESTION : end + 4] + b"".join(records)


def _name(question: bytes) -> tuple[str, int]:
    labels, at = [], _QUESTION
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1


@contextmanager
def serving() -> Iterator[NameServer]:
    """One on port 53 of `ADDRESS`, in a thread."""
    server = NameServer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((ADDRESS, 53))

        def serve() -> None:
            while True:
                question, asker = listening.recvfrom(4096)
                if not question:
                    return
                answer = server.answer(question)
                if answer is not None:
                    threading.Timer(server.delay, listening.sendto, (answer, asker)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            listening.sendto(b"", (ADDRESS, 53))
            thread.join()


def asking_it(directory: Path, *line: str, network: bool = False) -> list[str]:
    """A command line that runs `line` with `ADDRESS` as its name server; with a `network` of its own, as anybody may have one."""
    told = directory / "resolv.conf"
    told.write_text(f"nameserver {ADDRESS}\n")
    own = ["unshare", *(["--user", "--map-root-user", "--net"] if network else []), "--mount"]
    up = "ip link set lo up && ip addr add 8.8.4.4/32 dev lo && ip addr add 10.0.0.1/32 dev lo && " if network else ""
    return [*own, "sh", "-c", f'{up}mount --bind "$0" /etc/resolv.conf && exec "$@"', str(told), *line]


def can_tell(directory: Path, *, network: bool = False) -> bool:
    """Whether this system lets us make such a process."""
    try:
        return subprocess.run(asking_it(directory, "true", network=network), capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
