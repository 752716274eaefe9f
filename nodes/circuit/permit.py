"""Leave for one call."""

from __future__ import annotations

from typing import Protocol

from nodes.circuit.recent import Recent
from nodes.circuit.ways import Way
from nodes.engine.breaker import Permit
from nodes.engine.enums import Outcome


class Reporting(Protocol):
    """What a permit is reported to."""

    def report(self, permit: CallPermit, outcome: Outcome, duration: float | None = None) -> None: ...


class CallPermit:
    """Leave for one call.  Report it once; what comes after the first report is dropped."""

    __slots__ = ("breaker", "grant", "reported", "started", "way")

    def __init__(self, breaker: Reporting, grant: Permit, started: float, way: Way | Recent | None = None) -> None:
        self.breaker, self.grant, self.started, self.way, self.reported = breaker, grant, started, way, False

    def success(self, duration: float | None = None) -> None:
        """The call came back; `duration` in seconds, None when it was not measured."""
        self.breaker.report(self, Outcome.SUCCESS, duration)

    def failure(self, duration: float | None = None) -> None:
        """The call failed; `duration` as in `success`."""
        self.breaker.report(self, Outcome.FAILURE, duration)

    def ignore(self) -> None:
        """The call says nothing about the callee; a trial is given back."""
        self.breaker.report(self, Outcome.IGNORED)
