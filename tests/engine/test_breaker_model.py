"""The breaker against a slow model that keeps every call and looks through all of them each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nodes.engine import breaker as rules
from nodes.engine.breaker import Permit
from nodes.engine.enums import Mode, Outcome, State
from nodes.engine.types import Breaker, BreakerPolicy

POLICIES = (
    BreakerPolicy(failure_threshold=2, timeout=4.0, trial_timeout=8.0),
    BreakerPolicy(failure_threshold=1, success_threshold=3, max_requests=2, timeout=2.0, timeout_multiplier=2.0, max_timeout=7.0),
    BreakerPolicy(failure_threshold=None, failure_rate=0.5, window_calls=4, minimum_calls=2, timeout=1.0),
    BreakerPolicy(failure_threshold=4, failure_rate=0.7, window_seconds=10.0, minimum_calls=3, timeout=1.0, success_threshold=1),
    BreakerPolicy(slow_call_rate=0.4, slow_call_duration=1.0, window_calls=5, minimum_calls=3, timeout=1.0, success_threshold=1),
    BreakerPolicy(
        failure_threshold=1,
        slow_call_rate=0.9,
        slow_call_duration=1.0,
        window_calls=5,
        minimum_calls=5,
        timeout=1.0,
        timeout_multiplier=2.0,
    ),
    BreakerPolicy(failure_threshold=1, timeout=0.0, trial_timeout=2.0),
)
START = 1000.0


@dataclass
class Call:
    """A call that was let through."""

    generation: int
    trial: bool
    lease_ends: float
    outcome: Outcome | None = None
    slow: bool = False
    ended: float = 0.0
    lapsed: bool = False
    late: bool = False
    dropped: bool = False


@dataclass
class SlowBreaker:
    """Every call and every state since the beginning; each question is answered by looking through them."""

    policy: BreakerPolicy
    calls: list[Call] = field(default_factory=list)
    counted: list[Call] = field(default_factory=list)  # those that could move the state, as they ended
    states: list[tuple[State, float]] = field(default_factory=lambda: [(State.CLOSED, START)])
    mode: Mode = Mode.AUTO
    refused: int = 0

    @property
    def state(self) -> State:
        return self.states[-1][0]

    @property
    def generation(self) -> int:
        return len(self.states) - 1

    @property
    def frozen(self) -> bool:
        return self.mode in (Mode.FORCED_OPEN, Mode.FORCED_CLOSED)

    def trial_may_begin_at(self) -> float:
        """The timeout after the opening, longer by each opening since it was last closed."""
        closed = max(number for number, (state, _) in enumerate(self.states) if state == State.CLOSED)
        openings = sum(state == State.OPEN for state, _ in self.states[closed:])
        longest = self.policy.max_timeout or max(300.0, self.policy.timeout)
        return self.states[-1][1] + min(longest, self.policy.timeout * self.policy.timeout_multiplier ** (openings - 1))

    def trials(self) -> list[Call]:
        return [call for call in self.calls if call.trial and call.outcome is None and not call.lapsed]

    def pass_time(self, now: float, *, half_opens: bool = True) -> None:
        while True:
            lapsing = min(self.trials(), key=lambda call: call.lease_ends, default=None)
            waits = self.state == State.OPEN and not self.frozen and half_opens
            at = self.trial_may_begin_at() if waits else now + 1
            if lapsing is not None and lapsing.lease_ends <= min(now, at):
                lapsing.lapsed = True
                if lapsing.generation == self.generation and not self.frozen:
                    self.states.append((State.OPEN, lapsing.lease_ends))
            elif at <= now:
                self.states.append((State.HALF_OPEN, now))
            else:
                return

    def ask(self, now: float) -> Call | None:
        self.pass_time(now)
        in_flight = sum(call.generation == self.generation for call in self.trials())
        trial = self.state == State.HALF_OPEN and not self.frozen and in_flight < self.policy.max_requests
        closed_to_all = self.mode == Mode.FORCED_OPEN or (self.mode == Mode.AUTO and self.state != State.CLOSED and not trial)
        if closed_to_all:
            self.refused += 1
            return None
        self.calls.append(Call(self.generation, trial, now + self.policy.trial_timeout))
        return self.calls[-1]

    def end(self, call: Call, outcome: Outcome, duration: float, now: float) -> None:
        self.pass_time(now, half_opens=False)
        if call.lapsed:
            call.dropped = True
            return
        limit = self.policy.slow_call_duration
        call.outcome, call.ended, call.slow = outcome, now, limit is not None and duration > limit
        call.late = call.generation != self.generation
        moves = call.trial or self.state == State.CLOSED
        if call.late or self.frozen or outcome == Outcome.IGNORED or not moves:
            return
        self.counted.append(call)
        if (turn := self._turn(now)) is not None:
            self.states.append((turn, now))

    def _turn(self, now: float) -> State | None:
        """The state that the calls of this one lead to."""
        ended = [call for call in self.counted if call.generation == self.generation]
        if self.state == State.HALF_OPEN:
            if ended[-1].outcome == Outcome.FAILURE or ended[-1].slow:
                return State.OPEN
            return State.CLOSED if len(ended) >= self.policy.success_threshold else None
        return State.OPEN if self._run_is_too_long(ended) or self._rate_is_too_high(ended, now) else None

    def _run_is_too_long(self, ended: list[Call]) -> bool:
        threshold = self.policy.failure_threshold
        last = ended[-threshold:] if threshold is not None else []
        return len(last) == threshold and all(call.outcome == Outcome.FAILURE for call in last)

    def _rate_is_too_high(self, ended: list[Call], now: float) -> bool:
        policy, recent = self.policy, []
        if policy.window_calls is not None:
            recent = ended[-policy.window_calls :]
        if policy.window_seconds is not None:
            tenth = Fraction(policy.window_seconds) / 10
            recent = [call for call in ended if Fraction(now) // tenth - Fraction(call.ended) // tenth < 10]
        if not recent or len(recent) < policy.minimum_calls:
            return False
        failed = Fraction(sum(call.outcome == Outcome.FAILURE for call in recent), len(recent))
        slow = Fraction(sum(call.slow for call in recent), len(recent))
        limits = ((failed, policy.failure_rate), (slow, policy.slow_call_rate))
        return any(limit is not None and part >= Fraction(str(limit)) for part, limit in limits)


class BreakerAgainstModel(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: BreakerPolicy) -> None:
        self.policy, self.now = policy, START
        self.breaker, self.model = Breaker(), SlowBreaker(policy)
        self.open_calls: list[tuple[Permit, Call]] = []

    def _ask(self) -> tuple[Permit, Call] | None:
        self.breaker, answer = rules.acquire(self.breaker, self.policy, self.now)
        call = self.model.ask(self.now)
        assert isinstance(answer, Permit) == (call is not None)
        return (answer, call) if isinstance(answer, Permit) and call is not None else None

    def _end(self, asked: tuple[Permit, Call], outcome: Outcome, duration: float) -> None:
        self.breaker, _ = rules.report(self.breaker, self.policy, asked[0], outcome, self.now, duration=duration)
        self.model.end(asked[1], outcome, duration, self.now)

    @rule(
        outcomes=st.lists(st.sampled_from([Outcome.SUCCESS, Outcome.FAILURE, *Outcome]), min_size=1, max_size=6), slow=st.booleans()
    )
    def call(self, outcomes: list[Outcome], slow: bool) -> None:
        for outcome in outcomes:
            if (asked := self._ask()) is not None:
                self._end(asked, outcome, 2.0 if slow else 1.0)

    @rule()
    def begin_a_call(self) -> None:
        if (asked := self._ask()) is not None:
            self.open_calls.append(asked)

    @precondition(lambda self: self.open_calls)
    @rule(outcome=st.sampled_from(Outcome), which=st.integers(0, 5))
    def end_a_call(self, outcome: Outcome, which: int) -> None:
        self._end(self.open_calls.pop(which % len(self.open_calls)), outcome, 1.5)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 4.0, 9.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(mode=st.sampled_from(Mode))
    def force(self, mode: Mode) -> None:
        self.breaker, _ = rules.tick(self.breaker, self.policy, self.now)
        self.model.pass_time(self.now)
        self.breaker = rules.force(self.breaker, mode, "", "", None, self.now)
        self.model.mode = mode

    @rule()
    def release(self) -> None:
        self.force(Mode.AUTO)

    @invariant()
    def both_say_the_same(self) -> None:
        if not hasattr(self, "breaker"):
            return
        self.breaker, _ = rules.tick(self.breaker, self.policy, self.now)
        self.model.pass_time(self.now)
        assert (self.breaker.state, self.breaker.generation) == (self.model.state, self.model.generation)
        calls, stats = self.model.calls, self.breaker.stats
        assert stats.total == len(calls) + self.model.refused
        assert stats.rejected == self.model.refused
        assert stats.successful == sum(call.outcome == Outcome.SUCCESS and not call.late for call in calls)
        assert stats.failed == sum(call.lapsed or (call.outcome == Outcome.FAILURE and not call.late) for call in calls)
        assert stats.late == sum(call.late for call in calls)
        assert stats.late_lapsed == sum(call.dropped for call in calls)
        assert stats.opened == sum(state == State.OPEN for state, _ in self.model.states)
        assert len(self.breaker.trials) <= self.policy.max_requests + sum(
            lease.generation != self.breaker.generation for lease in self.breaker.trials
        )


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, derandomize=True)
