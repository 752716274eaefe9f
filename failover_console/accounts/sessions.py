"""Where a person is logged in: each session with browser, address and when it was last seen, kept by allauth.usersessions.

allauth's own middleware writes at each request; this one writes once a minute, in one statement.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

from failover_console.accounts.throttle import address_of

EVERY = 60.0  # s
_REMEMBERED = 5_000  # sessions, by each web process
_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
_NAMES = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Mac OS X": "macOS", "Linux": "Linux"}

_ADDRESS = "seen_from"
_noted: OrderedDict[str, float] = OrderedDict()
_lock = Lock()


@sync_and_async_middleware
def seen(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """The middleware: notes after the answer who was seen where.  What comes without a session costs nothing."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> HttpResponseBase:
            response: HttpResponseBase = await get_response(request)
            if request.session.accessed and request.session.session_key:
                await sync_to_async(_note_if_due)(request)
            return response

        return answer_later

    def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = get_response(request)
        if request.session.accessed and request.session.session_key:
            _note_if_due(request)
        return response

    return answer


def remember_address(request: HttpRequest) -> None:
    """Keep in the session where it is used from, so that another address is noticed at once and costs no question."""
    request.session[_ADDRESS] = address_of(request)


def set_end(request: HttpRequest) -> None:
    """The session that begins now ends `SESSION_COOKIE_AGE` later, however much it is used: a stolen one is not good for ever."""
    request.session.set_expiry(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE))


def _note_if_due(request: HttpRequest) -> None:
    key, address = request.session.session_key, address_of(request)
    if not key or not request.user.is_authenticated:
        return
    moved = request.session.get(_ADDRESS, address) != address
    if moved:
        remember_address(request)
    if _is_due(key) or moved:
        note(request, request.user, key, timezone.now())


def _is_due(key: str) -> bool:
    """Once a minute, from the second minute on in which this process sees the session: the log-in wrote down the first."""
    now = time.monotonic()
    with _lock:
        due = now - _noted.setdefault(key, now) >= EVERY
        if due:
            _noted[key] = now
            _noted.move_to_end(key)
        while len(_noted) > _REMEMBERED:
            _noted.popitem(last=False)
    return due


def note(request: HttpRequest, user: User, key: str, now: datetime) -> None:
    """Write down that this session was seen."""
    browser = request.headers.get("User-Agent", "")[: UserSession._meta.get_field("user_agent").max_length]
    address = get_adapter().get_client_ip(request)
    row = UserSession(user=user, session_key=key, ip=address, user_agent=browser, created_at=now, last_seen_at=now)
    UserSession.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["session_key"], update_fields=["user", "ip", "user_agent", "last_seen_at"]
    )


def of(user: User, current: str) -> list[tuple[UserSession, str, bool]]:
    """The sessions that are still good, this one first: each with its browser in words, and whether it is this one."""
    found = [(each, in_words(each.user_agent), each.session_key == current) for each in UserSession.objects.purge_and_list(user)]
    return sorted(found, key=lambda row: (not row[2], -row[0].last_seen_at.timestamp()))


def end(user: User, *, session: int | None = None, but: str = "") -> int:
    """End one session of this user, or all but the one with this key; returns how many.  Sockets close at their next check."""
    sessions = UserSession.objects.filter(user=user).exclude(session_key=but)
    found = list(sessions if session is None else sessions.filter(pk=session))
    for each in found:
        each.end()
    return len(found)


def forget_ended() -> int:
    """Remove the sessions that have ended from the database, with what they held and where they were used; returns how many."""
    ended, _ = Session.objects.filter(expire_date__lte=timezone.now()).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    return ended


def in_words(agent: str) -> str:
    """What a User-Agent header says, as far as a person would say it: "Firefox on Linux"."""
    browser = next((_NAMES.get(name, name) for name in _BROWSERS if f"{name}/" in agent), "Another program")
    system = next((word for name, word in _SYSTEMS.items() if name in agent), "")
    return f"{browser} on {system}" if system else browser
