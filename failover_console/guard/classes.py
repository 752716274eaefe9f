"""The classes of requests: which addresses belong to each, how many of them run at once, and on which connections to the database.

A class has threads of its own; what Django does for a request runs on one of them, and each of them takes its connections from the
pool of the class's database alias.  So no class can take another one's threads, nor its connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import parse_qsl

from django.db import DEFAULT_DB_ALIAS, connections

from failover_console.guard.seats import Seats

SMALL_BODY = 64 * 1024  # bytes
PUSHES = "pushes"  # the one class that Django does not see
LARGE_BODY = 1024 * 1024  # bytes, of a report of outcomes


@dataclass(frozen=True, slots=True)
class RequestClass:
    """Requests that share seats and threads; `body` in bytes.  A sleeper waits without a thread and ends when its client leaves."""

    name: str
    seats: Seats
    threads: Iterator[ThreadPoolExecutor]
    body: int = SMALL_BODY
    sleeps: bool = False


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many requests run at once, by class: from the settings."""

    pages: int
    live: int
    logins: int
    sign_ons: int
    long_polls: int


_ADDRESSES = (
    ("files", re.compile(r"/static/")),
    (
        "logins",
        re.compile(r"/accounts/(login|password|prove|second-factor/(check|prove)|passkeys/(login|prove))/|/admin/login/"),
    ),
    ("sign_ons", re.compile(r"/accounts/oidc/")),
    ("reports", re.compile(r"/api/v1/nodes/[^/]*/outcomes")),
    (PUSHES, re.compile(r"/+push/")),
    ("shares", re.compile(r"/api/v1/pools/[^/]*/shares")),
    ("health", re.compile(r"/healthz|/health/")),
    ("metrics", re.compile(r"/metrics")),
)

NAMES = (*(name for name, _ in _ADDRESSES), "pages", "polls")


def name_of(path: str, query: bytes) -> str:
    """The class of a request; everything that is not named is a page or an action."""
    for name, addresses in _ADDRESSES:
        if addresses.match(path):
            return "polls" if name == "shares" and _waits(query) else name
    return "pages"


def _waits(query: bytes) -> bool:
    """Whether a request for shares may sleep: read as Django reads it."""
    try:
        given = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=16)
    except ValueError:
        return True
    return dict(given).get("wait", "0").strip("0") != ""


def made(sizes: Sizes) -> Mapping[str, RequestClass]:
    """The classes of this process."""
    health = _threads("health", "live", 1)
    pages = _threads("pages", "pages", sizes.pages)
    every = (
        RequestClass(PUSHES, Seats(at_once=1000, waiting=0, patience=0.0), health),
        RequestClass("health", Seats(at_once=8, waiting=64, patience=0.4), health),
        RequestClass("shares", Seats(at_once=sizes.live, waiting=64, patience=0.4), _threads("shares", "live", sizes.live)),
        RequestClass("polls", Seats(sizes.long_polls, waiting=0, patience=0.0), _threads("polls", "live", 1), sleeps=True),
        RequestClass("pages", Seats(at_once=sizes.pages, waiting=sizes.pages * 8, patience=5.0), pages),
        RequestClass("files", Seats(at_once=8, waiting=256, patience=5.0), _threads("files", "pages", 1)),
        RequestClass("metrics", Seats(at_once=1, waiting=8, patience=10.0), _threads("metrics", "pages", 1)),
        RequestClass(
            "reports", Seats(at_once=256, waiting=256, patience=2.0), _threads("reports", "reports", 1), LARGE_BODY
        ),
        RequestClass(
            "logins", Seats(at_once=sizes.logins, waiting=sizes.logins * 8, patience=5.0),
            _threads("logins", "logins", sizes.logins),
        ),
        RequestClass(
            "sign_ons", Seats(at_once=sizes.sign_ons, waiting=sizes.sign_ons * 8, patience=5.0),
            _threads("sign_ons", "logins", sizes.sign_ons),
        ),
    )  # fmt: skip  # one a line where it fits
    return {each.name: each for each in every}


def _threads(name: str, alias: str, number: int) -> Iterator[ThreadPoolExecutor]:
    """In turn, executors of one thread each, which say `default` and mean `alias`."""

    def chosen() -> None:
        connections[DEFAULT_DB_ALIAS] = connections[alias]

    return cycle([ThreadPoolExecutor(1, f"{name}-{seat}", initializer=chosen) for seat in range(number)])
