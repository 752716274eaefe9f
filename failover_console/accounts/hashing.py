"""Password hashes two at a time: a hash costs a third of a second of a core, and a stranger may ask for as many as they like.

Who finds no turn soon is refused, so that neither threads nor database connections wait in numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from failover_console.accounts.refusals import refused
from failover_console.preferences import chosen

AT_ONCE = 2
WAITING = 4
PATIENCE = 2.0  # s
RETRY_AFTER = 5  # s
BUSY = "Many people are logging in just now. Try again in a few seconds."

_turns = BoundedSemaphore(AT_ONCE)
_places = BoundedSemaphore(AT_ONCE + WAITING)


class BusyError(Exception):
    """Too many passwords are being checked at once."""


@contextmanager
def turn() -> Iterator[None]:
    """One of the turns to hash, within a short wait; raises `BusyError`."""
    if not _places.acquire(blocking=False):
        raise BusyError(BusyError.__doc__)
    try:
        if not _turns.acquire(timeout=PATIENCE):
            raise BusyError(BusyError.__doc__)
        try:
            yield
        finally:
            _turns.release()
    finally:
        _places.release()


class BoundedPBKDF2(PBKDF2PasswordHasher):
    """Django's own hasher, under the same name, so that every stored password stays good; it takes a turn."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with turn():
            return super().encode(password, salt, iterations)


class Turns(MiddlewareMixin):
    """Answers 503 where a view found no turn; the log-in says it on its own page."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, BusyError):
            return None
        page = HttpResponse(render_to_string("account/busy.html", chosen(request)), headers={"Cache-Control": "no-store"})
        return refused(request, page, 503, RETRY_AFTER)
