"""Short ways, which need no lock, and what `with` blocks entered.

The short way of a closed breaker whose run is clean counts the calls of one generation in a list, until anything else
happens; then the counts join the value, and calls still under way are reported the long way.  An open breaker counts its
refusals until its wait is over in such a list as well.  CPython switches threads at calls and at the end of loops, never
between the reading and the storing of `way[0] += 1`.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from nodes.circuit.recent import Recent
from nodes.engine.breaker import Permit, deadline
from nodes.engine.enums import Mode, State
from nodes.engine.types import Breaker, BreakerPolicy
from nodes.engine.window import windowed

Way = list[Any]
BEGUN, GOOD, OTHER, GRANT, MARK = range(5)  # OTHER ended the long way; MARK is the breaker's, to know it by

Shut = list[Any]
OPENED_AT, UNTIL, REFUSED = range(3)

# What the `with` blocks of this context entered: a way, a permit, or a pair of one of them and what was entered before it.  A
# way stays when its block is left, since the next block will most likely take it again.
_entered: ContextVar[Any] = ContextVar("entered", default=None)
innermost, enter = _entered.get, _entered.set


def short_ways(value: Breaker, policy: BreakerPolicy, mark: object) -> tuple[Way | None, Shut | None, Recent | None]:
    """The one short way that a breaker's state allows, if it allows one."""
    if value.mode is not Mode.AUTO:
        return None, None, None
    if value.state is State.OPEN and value.opened_at is not None:
        return None, [value.opened_at, deadline(value, policy), 0], None
    if value.state is not State.CLOSED or value.failures:
        return None, None, None  # the next good call ends a run of failures, the long way
    grant = Permit(value.generation)
    if windowed(policy):
        return None, None, Recent(value.window, policy, grant)
    return [0, 0, 0, grant, mark], None, None


def counted(value: Breaker, way: Way | None, shut: Shut | None, recent: Recent | None) -> Breaker:
    """The value with what its short way counted so far."""
    stats = value.stats
    if way is not None and way[BEGUN]:
        begun, good = way[BEGUN], way[GOOD]
        stats = replace(stats, total=stats.total + begun, successful=stats.successful + good)
    elif shut is not None and shut[REFUSED]:
        refused = shut[REFUSED]
        stats = replace(stats, total=stats.total + refused, rejected=stats.rejected + refused)
    elif recent is not None and recent.begun:
        stats = replace(stats, total=stats.total + recent.begun, successful=stats.successful + recent.good)
        return replace(value, stats=stats, window=recent.window())
    return value if stats is value.stats else replace(value, stats=stats)


def enter_way(way: Way, outer: Any) -> None:
    """Remember a way beside what was entered before, unless that is a way which everybody has left."""
    left = type(outer) is list and outer[BEGUN] == outer[GOOD] + outer[OTHER]
    enter(way if outer is None or left else (way, outer))


def take_out(breaker: object, mark: object) -> Any:
    """The innermost entry of this breaker; it leaves the context, unless it is a way on its own."""
    passed: list[Any] = []
    entered = innermost()
    while type(entered) is tuple:
        entry, outer = entered
        if _belongs(entry, breaker, mark):
            for each in reversed(passed):
                outer = (each, outer)
            enter(outer)
            return entry
        passed.append(entry)
        entered = outer
    if entered is None or not _belongs(entered, breaker, mark):
        raise RuntimeError("The block of a circuit breaker is left in another context than it was entered in; use acquire() there.")
    return entered


def _belongs(entry: Any, breaker: object, mark: object) -> bool:
    return entry[MARK] is mark if type(entry) is list else entry.breaker is breaker
