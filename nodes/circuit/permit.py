"""Permits: leave for one call, to be reported when it has ended."""

from __future__ import annotations

from typing import Protocol

from nodes.circuit.fast_path import ClosedCalls
from nodes.circuit.window_counts import WindowCounts
from nodes.engine.breaker import Permit
from nodes.engine.enums import Outcome


class Reporting(Protocol):
    """What a permit is reported to."""

    def report(
        self, permit: CallPermit, outcome: Outcome, duration: float | None = None, error: BaseException | None = None
    ) -> None: ...

    def renew(self, permit: CallPermit) -> None: ...


class CallPermit:
    """Leave for one call.  Report it once; what comes after the first report is dropped."""

    __slots__ = ("breaker", "counts", "permit", "reported", "started")

    def __init__(
        self, breaker: Reporting, permit: Permit, started: float, counts: ClosedCalls | WindowCounts | None = None
    ) -> None:
        self.breaker, self.permit, self.started, self.reported = breaker, permit, started, False
        self.counts = counts  # of the fast path that gave it

    def go_on(self, away: float = 0.0) -> None:
        """The call goes on, as a stream does at each step; its consumer was `away` for so many seconds, which do not count."""
        self.started += away
        if self.permit.trial:
            self.breaker.renew(self)

    def success(self, duration: float | None = None) -> None:
        """The call came back; `duration` in seconds, None when it was not measured."""
        self.breaker.report(self, Outcome.SUCCESS, duration)

    def failure(self, duration: float | None = None, error: BaseException | None = None) -> None:
        """The call failed; `duration` as in `success`, `error` becomes the `__cause__` of the refusals that follow."""
        self.breaker.report(self, Outcome.FAILURE, duration, error)

    def ignore(self) -> None:
        """The call says nothing about the callee; a trial is given back."""
        self.breaker.report(self, Outcome.IGNORED)
