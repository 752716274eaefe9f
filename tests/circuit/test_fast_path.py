"""The fast paths of a circuit breaker count what the rules would have counted, under threads as well."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.circuit import (
    BreakerPolicy,
    CallPermit,
    CallRejectedError,
    CircuitBreaker,
    CircuitOpenError,
    State,
    TooManyRequestsError,
)
from nodes.engine import breaker as rules
from nodes.engine import snapshot
from nodes.engine.breaker import Permit, Refusal, Rejection
from nodes.engine.enums import Mode, Outcome
from nodes.engine.types import Breaker

WALL = 1_000_000.0
POLICIES = (
    BreakerPolicy(failure_threshold=2, success_threshold=2, timeout=4.0, trial_timeout=8.0),
    BreakerPolicy(failure_threshold=1, success_threshold=1, timeout=2.0, max_requests=2, timeout_multiplier=2.0),
    BreakerPolicy(failure_threshold=None, failure_rate=0.5, window_calls=5, minimum_calls=3, timeout=4.0),
    BreakerPolicy(failure_threshold=3, failure_rate=0.5, window_seconds=10.0, minimum_calls=4, timeout=4.0),
    BreakerPolicy(slow_call_rate=0.5, slow_call_duration=2.0, window_calls=4, minimum_calls=2, timeout=4.0, timeout_multiplier=2.0),
    BreakerPolicy(
        failure_rate=0.6, slow_call_rate=0.5, slow_call_duration=2.0, window_seconds=20.0, minimum_calls=3, success_threshold=1
    ),
)
# How a call of each outcome ends: without an exception or with one of these, the second kind by the word of a predicate.
ENDS: dict[Outcome, tuple[type[BaseException] | None, ...]] = {
    Outcome.SUCCESS: (None, KeyError),
    Outcome.FAILURE: (ValueError, None),
    Outcome.IGNORED: (KeyboardInterrupt, EOFError),
}
BAD = "a bad result"
WITH_RESULT = ("call", "guard", "async")
FORMS = (*WITH_RESULT, "with", "async with", "generator", "async generator")
REFUSALS = {Rejection.OPEN: CircuitOpenError, Rejection.TOO_MANY_REQUESTS: TooManyRequestsError}
STEPS = {"call": 12, "take": 2, "end": 2, "wait": 5, "force": 1, "reset": 1}  # a step and its weight


def steps(seed: int) -> Iterator[tuple[Any, ...]]:
    """A hundred steps that chance drew; hypothesis draws lists too short to bring a breaker through all its states."""
    chance = Random(seed)
    for step in chance.choices(list(STEPS), list(STEPS.values()), k=100):
        if step == "call":
            yield step, chance.choice(FORMS), chance.choice([Outcome.SUCCESS, *Outcome]), chance.choice([0, 0, 1, 4])
        elif step == "end":
            yield step, chance.choice(list(Outcome)), chance.choice([0, 1, 4])
        elif step == "wait":
            yield step, chance.choice([1, 2, 4, 8, 16, 16, -3])
        elif step == "force":
            yield step, chance.choice(list(Mode))
            yield "call", chance.choice(FORMS), chance.choice(list(Outcome)), 0
            yield "force", Mode.AUTO
        else:
            yield (step,)


def through(breaker: CircuitBreaker, form: str, work: Callable[[], str]) -> None:
    """One call in one of the forms."""

    async def work_async() -> str:
        return work()

    def steps() -> Iterator[int]:
        yield 1
        work()

    async def steps_async() -> AsyncIterator[int]:
        yield 1
        work()

    async def block() -> None:
        async with breaker:
            work()

    async def exhaust() -> None:
        async for _ in breaker(steps_async)():
            pass

    def block_sync() -> None:
        with breaker:
            work()

    forms: dict[str, Callable[[], object]] = {
        "call": lambda: breaker.call(work),
        "guard": breaker(work),
        "with": block_sync,
        "generator": lambda: list(breaker.call(steps)),
        "async": lambda: _drive(breaker.call_async(work_async)),
        "async with": lambda: _drive(block()),
        "async generator": lambda: _drive(exhaust()),
    }
    forms[form]()


class Twin:
    """One breaker by its fast paths, one by the rules alone, with one clock."""

    def __init__(self, policy: BreakerPolicy, predicates: bool) -> None:
        self.now, self.policy, self.value, self.predicates = 100.0, policy, Breaker(), predicates
        self.failures: list[BaseException | None] = [None]
        options: dict[str, Any] = {}
        if predicates:
            options["ignored_exceptions"] = (EOFError,)
            options["failure_if"] = lambda error: not isinstance(error, KeyError)
            options["failure_if_result"] = lambda result: result is BAD
        self.breaker = CircuitBreaker(policy, clock=lambda: self.now, wall_clock=lambda: WALL + self.now, **options)
        self.kept: list[tuple[CallPermit, Permit, float]] = []

    def call(self, form: str, outcome: Outcome, took: float) -> None:
        self.value, answer = self._asked()
        started = self.now
        end = ENDS[outcome][self.predicates and (form in WITH_RESULT or outcome != Outcome.FAILURE)]
        raised: BaseException | None = None
        try:
            self._run(form, end, BAD if outcome == Outcome.FAILURE else "good", took)
        except BaseException as error:
            raised = error
        if isinstance(answer, Refusal):
            self._check(answer, raised)
            return
        assert (None if raised is None else type(raised)) is end
        self._report(answer, outcome, self.now - started)
        if outcome == Outcome.FAILURE:
            self.failures.append(raised)

    def _run(self, form: str, end: type[BaseException] | None, result: str, took: float) -> None:
        def work() -> str:
            self.now += took
            if end is not None:
                raise end
            return result

        through(self.breaker, form, work)

    def _check(self, answer: Refusal, raised: BaseException | None) -> None:
        """The refusal says what the rules say, and names a failure that the breaker saw, if any."""
        assert isinstance(raised, REFUSALS[answer.cause])
        assert raised.retry_after == answer.retry_after
        assert any(raised.__cause__ is failure for failure in self.failures)

    def take(self) -> None:
        self.value, answer = self._asked()
        try:
            permit = self.breaker.acquire()
        except CallRejectedError as error:
            assert isinstance(answer, Refusal)
            self._check(answer, error)
        else:
            assert isinstance(answer, Permit)
            self.kept.append((permit, answer, self.now))

    def end(self, outcome: Outcome, took: float) -> None:
        if not self.kept:
            return
        permit, grant, _ = self.kept.pop(0)
        ends = {Outcome.SUCCESS: permit.success, Outcome.FAILURE: permit.failure}
        if outcome == Outcome.IGNORED:
            permit.ignore()
        else:
            ends[outcome](took)
        self._report(grant, outcome, None if outcome == Outcome.IGNORED else took)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def force(self, mode: Mode) -> None:
        acts = {
            Mode.AUTO: self.breaker.auto,
            Mode.FORCED_OPEN: lambda: self.breaker.force_open("test"),
            Mode.FORCED_CLOSED: lambda: self.breaker.force_close("test"),
            Mode.METRICS_ONLY: lambda: self.breaker.metrics_only("test"),
        }
        acts[mode]()
        value, _ = rules.tick(self.value, self.policy, self.now)
        self.value = rules.force(value, mode, "" if mode == Mode.AUTO else "test", "", None, self.now)

    def reset(self) -> None:
        self.breaker.reset()
        value, _ = rules.tick(self.value, self.policy, self.now)
        self.value, _ = rules.reset(value, self.now)

    def _asked(self) -> tuple[Breaker, Permit | Refusal]:
        value, _ = rules.tick(self.value, self.policy, self.now)
        return rules.acquire(value, self.policy, self.now)

    def _report(self, grant: Permit, outcome: Outcome, duration: float | None) -> None:
        self.value, _ = rules.report(self.value, self.policy, grant, outcome, self.now, duration=duration)


def _drive(coroutine: object) -> None:
    """Run a coroutine that waits for nothing, without the cost of a loop."""
    with suppress(StopIteration):
        coroutine.send(None)  # type: ignore[attr-defined]  # a coroutine


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(POLICIES), st.booleans(), st.integers(0, 2**32))
def test_fast_paths_equal_the_rules(policy: BreakerPolicy, predicates: bool, seed: int) -> None:
    twin = Twin(policy, predicates)
    for name, *arguments in steps(seed):
        getattr(twin, name)(*arguments)
        assert twin.breaker.state == rules.tick(twin.value, policy, twin.now)[0].state
        assert twin.breaker.snapshot() == snapshot.take(twin.value, policy, twin.now, WALL + twin.now)


@contextmanager
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_no_count_is_lost_however_threads_take_turns() -> None:
    breaker = CircuitBreaker()

    def caller(_: int) -> None:
        for _ in range(4_000):
            breaker.call(int)
            with breaker:
                pass

    with hasty_threads(), ThreadPoolExecutor(6) as pool:
        list(pool.map(caller, range(6)))
    assert (breaker.stats.total, breaker.stats.successful, breaker.stats.in_flight) == (48_000, 48_000, 0)


@pytest.mark.parametrize("policy", [BreakerPolicy(timeout=0.0), BreakerPolicy(failure_rate=0.9, window_calls=20, timeout=0.0)])
def test_statistics_add_up_while_threads_open_and_close_it(policy: BreakerPolicy) -> None:
    breaker = CircuitBreaker(policy)

    def caller(number: int) -> None:
        for turn in range(600):
            with suppress(ZeroDivisionError, CallRejectedError), breaker:
                assert turn // (turn % (7 + number)) >= 0

    with hasty_threads(), ThreadPoolExecutor(6) as pool:
        list(pool.map(caller, range(6)))
    stats = breaker.stats
    assert stats.total == 6 * 600
    assert stats.in_flight == 0


def test_a_call_begun_before_the_breaker_opened_is_late() -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1))
    with breaker:
        with pytest.raises(ValueError), breaker:
            raise ValueError
        assert breaker.state == State.OPEN
    assert (breaker.stats.late, breaker.stats.successful, breaker.stats.failed) == (1, 0, 1)


def test_blocks_around_a_closing_are_told_apart() -> None:
    """The outer block entered an older generation than the inner one."""
    now = [0.0]
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1, timeout=1.0, success_threshold=1), clock=lambda: now[0])
    with suppress(KeyError), breaker:
        with pytest.raises(ValueError), breaker:
            raise ValueError
        now[0] = 1.0
        with breaker:
            pass
        assert breaker.state == State.CLOSED
        with breaker:
            pass
        raise KeyError
    assert (breaker.state, breaker.stats.late, breaker.stats.successful) == (State.CLOSED, 1, 2)


def test_a_block_left_in_another_context_is_an_error_that_says_what_to_do() -> None:
    breaker = CircuitBreaker()
    Context().run(breaker.__enter__)
    with pytest.raises(RuntimeError, match="use acquire"):
        Context().run(breaker.__exit__, None, None, None)


async def test_tasks_that_begin_inside_a_block_have_entries_of_their_own() -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=10))

    async def child(fails: bool) -> None:
        async with breaker:
            await asyncio.sleep(0)
            if fails:
                raise ValueError

    async with breaker:
        await asyncio.gather(*(child(number % 2 == 0) for number in range(6)), return_exceptions=True)
    assert (breaker.stats.successful, breaker.stats.failed, breaker.stats.in_flight) == (4, 3, 0)


def test_a_breaker_that_nobody_holds_goes_away_though_its_blocks_were_used() -> None:
    breaker = CircuitBreaker()
    with breaker:
        pass
    gone = weakref.ref(breaker)
    del breaker
    gc.collect()
    assert gone() is None


def test_refusals_leave_nothing_behind() -> None:
    breaker = CircuitBreaker(BreakerPolicy(failure_threshold=1))
    with pytest.raises(ValueError), breaker:
        raise ValueError

    def refusals(times: int) -> None:
        for _ in range(times):
            with suppress(CircuitOpenError):
                breaker.call(int)

    refusals(100)
    gc.collect()
    before = sys.getallocatedblocks()
    refusals(20_000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 50
    assert breaker.stats.rejected == 20_100


def test_no_lock_is_held_during_a_call() -> None:
    """Two calls are inside at the same time, also while half-open and with a window."""
    for policy in (BreakerPolicy(), BreakerPolicy(failure_rate=0.5, window_calls=10)):
        breaker, both = CircuitBreaker(policy), threading.Barrier(2, timeout=10)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _, each=breaker, gate=both: each.call(gate.wait), range(2)))
        assert breaker.stats.successful == 2


def test_importing_it_loads_no_framework_and_no_network() -> None:
    code = "import sys, nodes.circuit; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "django",
        "celery",
        "channels",
        "kombu",
        "psycopg",
        "redis",
        "asgiref",
        "socket",
        "ssl",
        "asyncio",
        "http",
        "urllib.request",
    }
    assert not heavy & set(loaded)
    assert {name for name in loaded if name.startswith("nodes.")} <= {
        name for name in loaded if name.startswith(("nodes.circuit", "nodes.engine"))
    }
