"""Two people with passwords, and the hands that move the clock of the database's rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from failover_console.accounts.hashing import BoundedPBKDF2
from nodes.ledger import logins

PASSWORD = "violet-lantern-42"
Later = Callable[[float], None]


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of the rounds: what is tested is who gets a hash, not its cost."""
    monkeypatch.setattr(BoundedPBKDF2, "iterations", 1000)


@pytest.fixture(autouse=True)
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first wait is nearly the longest, so that none is over while a slow machine gets to the next request."""
    monkeypatch.setattr(logins, "FIRST_WAIT", 25)


@pytest.fixture
def hashed(cheap_hashes: None) -> str:
    return make_password(PASSWORD)


@pytest.fixture
def vera(db: None, hashed: str) -> User:
    """A viewer."""
    return User.objects.create(username="vera", password=hashed)


@pytest.fixture
def oscar(db: None, hashed: str) -> User:
    """An operator."""
    made = User.objects.create(username="oscar", password=hashed)
    made.groups.add(Group.objects.get(name="operator"))
    return made


@pytest.fixture
def later(db: None) -> Later:
    """Lets time pass for what failed before."""

    def pass_time(seconds: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE nodes_logindelay SET failed_at = failed_at - i, free_at = free_at - j"
                " FROM (SELECT make_interval(secs => %s) AS i, make_interval(secs => %s) AS j) passed",
                (seconds, seconds),
            )
            cursor.execute("UPDATE nodes_loginfailure SET minute = minute - make_interval(secs => %s)", (seconds,))

    return pass_time


def log_in(client: Client, name: str, password: str = PASSWORD, **more: Any) -> Any:
    """Post the log-in's form; `address` is where it comes from."""
    address = more.pop("address", "192.0.2.1")
    return client.post(reverse("account_login"), {"username": name, "password": password, **more}, REMOTE_ADDR=address)


def guess(name: str, times: int = 1, *, address: str = "192.0.2.1", client: Client | None = None) -> list[int]:
    """Wrong passwords of a stranger; the statuses of the answers."""
    return [log_in(client or Client(), name, "wrong", address=address).status_code for _ in range(times)]


def give_app(user: User) -> str:
    """An authenticator app for the user; returns its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def give_codes(user: User) -> list[str]:
    return list(RecoveryCodes.activate(user).generate_codes())


def code_of(secret: str, *, periods: int = 0) -> str:
    """What the app shows now, or so many half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + periods))


def kinds(user: User) -> set[str]:
    return set(Authenticator.objects.filter(user=user).values_list("type", flat=True))
