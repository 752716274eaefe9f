"""The Celery application; its settings are Django's, with the prefix CELERY_."""

from __future__ import annotations

import logging.config
import os
import threading
from typing import Any

from celery import Celery, bootsteps
from celery.signals import setup_logging, worker_process_init

from failover_console.child_process import die_with_parent
from nodes.sign_of_life import EVERY as SIGN_EVERY
from nodes.sign_of_life import SignOfLife, boot_time

LONGEST_WAIT = 60.0  # s that the worker's loop may wait for the broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "failover_console.settings")

app = Celery("failover_console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class PatientSigns:
    """Shows the supervisor that a loop of Celery turns.

    While the broker is away such a loop waits inside kombu for as long as a minute; a thread shows the signs so long.
    """

    def __init__(self) -> None:
        self._sign = SignOfLife()
        self._turned_at = boot_time()
        self._over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._show, name="sign of life", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def turned(self) -> None:
        """The loop has turned."""
        self._turned_at = boot_time()

    def _show(self) -> None:
        while not self._over.wait(SIGN_EVERY):
            if boot_time() - self._turned_at < LONGEST_WAIT:
                self._sign.show()


class ShowSigns(bootsteps.StartStopStep):  # type: ignore[misc] # Celery ships no types
    """The worker's own loop shows its supervisor that it turns."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **_: Any) -> None:
        self._signs = PatientSigns()

    def start(self, worker: Any) -> None:
        """Called once the worker's timer is there."""
        worker.timer.call_repeatedly(SIGN_EVERY, self._signs.turned)
        self._signs.start()

    def stop(self, worker: Any) -> None:
        """The worker ends in order."""
        self._signs.stop()


app.steps["worker"].add(ShowSigns)


@setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Keeps Celery from setting up logs of its own, whose lines a node could forge."""
    from django.conf import settings  # read late: the settings import Celery's module

    logging.config.dictConfig(settings.LOGGING)


@worker_process_init.connect
def _leave_with_worker(**_: Any) -> None:
    """A worker that is killed takes its children along; an orphan would hold its runner's slot."""
    die_with_parent()
