"""What Celery runs for `accounts`."""

from __future__ import annotations

from celery import shared_task

from failover_console.accounts import sessions


@shared_task(name="accounts.forget_sessions")
def forget_sessions() -> int:
    """Remove the sessions that have ended; returns how many."""
    return sessions.forget_ended()
