"""The Celery task of the alerts: it works one term of the runner."""

from __future__ import annotations

from celery import shared_task

from alerts.delivery.transport import post
from alerts.services import runner
from nodes.tasks import stopping


@shared_task(name="alerts.run_alerts")
def run_alerts() -> str:
    """Work a term in this host's slot, else return at once."""
    return runner.serve(stopping, post)
