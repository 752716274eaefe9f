"""The body of `POST /api/v1/nodes/<id>/outcomes`: how calls to a node ended, and how much it carries.

    {"outcomes": [{"success": 40, "failure": 2, "slow": 1, "at": "2026-01-31T12:00:00Z"},
                  {"failure": 1, "duration": 6.2}],
     "load": 512}

`at` is when the calls ended, ISO 8601 with an offset or seconds since the epoch; now, when it is left out.  `slow` counts how
many of them were slow; with `duration`, seconds each took, the console judges by the breaker policy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from math import inf, isfinite
from typing import Any

from nodes.engine.reporting import Calls, Report

MAX_CALLS = 5_000  # of one batch; all are counted under the pool's lock
MAX_ENTRIES = 500
LARGEST_BODY = 2**20  # bytes
_MOST_PARTS = 8 * MAX_ENTRIES  # lists, objects and commas: to read a million lists takes a fifth of a second, for all others too
_AHEAD = 60.0  # s; a clock that goes further ahead is wrong
_FIELDS = frozenset({"success", "failure", "slow", "duration", "at"})


class UnreadableError(ValueError):
    """What was posted cannot be taken; the message is a sentence that says why.  Nothing of it was counted."""


def parse(body: bytes, now: float) -> Report:
    """The report of a body; raises `UnreadableError`."""
    if sum(map(body.count, (b"{", b"[", b","))) > _MOST_PARTS:
        raise UnreadableError(f"the body has more parts than a list of {MAX_ENTRIES} outcomes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError("the body is not JSON that could be read") from None
    if not isinstance(document, dict) or not document or document.keys() - {"outcomes", "load"}:
        raise UnreadableError('the body is an object with "outcomes", a list, or "load", a number, or both')
    entries = document.get("outcomes", [])
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise UnreadableError(f"outcomes is a list of {MAX_ENTRIES} entries at the most")
    calls = tuple(_calls(number, entry, now) for number, entry in enumerate(entries))
    if sum(each.success + each.failure for each in calls) > MAX_CALLS:
        raise UnreadableError(f"a batch holds {MAX_CALLS} calls at the most; send several")
    load = document.get("load")
    return Report(calls, None if load is None else _number("load", load))


def _calls(number: int, entry: Any, now: float) -> Calls:
    where = f"outcomes[{number}]"
    if not isinstance(entry, dict):
        raise UnreadableError(f"{where} is not an object")
    if unknown := sorted(entry.keys() - _FIELDS):
        raise UnreadableError(f"{where} has no field {unknown[0][:40]!r}; there are {', '.join(sorted(_FIELDS))}")
    success, failure, slow = (_count(where, entry, name) for name in ("success", "failure", "slow"))
    if not success + failure:
        raise UnreadableError(f"{where} counts no call: success or failure must be above 0")
    if slow > success + failure:
        raise UnreadableError(f"{where} counts more slow calls than calls")
    if "slow" in entry and "duration" in entry:
        raise UnreadableError(f"{where} gives slow and duration; one of them says which calls were slow")
    duration = _number(f"{where}.duration", entry["duration"]) if "duration" in entry else None
    return Calls(success, failure, _instant(where, entry, now), slow, duration)


def _count(where: str, entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name, 0)
    if type(value) is not int or not 0 <= value <= MAX_CALLS:
        raise UnreadableError(f"{where}.{name} is a whole number from 0 to {MAX_CALLS}")
    return value


def _number(where: str, value: Any) -> float:
    try:
        number = float(value) if type(value) in (int, float) else -1.0
    except OverflowError:  # JSON knows no largest number
        number = inf
    if not isfinite(number) or number < 0:
        raise UnreadableError(f"{where} is a number, 0 or above")
    return number


def _instant(where: str, entry: Mapping[str, Any], now: float) -> float:
    value = entry.get("at", now)
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        raise UnreadableError(f"{where}.at is no ISO 8601 time") from None
    if at is not None and at.tzinfo is None:
        raise UnreadableError(f"{where}.at names no offset from UTC; end it with Z or +00:00")
    instant = at.timestamp() if at is not None else _number(f"{where}.at", value)
    if instant > now + _AHEAD:
        raise UnreadableError(f"{where}.at lies {instant - now:.0f} s ahead of the console's clock")
    return min(instant, now)
