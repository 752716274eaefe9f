"""Browsers that have logged in: a signed cookie that names the device and the accounts it has logged in as.

It opens nothing.  It only spares the owner of an account the wait that strangers bring upon it.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac

COOKIE = "__Host-failover-device" if settings.HTTPS else f"failover-device-{settings.PORT}"
GOOD_FOR = 180 * 24 * 3600  # s
ACCOUNTS = 5  # that one browser is known for
_SALT = "failover.login.device"


def of(request: HttpRequest, name: str) -> str:
    """The device's own name if it has logged in as `name` with the password that holds now; else nothing."""
    known = _read(request)
    user = User.objects.filter(username=name).first() if known else None
    if user is None or not any(constant_time_compare(mark, _mark(user)) for mark in known["marks"]):
        return ""
    return f"{known['device']} {user.pk}"


def remember(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Say in the cookie that this browser has logged in as `user`."""
    known = _read(request) or {"device": secrets.token_hex(16), "marks": []}
    marks = [_mark(user), *(mark for mark in known["marks"] if mark != _mark(user))][:ACCOUNTS]
    signed = signing.dumps({"device": known["device"], "marks": marks}, salt=_SALT)
    response.set_cookie(COOKIE, signed, max_age=GOOD_FOR, secure=settings.HTTPS, httponly=True, samesite="Lax")


def _read(request: HttpRequest) -> dict[str, Any]:
    try:
        found: dict[str, Any] = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=GOOD_FOR)
    except signing.BadSignature:
        return {}
    return found


def _mark(user: User) -> str:
    """Of the account and its password: a new password makes every device a stranger again."""
    return salted_hmac(_SALT, f"{user.pk} {user.password}", algorithm="sha256").hexdigest()[:32]
