"""What the engine looks at: frozen values, nothing that acts.

Times are seconds since the epoch (float), durations are seconds, shares are basis points of a pool's
traffic.  Nothing here reads a clock, draws a random number or knows that a database exists; a change is a
new value.  The hot rows of the database mirror `HealthState`, `Breaker`, `Failure` and `Pool` field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodes.engine.enums import (
    AdminState,
    EventType,
    Failback,
    Guard,
    Health,
    Mode,
    Origin,
    PageOn,
    Severity,
    State,
    Strategy,
    Verdict,
)

FULL_SHARE = 10_000  # basis points
TRIAL_SHARE = 100  # basis points a node on trial may hold at the most
TENTHS = 10  # steps of a slow start


class PolicyError(ValueError):
    """A policy cannot work; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check saw.  `started_at` and `ended_at` are wall time, `latency` is measured monotonic, in seconds."""

    verdict: Verdict
    message: str = ""  # one line a person understands; empty for a plain pass
    latency: float | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    checker: str = ""  # the host that asked
    retry_after: float | None = None  # s for which the node asks to be left alone
    evidence: Mapping[str, Any] | None = None  # a document of what was asked and answered, handed on as it is


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When a node counts as failed or recovered, and how often it is asked; all durations in seconds."""

    interval: float = 10.0
    fast_interval: float | None = None  # default min(interval, 2)
    down_interval: float | None = None  # default interval
    check_timeout: float | None = None  # default min(5, interval / 2)
    failure_threshold: int = 3
    recovery_threshold: int = 2
    degraded_latency: float | None = None


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how it heals; durations in seconds."""

    failure_threshold: int | None = 5  # consecutive; None: only the rates open it
    success_threshold: int = 2
    timeout: float = 30.0
    max_requests: int = 1
    timeout_multiplier: float = 1.0
    max_timeout: float | None = None  # default max(300, timeout)
    jitter: float = 0.0  # part of the wait that a given random number may add
    trial_timeout: float = 60.0
    failure_rate: float | None = None  # 0..1 of the calls in the window
    slow_call_rate: float | None = None  # 0..1
    slow_call_duration: float | None = None  # a call that took longer is slow
    window_calls: int | None = None  # one of the two windows
    window_seconds: float | None = None
    minimum_calls: int = 10  # in the window, before a rate counts


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """Guards and habits of a pool's automation; durations in seconds, `panic_threshold` a ratio, 0 is off."""

    panic_threshold: float = 0.0
    max_failed_percent: int = 100
    cooldown: float = 0.0
    failback: Failback = Failback.AUTOMATIC
    failback_delay: float = 60.0
    auto_rebalance: bool = True
    rebalance_interval: float = 300.0
    slow_start: float = 0.0  # over which a node that became eligible gets its share back, in ten steps
    flapping_within: float = 600.0  # a failure so soon after the same node's recovery makes it flap, so long a quiet ends that
    heal_unreported_after: float | None = 3600.0  # half-open without a reported call: then checks count as trials; None: never
    page_on: PageOn = PageOn.EVERY_FAILURE


@dataclass(frozen=True, slots=True)
class HealthState:
    """What the checks of one node added up to."""

    status: Health = Health.UNKNOWN
    fails: int = 0  # consecutive
    passes: int = 0  # consecutive, counted while recovering
    since: float = 0.0  # when `status` began
    first_bad_at: float | None = None  # start of the run of failing checks
    seen_by: tuple[str, ...] = ()  # checkers that saw that run
    confirm_until: float | None = None  # the one checker that saw it leaves the next check to another until then
    observed_at: float | None = None  # start of the last check that was not unknown
    due_interval: float | None = None  # seconds; the interval that the current due time was made of
    stale: bool = False  # told, and no verdict since
    ever_eligible: bool = False
    fault: str = ""  # what the last failing check of the run said
    # The last 20 results since it was first seen or last left recovering: a bit each, 1 a fail, newest lowest, behind a leading 1.
    results: int = 1
    alternating: bool = False  # too many of them failed, and that was told


@dataclass(frozen=True, slots=True)
class Lease:
    """A trial in flight: unreported at `ends_at` it counts as one failure."""

    permit: int
    ends_at: float
    generation: int = 0  # of the half-open state that gave it


