"""Ports for a demo fleet of a test."""

from __future__ import annotations

import contextlib
import socket

from failover_console.demo.layout import NODES


def free_base() -> int:
    """A first port from which on all ports of the fleet are free at this moment."""
    while True:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            first = held.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            base = int(first.getsockname()[1]) - 50
            for node in NODES:
                held.enter_context(socket.socket()).bind(("127.0.0.1", node.port(base)))
            return base
