"""A sender that is stopped right before its first byte, and goes on when its message may have become another's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import psutil
import pytest

from alerts.services.dispatch import FIRST_BYTE
from tests.product import ROOT, eventually

pytestmark = pytest.mark.integration

_SENDER = """
import django
django.setup()
from alerts.delivery.transport import post, starting_by
from nodes.sign_of_life import boot_time
with starting_by(boot_time() + {first_byte}):
    print(post("http://127.0.0.1:{port}/", b"a trigger", {{}}))
"""


def connecting(pid: int) -> bool:
    return any(each.status == psutil.CONN_SYN_SENT for each in psutil.Process(pid).net_connections())


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "never stopped"])
def test_a_sender_that_goes_on_after_its_time_opens_no_ghost(stopped: bool) -> None:
    """The receiver's queue is full, so that the sender waits for its connection; it gets that while it stands still."""
    with socket.socket() as listening, socket.socket() as first:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        first.connect(("127.0.0.1", port))
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "failover_console.settings"}
        program = _SENDER.format(port=port, first_byte=FIRST_BYTE if stopped else FIRST_BYTE + 20.0)
        sender = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        eventually(lambda: connecting(sender.pid), 30, "it waits for its connection")
        if stopped:
            sender.send_signal(signal.SIGSTOP)
            threading.Event().wait(FIRST_BYTE)
        listening.accept()[0].close()
        listening.settimeout(10)
        connection, _ = listening.accept()
        sender.send_signal(signal.SIGCONT)
        connection.settimeout(10)
        sent = b""
        while b"a trigger" not in sent and (more := connection.recv(1000)):
            sent += more
        connection.close()
        said, _ = sender.communicate(timeout=20)
    assert (b"a trigger" in sent) != stopped
    assert ("this process stood still" in said) == stopped
