"""Snapshots of a breaker: a JSON-able mapping that another process, with another clock, can go on from.

Instants become remaining seconds, with the wall time at which the snapshot was taken.  Trials in flight are left out, because
the calls that would report them end with their process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from nodes.engine.breaker import deadline, tick
from nodes.engine.enums import Mode, State
from nodes.engine.types import Breaker, BreakerPolicy, BreakerStats, Window
from nodes.engine.window import shifted


def take(breaker: Breaker, policy: BreakerPolicy, now: float, wall: float) -> dict[str, Any]:
    """The breaker as a JSON-able mapping; `now` is on the breaker's clock, `wall` in seconds since the epoch."""
    breaker, _ = tick(breaker, policy, now)
    stats = replace(breaker.stats, total=breaker.stats.total - breaker.stats.in_flight, last_change=None)
    return {
        "taken_at": wall,
        "state": breaker.state.value,
        "generation": breaker.generation,
        "failures": breaker.failures,
        "successes": breaker.successes,
        "opened_why": breaker.opened_why,
        "calls": breaker.window.calls.hex(),
        "spans": shifted(breaker.window.spans, -now),
        "reopened": breaker.reopened,
        "wait": breaker.wait,
        "remaining": deadline(breaker, policy) - now if breaker.state == State.OPEN else None,
        "open_for": _ago(breaker.first_opened_at, now),
        "changed": _ago(breaker.stats.last_change, now),
        "last_permit": breaker.last_permit,
        "mode": breaker.mode.value,
        "mode_reason": breaker.mode_reason,
        "mode_owner": breaker.mode_owner,
        "mode_remaining": None if breaker.mode_until is None else breaker.mode_until - now,
        "stats": asdict(stats),
    }


def restore(policy: BreakerPolicy, snapshot: Mapping[str, Any], now: float, wall: float) -> Breaker:
    """The breaker of a snapshot, at once half-open when its wait has passed meanwhile.  Raises `KeyError` on a foreign mapping."""
    then = now - max(0.0, wall - snapshot["taken_at"])
    wait, remaining = snapshot["wait"], snapshot["remaining"]
    breaker = Breaker(
        state=State(snapshot["state"]),
        generation=snapshot["generation"],
        failures=snapshot["failures"],
        successes=snapshot["successes"],
        opened_why=snapshot["opened_why"],
        window=Window(bytes.fromhex(snapshot["calls"]), shifted(snapshot["spans"], then)),
        reopened=snapshot["reopened"],
        wait=wait,
        opened_at=None if remaining is None else then + remaining - wait,
        first_opened_at=_before(then, snapshot["open_for"]),
        last_permit=snapshot["last_permit"],
        mode=Mode(snapshot["mode"]),
        mode_reason=snapshot["mode_reason"],
        mode_owner=snapshot["mode_owner"],
        mode_until=None if snapshot["mode_remaining"] is None else then + snapshot["mode_remaining"],
        stats=BreakerStats(**snapshot["stats"] | {"last_change": _before(then, snapshot["changed"])}),
    )
    return tick(breaker, policy, now)[0]


def _ago(instant: float | None, now: float) -> float | None:
    return None if instant is None else now - instant


def _before(now: float, age: float | None) -> float | None:
    return None if age is None else now - age
