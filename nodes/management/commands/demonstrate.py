"""The four demonstrations of the reference implementation, played by the real engine on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand

from nodes.circuit import BreakerPolicy, CircuitBreaker, CircuitOpenError, Mode, State
from nodes.engine.enums import ChangeKind, Verdict
from nodes.engine.pool_step import step
from nodes.engine.step import Step
from nodes.engine.types import Fleet, HealthPolicy, Member, Observation, Pool

Lines = Iterator[str]

START = 1_000_000.0  # s, any instant
INTERVAL = 10.0  # s between two checks of a node
OPEN_FOR = 30.0  # s


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def _answer() -> str:
    return "ok"


def _down() -> str:
    raise ConnectionError("connection refused")


def _ask(breaker: CircuitBreaker, callee: Callable[[], str]) -> str:
    try:
        breaker.call(callee)
    except CircuitOpenError as refusal:
        return f"rejected, try again in {refusal.retry_after:.0f} s"
    except ConnectionError:
        return "failed"
    return "succeeded"


def breaker_trips() -> Lines:
    """Three failures in a row open the breaker; the next call is rejected."""
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=3, timeout=OPEN_FOR), clock=Clock())
    for callee in (_answer, _answer, _answer, _down, _down, _down, _answer):
        yield f"call {_ask(breaker, callee)}, breaker {breaker.state}"
    stats = breaker.stats
    yield f"{stats.total} asked, {stats.successful} succeeded, {stats.failed} failed, {stats.rejected} rejected"


def breaker_recovers() -> Lines:
    """After its wait the breaker lets trials through; two that succeed close it."""
    clock, path = Clock(), list[State | Mode]([State.CLOSED])
    breaker = CircuitBreaker(
        BreakerPolicy(failure_threshold=3, success_threshold=2, timeout=OPEN_FOR),
        clock=clock,
        on_change=lambda _, before, after: path.append(after),
    )
    for _ in range(3):
        _ask(breaker, _down)
    yield f"after 3 failures: {breaker.state}"
    clock.now += OPEN_FOR
    yield f"after {OPEN_FOR:.0f} s: {breaker.state}"
    for trial in (1, 2):
        yield f"trial {trial} {_ask(breaker, _answer)}: {breaker.state}"
    yield " → ".join(path)


def _play() -> Iterator[Step]:
    """A pool of three; the second node fails two checks, then passes two."""
    policy = HealthPolicy(interval=INTERVAL, failure_threshold=2, recovery_threshold=2)
    pool = Pool(1, "api", tuple(Member(number, f"api-{number}", health_policy=policy) for number in (1, 2, 3)))
    fleet, now = Fleet(), START
    for second in (Verdict.PASS, Verdict.FAIL, Verdict.FAIL, Verdict.PASS, Verdict.PASS):
        now += INTERVAL
        seen = {node.id: Verdict.PASS for node in pool.members} | {2: second}
        done = step(pool, fleet, now, observations={node: _observation(verdict, now) for node, verdict in seen.items()})
        pool = done.pool
        yield done


def _observation(verdict: Verdict, now: float) -> Observation:
    message = "connection refused" if verdict == Verdict.FAIL else ""
    return Observation(verdict, message, latency=0.01, started_at=now - 0.01, ended_at=now)


def node_fails_and_recovers() -> Lines:
    """Two failing checks move the node's share away, two good ones bring it back."""
    failovers = recoveries = 0
    for number, done in enumerate(_play()):
        node = done.pool.members[1]
        passing = node.health.passes or (2 if number == 4 else 0)
        count = f" ({node.health.fails}/2)" if node.health.fails else f" ({passing}/2)" if passing else ""
        kinds = [decision.kind for decision in done.decisions if decision.node == node.id and number]
        failovers += kinds.count(ChangeKind.FAILOVER)
        recoveries += kinds.count(ChangeKind.RECOVERY)
        shares = " ".join(f"{each.name}={each.share}" for each in done.pool.members)
        yield f"{node.name} {node.health.status}{count}: {shares}"
    yield f"failovers {failovers}, recoveries {recoveries}"


def event_log() -> Lines:
    """What the third demonstration wrote into the history."""
    first, *others = _play()
    for done in (first, *others):
        for event in done.events:
            yield f"{event.type}: {event.message}"


DEMONSTRATIONS: tuple[Callable[[], Lines], ...] = (breaker_trips, breaker_recovers, node_fails_and_recovers, event_log)


class Command(BaseCommand):
    help = "Print the four demonstrations of the breaker and the failover, played by the real engine. Touches no database."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for number, demonstration in enumerate(DEMONSTRATIONS, start=1):
            self.stdout.write(f"{number}. {demonstration.__doc__}")
            for line in demonstration():
                self.stdout.write(f"   {line}")
