"""The Celery application; its settings are Django's, with the prefix CELERY_."""

from __future__ import annotations

import logging.config
import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from failover_console.child_process import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "failover_console.settings")

app = Celery("failover_console")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Keeps Celery from setting up logs of its own, whose lines a node could forge."""
    from django.conf import settings  # read late: the settings import Celery's module

    logging.config.dictConfig(settings.LOGGING)


@worker_process_init.connect
def _leave_with_worker(**_: Any) -> None:
    """A worker that is killed takes its children along; an orphan would hold its runner's slot."""
    die_with_parent()
