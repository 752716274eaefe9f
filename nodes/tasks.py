"""What Celery runs for `nodes`: ids in, call below."""

from __future__ import annotations

import logging
import mmap
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down

from nodes import rollups, runner
from nodes.ledger import logins, reported
from nodes.ledger.clock import database_now
from nodes.operations import ledger

_log = logging.getLogger(__name__)
_ROUNDS = 5  # of the greatest number of keys that are forgotten at once, a minute: more than a web process can take in

# One byte shared by the worker and the children that it forks: a runner sees within a tick that the worker is to stop.
_stop = mmap.mmap(-1, 1)


@worker_shutting_down.connect
def _shutting_down(**_: Any) -> None:
    _stop[0] = 1


def stopping() -> bool:
    """Whether the worker that this process belongs to shuts down."""
    return _stop[0] == 1


@shared_task(name="nodes.run_checks")
def run_checks() -> str:
    """Work a term in a free runner slot of this host, else return at once."""
    return runner.serve(stopping)


@shared_task(name="nodes.roll_up")
def roll_up() -> int:
    """Count the minutes, hours and days that are closed by now."""
    return rollups.roll_up(database_now())


@shared_task(name="nodes.keep_partitions")
def keep_partitions() -> None:
    """Make the partitions of the next days and drop those past their time."""
    done = rollups.keep_partitions(database_now())
    for verb, names in (("made", done.made), ("dropped", done.dropped), ("put off, they are locked", done.put_off)):
        if names:
            _log.info("partitions %s: %s", verb, ", ".join(names))


@shared_task(name="nodes.watch_logins")
def watch_logins() -> None:
    """Count failed log-ins that had no event of their own, end their series, and remove what is old."""
    with ledger() as cursor:
        logins.watch(cursor)


@shared_task(name="nodes.forget_report_keys")
def forget_report_keys() -> int:
    """Delete the idempotency keys of reports whose ten minutes are over."""
    forgotten = 0
    for _ in range(_ROUNDS):
        with ledger() as cursor:
            last = reported.forget_keys(cursor)
        forgotten += last
        if last < reported.MOST_FORGOTTEN:
            break
    return forgotten
