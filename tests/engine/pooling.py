"""A pool driven by hand: its nodes are called A, B, C ..., its clock moves when told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nodes.engine.enums import AdminState, EventType, Health, Mode, State, Strategy, Verdict
from nodes.engine.health import after_result, failed_of_last
from nodes.engine.pool_step import busy, step
from nodes.engine.step import Step
from nodes.engine.types import BreakerPolicy, Event, Fleet, HealthPolicy, Member, Observation, Pool, PoolPolicy
from nodes.engine.window import windowed

START = 1_000_000.0
VERDICTS = {verdict.value[0]: verdict for verdict in Verdict}
AT_ONCE = HealthPolicy(failure_threshold=1, recovery_threshold=1)
NEVER_OPENS = BreakerPolicy(failure_threshold=1_000_000)


def seen(letter: str, now: float) -> Observation:
    """An observation of a check that took a hundredth of a second and ends now."""
    message = "connection refused" if letter == "f" else ""
    return Observation(VERDICTS[letter], message, 0.01, now - 0.01, now)


def make_pool(
    nodes: int = 3,
    *,
    weights: list[int] | None = None,
    tiers: list[int] | None = None,
    policy: PoolPolicy | None = None,
    health: HealthPolicy = AT_ONCE,
    breaker: BreakerPolicy = NEVER_OPENS,
) -> Pool:
    count = len(weights or tiers or range(nodes))
    members = tuple(
        Member(
            number,
            "ABCDEFGH"[number - 1],
            weight=(weights or [100] * count)[number - 1],
            priority=(tiers or [1] * count)[number - 1],
            health_policy=health,
            breaker_policy=breaker,
        )
        for number in range(1, count + 1)
    )
    strategy = Strategy.ACTIVE_PASSIVE if tiers else Strategy.WEIGHTED
    return Pool(1, "api", members, strategy=strategy, policy=policy or PoolPolicy())


class Driver:
    """Takes batches such as "A=p B=f", keeps what they led to."""

    def __init__(self, pool: Pool | None = None, fleet: Fleet | None = None) -> None:
        self.pool, self.fleet, self.now = pool or make_pool(), fleet or Fleet(), START
        self.last: dict[int, str] = {}
        self.events: list[Event] = []
        self.steps: list[Step] = []

    def batch(self, text: str = "", *, wait: float = 1.0, repeat: bool = False) -> Step:
        """Let time pass and apply what was seen; `repeat` lets the other nodes see again what they saw last."""
        self.now += wait
        given = {ord(name) - 64: letter for name, letter in (each.split("=") for each in text.split())}
        self.last |= given
        letters = self.last if repeat else given
        observations = {node: seen(letter, self.now) for node, letter in letters.items()}
        return self.take(step(self.pool, self.fleet, self.now, observations=observations))

    def take(self, done: Step) -> Step:
        self.pool = done.pool
        self.events += done.events
        self.steps.append(done)
        return done

    def up(self) -> Driver:
        """Every node passes once."""
        self.batch(" ".join(f"{node.name}=p" for node in self.pool.members))
        return self

    def node(self, name: str) -> Member:
        return next(node for node in self.pool.members if node.name == name)

    def change(self, name: str, **fields: Any) -> None:
        members = tuple(replace(node, **fields) if node.name == name else node for node in self.pool.members)
        self.pool = replace(self.pool, members=members)

    @property
    def shares(self) -> list[int]:
        return [node.share for node in self.pool.members]

    def told(self, *types: EventType) -> list[Event]:
        return [event for event in self.events if event.type in types]


def quiet(pool: Pool, node: Member, observation: Observation) -> bool:
    """Whether this observation certainly changes no state, share or event: what the SQL of the fast path is held to."""
    health, breaker = node.health, node.breaker
    return (
        observation.verdict == Verdict.PASS
        and health.status == Health.HEALTHY
        and not health.fails
        and health.first_bad_at is None
        and not health.stale
        and health.ever_eligible
        and node.admin == AdminState.ENABLED
        and node.failure is None
        and breaker.state == State.CLOSED
        and breaker.mode == Mode.AUTO
        and not breaker.failures
        and not windowed(node.breaker_policy)
        and not _completes_the_results(health.results)
        and not busy(pool)
    )


def _completes_the_results(results: int) -> bool:
    """Whether one result more makes enough of them to say whether they alternate."""
    return failed_of_last(results) is None and failed_of_last(after_result(results, failed=False)) is not None
