"""Tells systemd that the supervisor is ready and lives, by the datagrams of `sd_notify(3)`; without systemd it tells nobody.

A unit with `Type=notify` and `WatchdogSec` restarts a supervisor that says nothing for so long.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Self

EVERY = 1.0  # s; systemd asks for twice within WatchdogSec at the least


class ServiceManager:
    """Sends states to the socket that NOTIFY_SOCKET names."""

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._next = 0.0

    @classmethod
    def of_environment(cls) -> Self:
        """The one that started this process."""
        return cls(os.environ.pop("NOTIFY_SOCKET", ""))  # taken away: the programs below are not the service

    def ready(self) -> None:
        """The programs are started."""
        self._tell("READY=1")

    def alive(self) -> None:
        """The supervisor's loop turns; told once a second."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto(state.encode(), self._address)
