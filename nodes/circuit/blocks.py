"""Which `with` blocks of a breaker the running context is inside.

Kept in one context variable, so that tasks and threads do not see each other's blocks: the calls of a closed breaker
(`ClosedCalls`), a permit, or a pair of one of the two and what was entered before it.  The calls of a closed breaker stay when
their block is left, because the next block will most likely enter the same.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from nodes.circuit.fast_path import ClosedCalls

_entered: ContextVar[Any] = ContextVar("entered", default=None)
innermost, enter = _entered.get, _entered.set


def enter_calls(calls: ClosedCalls, outer: Any) -> None:
    """Remember the calls beside what was entered before, unless that is the calls of a breaker without a block under way."""
    left = type(outer) is ClosedCalls and outer.begun == outer.good + outer.other
    enter(calls if outer is None or left else (calls, outer))


def take_out(breaker: object, mark: object) -> Any:
    """The innermost entry of this breaker; it leaves the context, unless it is `ClosedCalls` alone."""
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
    return entry.mark is mark if type(entry) is ClosedCalls else entry.breaker is breaker