@dataclass(frozen=True, slots=True)
class BreakerStats:
    """total = successful + failed + rejected + ignored + late + in flight; `late_lapsed` stands beside the sum."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    rejected: int = 0
    ignored: int = 0
    late: int = 0
    late_lapsed: int = 0
    opened: int = 0
    last_change: float | None = None
    closings: int = 0  # times it came back from open to closed
    open_seconds: float = 0.0  # over all closings; mean time from open to closed = open_seconds / closings

    @property
    def in_flight(self) -> int:
        """Permits given and not yet accounted for."""
        return self.total - self.successful - self.failed - self.rejected - self.ignored - self.late

    @property
    def mean_open(self) -> float | None:
        """Mean seconds from open to closed; None before the first closing."""
        return self.open_seconds / self.closings if self.closings else None


Span = tuple[float, int, int, int]  # when its first call ended, calls, failed, slow


@dataclass(frozen=True, slots=True)
class Window:
    """Recent calls; the rules are in `window.py`."""

    calls: bytes = b""  # of a count window, oldest first: 1 failed, 2 slow, 3 both
    spans: tuple[Span, ...] = ()  # of a time window, one for each tenth of it that has calls


@dataclass(frozen=True, slots=True)
class Run:
    """What the calls of one origin came to while closed."""

    failures: int = 0  # consecutive
    window: Window = Window()


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker as a value; the rules are in `breaker.py`."""

    state: State = State.CLOSED
    generation: int = 0
    failures: int = 0  # consecutive, while closed
    successes: int = 0  # while half-open
    opened_at: float | None = None  # last time it opened (first or again)
    first_opened_at: float | None = None  # when this stretch of open and half-open began
    reopened: int = 0  # times in this stretch
    wait: float = 0.0  # seconds open before a trial, as stored when it opened
    opened_by: Origin | None = None
    opened_why: str = ""  # which rule opened it first, in words
    window: Window = Window()  # while closed
    reported: Run = Run()  # the same two for calls that others report; a node's checks and calls are not mixed
    trials: tuple[Lease, ...] = ()
    last_permit: int = 0
    mode: Mode = Mode.AUTO
    mode_reason: str = ""
    mode_owner: str = ""
    mode_until: float | None = None
    stats: BreakerStats = BreakerStats()


@dataclass(frozen=True, slots=True)
class Failure:
    """One node's failure, from marked or opened until eligible again."""

    first_bad_at: float
    marked_at: float
    cause: str  # "health" or "breaker"
    had_share: bool = False
    moved_at: float | None = None  # when its share had moved
    verify_after: float | None = None  # waiting for a receiver's pass begun after this instant ...
    verify_until: float | None = None  # ... until this one
    receivers: tuple[int, ...] = ()  # node ids whose first check after the move is awaited
    refused_by: Guard | None = None  # that refuses its failover now
    told_guards: tuple[Guard, ...] = ()  # that refused it at some time: each is told once
    recovering: bool = False  # recovery_started told, its end not yet
    verified: bool = False  # a receiver passed a check after the move
    unverified_told: bool = False


@dataclass(frozen=True, slots=True)
class LastFailure:
    """A node's last failure that ended by recovery."""

    first_bad_at: float
    recovered_at: float


@dataclass(frozen=True, slots=True)
class Flapping:
    """A node that keeps failing soon after it has recovered; the rules are in `flapping.py`."""

    since: float  # first bad check of the failure that it had recovered from when the next came too soon
    failed_at: float  # first bad check of the latest failure
    failures: int  # since then, with that one
    quiet_since: float | None = None  # since when no failure of it is open


@dataclass(frozen=True, slots=True)
class Ramp:
    """A share on its way back: a little for trials (step 0), then tenths of the ideal."""

    epoch: int  # of the decision that began it; 0: none yet, its node was refused a failover and is to get its part again
    since: float
    step: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a half-open breaker that waits for calls."""

    heard_at: float | None = None  # the last call that was reported since it half-opened
    starved: bool = False  # it has waited for too long, and that was told
    by_checks: bool = False  # checks count as its trials as well


@dataclass(frozen=True, slots=True)
class Load:
    """What a node was last said to carry, in the unit of its capacity."""

    last: float
    high: int = 0  # reports in a row at or above the limit


@dataclass(frozen=True, slots=True)
class Member:
    """A node as the engine sees it."""

    id: int
    name: str
    weight: int = 100
    priority: int = 1  # tier; 1 is the best
    admin: AdminState = AdminState.ENABLED
    health_policy: HealthPolicy = HealthPolicy()
    breaker_policy: BreakerPolicy = BreakerPolicy()
    health: HealthState = HealthState()
    breaker: Breaker = Breaker()
    share: int = 0
    failure: Failure | None = None
    ramp: Ramp | None = None
    trial: Trial | None = None
    enabled_by: str = ""  # who enabled it, until it has its share by that act
    capacity: float | None = None
    load: Load | None = None
    last_failure: LastFailure | None = None
    flapping: Flapping | None = None
    trials_epoch: int | None = None  # of the decision that counts the trials of its open failure


@dataclass(frozen=True, slots=True)
class Hold:
    """Automation held back by a person or by what the console saw of itself."""

    reason: str
    owner: str = ""
    since: float = 0.0
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    id: int
    name: str
    members: tuple[Member, ...]  # by id
    strategy: Strategy = Strategy.WEIGHTED
    policy: PoolPolicy = PoolPolicy()
    epoch: int = 0
    active_tier: int | None = None  # active_passive only
    paused: Hold | None = None
    last_failover_at: float | None = None  # automatic ones only
    cooldown_lifted_at: float | None = None  # by an acknowledgement
    better_tier_since: float | None = None  # a better tier has been eligible without a break
    failback_told: bool = False
    rebalanced_at: float | None = None
    low_capacity: bool = False
    down: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """What holds every pool: a pause of all automation, or that no checker is believed; and how many checkers are."""

    paused: Hold | None = None
    isolated: Hold | None = None
    believed: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    type: EventType
    severity: Severity
    message: str
    node: int | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    actor: str = "engine"
