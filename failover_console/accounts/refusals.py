"""Answers to who has to wait: status and `Retry-After`, and at most one line of log a second however many there are."""

from __future__ import annotations

import logging
import time
from threading import Lock

from django.http import HttpRequest, HttpResponse

EVERY = 1.0  # s between two lines

_log = logging.getLogger(__name__)
_lock = Lock()
_said_at = -EVERY
_unsaid = 0


def refused(request: HttpRequest, response: HttpResponse, status: int, seconds: int) -> HttpResponse:
    """Make the answer a refusal that says when to come again."""
    response.status_code = status
    response["Retry-After"] = str(seconds)
    setattr(response, "_has_been_logged", True)  # noqa: B010 - Django's mark; it would write a line for each
    count = _due()
    if count:
        _log.warning("Log-ins refused: %d, the last with %d from %s", count, status, request.META.get("REMOTE_ADDR"))
    return response


def _due() -> int:
    """How many refusals a line has to count now; 0 while the last line is too fresh."""
    global _said_at, _unsaid
    now = time.monotonic()
    with _lock:
        _unsaid += 1
        if now - _said_at < EVERY:
            return 0
        count, _unsaid, _said_at = _unsaid, 0, now
    return count
