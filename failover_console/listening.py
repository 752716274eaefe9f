"""Writes every few seconds that this web process listens: a node's heartbeat can be missed only while somebody could receive it.

In: host, port and process id.  Out: this process's row in `nodes_runner`, written by a thread with a connection of its own.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

import psycopg
from django.conf import settings

from nodes.ledger import runners
from nodes.ledger.connections import connect

EVERY = 5.0  # s

_log = logging.getLogger(__name__)


def start_signing() -> None:
    """Sign for as long as this process lives."""
    threading.Thread(target=_sign_for_ever, name="listening", daemon=True).start()


def _sign_for_ever() -> None:
    while True:
        try:
            with connect("failover web listening") as connection:
                while True:
                    runners.sign(connection, kind="web", host=socket.gethostname(), slot=settings.PORT, pid=os.getpid())
                    time.sleep(EVERY)
        except psycopg.Error as error:
            _log.info("not signed that this process listens: %s", error)
            time.sleep(EVERY)
