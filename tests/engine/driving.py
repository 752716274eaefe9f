"""A breaker driven by hand: its clock, its policy, its changes."""

from __future__ import annotations

from nodes.engine import breaker as rules
from nodes.engine.breaker import Change, Permit, Refusal
from nodes.engine.enums import Outcome, State
from nodes.engine.types import Breaker, BreakerPolicy


class Driver:
    """The value under test with a clock; every asking and reporting goes through the engine's own functions."""

    def __init__(self, policy: BreakerPolicy | None = None, now: float = 0.0) -> None:
        self.policy, self.now = policy or BreakerPolicy(), now
        self.breaker = Breaker()
        self.changes: list[Change] = []
        self.kept = Permit(0)  # of a call that goes on while others come and go

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.breaker, changes = rules.tick(self.breaker, self.policy, self.now)
        self.changes += changes

    def ask(self) -> Permit | Refusal:
        self.breaker, answer = rules.acquire(self.breaker, self.policy, self.now)
        return answer

    def permit(self) -> Permit:
        answer = self.ask()
        assert isinstance(answer, Permit)
        return answer

    def report(self, permit: Permit, outcome: Outcome, duration: float | None = None) -> None:
        self.breaker, changes = rules.report(self.breaker, self.policy, permit, outcome, self.now, duration=duration)
        self.changes += changes

    def call(self, outcome: Outcome) -> None:
        self.report(self.permit(), outcome)

    def open(self) -> None:
        while self.breaker.state != State.OPEN:
            self.call(Outcome.FAILURE)

    def half_open(self) -> None:
        self.open()
        self.wait(self.breaker.wait)
        assert self.breaker.state == State.HALF_OPEN
