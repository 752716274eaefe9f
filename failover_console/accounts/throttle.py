"""Who may try to log in now: decided before the password is hashed, by what failed before from the address and of the account.

A browser that has logged in as somebody (it holds a signed cookie that says so) has a wait of its own in the place of that of the
account, so that a stranger who guesses cannot keep the owner out.
"""

from __future__ import annotations

import ipaddress
import logging
import math
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from failover_console.accounts import device
from failover_console.accounts.hashing import BUSY, RETRY_AFTER
from nodes.ledger import logins
from nodes.operations import ledger

FREE_OF_ACCOUNT = 3  # failures before the first wait of 1 s, which doubles up to 30
FREE_OF_ADDRESS = 10  # many people may share one
FREE_CODES = 3
_ONE_NETWORK = 64  # bits of an address of version 6 that one subscriber has
_CODE_GOOD_FOR = 90.0  # s: its own 30, and as many before and after

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where tries are counted; `free` failures wait for nothing, and one success forgives all if it is its owner's."""

    key: str
    free: int
    owned: bool


@dataclass(frozen=True, slots=True)
class Try:
    """A try that may be made: where it is counted, and what to say of it when it fails."""

    buckets: tuple[Bucket, ...]
    account: str
    address: str
    means: str


class WaitError(ValidationError):
    """Too many tries failed; said on the form, with the seconds to wait noted on the request."""


def address_of(request: HttpRequest) -> str:
    """Where the request comes from, as it is written into events."""
    return str(request.META.get("REMOTE_ADDR") or "an unknown address")[:45]


def begin_password(request: HttpRequest, name: str) -> Try:
    """Count a try with a password; raises `WaitError` when it comes too early."""
    known = device.of(request, name)
    own = Bucket(_key("device", known) if known else _key("account", name.lower()), FREE_OF_ACCOUNT, owned=True)
    return _begin(request, Try((_of_address(request), own), _written(name), address_of(request), "wrong password"))


def begin_code(request: HttpRequest, user: User) -> Try:
    """Count a try with a code of a second factor; raises `WaitError` when it comes too early."""
    return _begin(request, Try((_of_codes(request, user),), user.get_username(), address_of(request), "wrong code"))


def begin_passkey(request: HttpRequest, user: User | None) -> Try:
    """Count a try with a passkey, which names nobody before it succeeds unless it is a second step; raises `WaitError`."""
    if user is None:
        return _begin(request, Try((_of_address(request),), "", address_of(request), "wrong passkey"))
    return _begin(request, Try((_of_codes(request, user),), user.get_username(), address_of(request), "wrong passkey"))


def begin_single_sign_on(request: HttpRequest) -> Try:
    """Count an answer of the provider of single sign-on; raises `WaitError`."""
    return _begin(request, Try((_of_address(request),), "", address_of(request), "single sign-on was refused"))


def failed(attempt: Try) -> None:
    """It was wrong: it stays counted, is told and written down."""
    failure = logins.Failure(attempt.account, attempt.address, attempt.means)
    _log.warning("%s", failure)
    with ledger() as cursor:
        logins.note(cursor, failure)


def succeeded(attempt: Try) -> None:
    """It was right: the account's failures are forgotten, those of the address but for this try stay."""
    with ledger() as cursor:
        for bucket in attempt.buckets:
            if bucket.owned:
                logins.forgive(cursor, bucket.key)
            else:
                logins.take_back(cursor, bucket.key, bucket.free)


def withdraw(attempt: Try) -> None:
    """It was never judged, by our own trouble: as if it had not been made."""
    with ledger() as cursor:
        for bucket in attempt.buckets:
            logins.undo(cursor, bucket.key)


def is_first_use(user: User, code: str) -> bool:
    """Whether this code of an authenticator app was not used before; whichever web process saw it."""
    with ledger() as cursor:
        return logins.spend(cursor, _key("used", f"{user.pk} {code}"), _CODE_GOOD_FOR)


def busy(request: HttpRequest) -> ValidationError:
    """No turn to hash was free; the answer becomes a 503."""
    request.refusal = (503, RETRY_AFTER)  # type: ignore[attr-defined]  # read by accounts.urls
    return ValidationError(BUSY)


def _begin(request: HttpRequest, attempt: Try) -> Try:
    wait, counted = 0.0, list[Bucket]()
    with ledger() as cursor:
        for bucket in attempt.buckets:
            wait = logins.admit(cursor, bucket.key, bucket.free)
            if wait:
                break
            counted.append(bucket)
        for bucket in counted if wait else ():
            logins.undo(cursor, bucket.key)
    if not wait:
        return attempt
    seconds = math.ceil(wait)
    request.refusal = (429, seconds)  # type: ignore[attr-defined]  # read by accounts.urls
    raise WaitError(f"Too many tries failed. Wait {seconds} s, then try again.")


def _key(kind: str, about: str) -> str:
    """Digests, so that the table holds no names that were typed, which may be passwords."""
    return salted_hmac(f"failover.login.{kind}", about, algorithm="sha256").hexdigest()


def _of_codes(request: HttpRequest, user: User) -> Bucket:
    """The account's, or that of a browser that has logged in as this user: who has the password alone keeps no owner out."""
    known = device.of(request, user.get_username())
    return Bucket(_key("code of device", known) if known else _key("code", str(user.pk)), FREE_CODES, owned=True)


def _of_address(request: HttpRequest) -> Bucket:
    return Bucket(_key("address", _network(address_of(request))), FREE_OF_ADDRESS, owned=False)


def _network(address: str) -> str:
    """The address, of version 6 as much of it as one subscriber has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4 or found.ipv4_mapped is not None:
        return str(found)
    return str(ipaddress.ip_network((int(found), _ONE_NETWORK), strict=False))


def _written(name: str) -> str:
    """The name for the history, or nothing when nobody has it: what was typed there may be a password."""
    return name if User.objects.filter(username=name).exists() else ""
