"""The dead man's switch: calls an address outside each minute for as long as checks and alerts work; its silence is the alarm.

In: a turn of an alert runner that holds its lease and has routed, leased and recorded without an error.  Out: a plain GET, sent
by a thread that touches no database, and how it ended in the one row of `DeadMansSwitch`.  Locks: that row, for one statement.
One call at a time of all hosts.  After a call that failed another host's runner may try sooner than the one that failed.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connection

from alerts.delivery.transport import TIMEOUT, call
from alerts.models import DeadMansSwitch
from alerts.services.health import why_switch_is_withheld
from nodes.ledger.leases import ALIVE

_log = logging.getLogger(__name__)

EVERY = 60.0  # s from one success to the next call
LEASE = 12.0  # s of a call, which is over after 8
RETRY = 10.0  # s until the host whose call failed may try again
RETRY_ELSEWHERE = 2.0  # s until another host may
STOP_TIMEOUT = 2.0  # s for the word at a planned stop, and for a call that is on its way then

# An instant that lies ahead of now was written by a clock that has been set back since.
_IS_DUE = f"""
(s.last_success_at IS NULL OR s.last_success_at NOT BETWEEN now() - make_interval(secs => {EVERY}) AND now())
AND (s.calling_until IS NULL OR s.calling_until NOT BETWEEN now() AND now() + make_interval(secs => {LEASE}))
AND (s.failed_host = '' OR s.last_error_at IS NULL OR s.last_error_at NOT BETWEEN now() - make_interval(
         secs => CASE WHEN s.failed_host = %(host)s THEN {RETRY} ELSE {RETRY_ELSEWHERE} END) AND now())
"""
_LOOK = f"SELECT 1 FROM (VALUES (1)) one LEFT JOIN alerts_deadmansswitch s ON s.id = 1 WHERE s.id IS NULL OR ({_IS_DUE})"
_TAKE = f"""
INSERT INTO alerts_deadmansswitch AS s (id, last_error, failed_host, calling_until)
VALUES (1, '', '', now() + make_interval(secs => {LEASE}))
ON CONFLICT (id) DO UPDATE SET calling_until = excluded.calling_until WHERE {_IS_DUE}
"""
_SUCCEEDED = "UPDATE alerts_deadmansswitch SET last_success_at = now(), failed_host = '', calling_until = NULL WHERE id = 1"
_FAILED = """
UPDATE alerts_deadmansswitch SET last_error_at = now(), last_error = %(error)s, failed_host = %(host)s, calling_until = NULL
WHERE id = 1
"""
_OTHERS_LIVE = f"SELECT 1 FROM nodes_lease WHERE kind = 'alerts' AND {ALIVE} AND host <> %(host)s LIMIT 1"


class Caller:
    """The calls of one term of an alert runner."""

    def __init__(self, host: str, get: Callable[..., str] = call) -> None:
        self._host, self._get = host, get
        self._outcomes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._calling: threading.Thread | None = None
        self._stopped: threading.Thread | None = None

    def after_full_turn(self) -> None:
        """Record how a call ended, and begin the next one when it is due and nothing speaks against it."""
        if not settings.DEAD_MANS_SWITCH_URL:
            return
        self._record()
        if self._calling is None and self._is_due() and not why_switch_is_withheld() and self._take():
            self._calling = self._begin(settings.DEAD_MANS_SWITCH_URL, TIMEOUT, self._outcomes.put)

    def say_stopped(self) -> None:
        """At a planned stop: tell a receiver that has a word for it, unless another host's runner goes on."""
        if settings.DEAD_MANS_SWITCH_STOP_URL and not self._ask(_OTHERS_LIVE):
            self._stopped = self._begin(settings.DEAD_MANS_SWITCH_STOP_URL, STOP_TIMEOUT, self._log_stop)

    def finish(self, seconds: float) -> None:
        """Wait for calls on their way and record them."""
        until = time.monotonic() + seconds
        for thread in (self._calling, self._stopped):
            if thread is not None:
                thread.join(max(0.0, until - time.monotonic()))
        self._record()

    def _begin(self, url: str, timeout: float, then: Callable[[str], None]) -> threading.Thread:
        thread = threading.Thread(target=partial(self._call, url, timeout, then), name="dead man's switch", daemon=True)
        thread.start()
        return thread

    def _call(self, url: str, timeout: float, then: Callable[[str], None]) -> None:
        try:
            trouble = self._get(url, timeout=timeout)
        except Exception as error:  # a fault of ours must not leave the switch uncalled for good
            _log.exception("the dead man's switch cannot be called")
            trouble = f"the console could not call: {type(error).__name__}"
        then(trouble)

    def _record(self) -> None:
        while not self._outcomes.empty():
            error = self._outcomes.get()
            self._calling = None
            if error:
                _log.warning("the dead man's switch could not be called: %s", error)
            self._ask(_FAILED if error else _SUCCEEDED, error=error[:300])

    def _is_due(self) -> bool:
        return self._ask(_LOOK)

    def _take(self) -> bool:
        """Of two hosts that see it due, one calls."""
        return self._ask(_TAKE)

    def _ask(self, query: str, **values: str) -> bool:
        """Whether the statement found, or wrote, a row."""
        with connection.cursor() as cursor:
            cursor.execute(query, {"host": self._host, **values})
            return bool(cursor.rowcount)

    @staticmethod
    def _log_stop(error: str) -> None:
        if error:
            _log.warning("the planned stop could not be told: %s", error)


def last_calls() -> DeadMansSwitch | None:
    """How the last calls ended; None when no switch is set."""
    return DeadMansSwitch.objects.filter(pk=1).first() or DeadMansSwitch() if settings.DEAD_MANS_SWITCH_URL else None
