"""The state of a breaker in this process: permits and reports, reading it, forced modes, snapshots.

The engine's value is replaced under a lock; `on_change` is called without it.  Beside the value a fast path may count, see
`fast_path.py`: its counts join the value before anything else happens to it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

from nodes.circuit.fast_path import ClosedCalls, Refusals, counted, fast_path
from nodes.circuit.outcomes import PLAIN, FailureIf, FailureIfResult, Outcomes
from nodes.circuit.permit import CallPermit
from nodes.circuit.rejection import CircuitOpenError, TooManyRequestsError
from nodes.circuit.window_counts import WindowCounts
from nodes.engine import breaker as rules
from nodes.engine import snapshot as snapshots
from nodes.engine.breaker import Change, Refusal, Rejection, Shift
from nodes.engine.enums import Mode, Outcome, State
from nodes.engine.types import Breaker, BreakerPolicy, BreakerStats
from nodes.engine.window import tally

OnChange = Callable[[Any, State | Mode, State | Mode], object]  # the breaker, before, after
Changes = tuple[Change, ...]

_log = logging.getLogger(__name__)
_DEFAULT = BreakerPolicy()
_NEW = Breaker()
_REJECTIONS = {Rejection.OPEN: CircuitOpenError, Rejection.TOO_MANY_REQUESTS: TooManyRequestsError}
_OPEN, _CLOSED = State.OPEN, State.CLOSED


class BreakerState:
    """What all forms of guarding a call share; see `CircuitBreaker`."""

    __slots__ = (
        "__weakref__",
        "_calls",
        "_clock",
        "_ignored_ends",
        "_last_failure",
        "_lock",
        "_looks_at_results",
        "_mark",
        "_on_change",
        "_outcomes",
        "_refusals",
        "_value",
        "_wall_clock",
        "_window",
        "name",
        "policy",
    )

    def __init__(
        self,
        policy: BreakerPolicy = _DEFAULT,
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        on_change: OnChange | None = None,
        ignored_exceptions: tuple[type[BaseException], ...] = (),
        failure_if: FailureIf | None = None,
        failure_if_result: FailureIfResult | None = None,
    ) -> None:
        rules.validate(policy)
        self.policy, self.name = policy, name
        self._clock, self._wall_clock, self._on_change = clock, wall_clock, on_change
        plain = not ignored_exceptions and failure_if is None and failure_if_result is None
        self._outcomes = PLAIN if plain else Outcomes(name, ignored_exceptions, failure_if, failure_if_result)
        self._looks_at_results = failure_if_result is not None
        self._lock = threading.Lock()
        self._mark = object()
        self._last_failure: BaseException | None = None
        self._ignored_ends: list[rules.Permit] = []  # reported and not yet counted, see `_ignore`
        self._calls: ClosedCalls | None
        self._refusals: Refusals | None
        self._window: WindowCounts | None
        self._keep(_NEW)

    # Permits and reports --------------------------------------------------------------------------------------------

    def acquire(self) -> CallPermit:
        """Ask for leave to make one call, to be reported by the caller.  Raises `CallRejectedError`."""
        return self._admit(self._clock())

    def _admit(self, now: float) -> CallPermit:
        if (calls := self._calls) is not None:
            calls.begun += 1
            return CallPermit(self, calls.permit, now, calls)
        if (refusals := self._refusals) is not None and refusals.since <= now < refusals.until:
            refusals.count += 1
            raise CircuitOpenError(self.name, refusals.until - now) from self._last_failure
        with self._lock:
            if (window := self._window) is not None:
                window.begun += 1
                return CallPermit(self, window.permit, now, window)
            value, changes = self._ticked(now)
            value, answer = rules.acquire(value, self.policy, now)
            self._keep(value)
        self._tell(changes)
        if isinstance(answer, Refusal):
            raise _REJECTIONS[answer.cause](self.name, answer.retry_after) from self._last_failure
        return CallPermit(self, answer, now)

    def report(
        self, permit: CallPermit, outcome: Outcome, duration: float | None = None, error: BaseException | None = None
    ) -> None:
        """End a call of this breaker, `duration` in seconds; `CallPermit` has a method for each outcome."""
        if permit.reported:  # no thread comes between this look and the next line
            return
        permit.reported = True
        self._report(permit.permit, permit.counts, outcome, duration, error)

    def renew(self, permit: CallPermit) -> None:
        """A trial goes on: it is given up `trial_timeout` from now."""
        now = self._clock()
        with self._lock:
            value, changes = self._ticked(now)
            self._keep(rules.renew(value, self.policy, permit.permit, now))
        self._tell(changes)

    def _finish(self, entry: ClosedCalls | CallPermit, outcome: Outcome, error: BaseException | None = None) -> None:
        """End a call that this breaker made itself, and so could measure."""
        if isinstance(entry, ClosedCalls):
            self._report(entry.permit, entry, outcome, None, error)
        elif self.policy.slow_call_duration is not None:
            self.report(entry, outcome, self._clock() - entry.started, error)
        else:
            self.report(entry, outcome, None, error)

    def _report(
        self,
        permit: rules.Permit,
        counts: ClosedCalls | WindowCounts | None,
        outcome: Outcome,
        duration: float | None,
        error: BaseException | None,
    ) -> None:
        now = self._clock()
        if outcome is Outcome.IGNORED:
            self._ignore(permit, counts, now)
            return
        with self._lock:
            if self._took(counts, outcome, now, duration):
                return
            if outcome is Outcome.FAILURE:
                self._last_failure = error
            value, changes = self._drawn(now)
            value, more = rules.report(value, self.policy, permit, outcome, now, jitter=self._chance(), duration=duration)
            self._keep(value)
        self._tell(changes + more)

    def _ignore(self, permit: rules.Permit, counts: ClosedCalls | WindowCounts | None, now: float) -> None:
        """Never waits for the lock: a generator that the collector closes may end in a thread that holds it."""
        if isinstance(counts, ClosedCalls):
            counts.other += 1
        self._ignored_ends.append(permit)
        if not self._lock.acquire(blocking=False):
            return  # it is counted with the next change
        try:
            value, changes = self._drawn(now)
            self._keep(value)
        finally:
            self._lock.release()
        self._tell(changes)

    def _took(self, counts: ClosedCalls | WindowCounts | None, outcome: Outcome, now: float, duration: float | None) -> bool:
        """Whether a fast path has counted this end of a call.  With the lock held."""
        good = outcome is Outcome.SUCCESS
        if isinstance(counts, WindowCounts):
            return good and counts is self._window and counts.take_good(now, duration)
        if counts is None:
            return False
        if good and counts is self._calls:
            counts.good += 1
            return True
        counts.other += 1
        return False

    def _withdraw(self, calls: ClosedCalls) -> None:
        """Take back a call of the fast path, which turned out to be none yet."""
        now = self._clock()
        with self._lock:
            value, changes = self._drawn(now)
            calls.other += 1
            self._keep(replace(value, stats=replace(value.stats, total=value.stats.total - 1)))
        self._tell(changes)

    # The value --------------------------------------------------------------------------------------------------------

    def _drawn(self, now: float) -> tuple[Breaker, Changes]:
        """The value with what was counted beside it; the fast paths end here, before they are read.  With the lock held."""
        calls, refusals, window = self._calls, self._refusals, self._window
        self._calls = self._refusals = self._window = None
        value = counted(self._value, calls, refusals, window)
        changes: Changes = ()
        while self._ignored_ends:
            permit = self._ignored_ends.pop()
            value, more = rules.report(value, self.policy, permit, Outcome.IGNORED, now, jitter=self._chance())
            changes += more
        return value, changes

    def _ticked(self, now: float) -> tuple[Breaker, Changes]:
        """As `_drawn`, and with what time alone has done until now.  With the lock held."""
        value, changes = self._drawn(now)
        value, more = rules.tick(value, self.policy, now, jitter=self._chance())
        return value, changes + more

    def _keep(self, value: Breaker) -> None:
        """Take a value, and open the fast path that its state allows.  With the lock held."""
        self._value = value
        if self._last_failure is not None and self._is_clean(value):
            self._last_failure = None  # it holds the frames that it passed through
        self._calls, self._refusals, self._window = fast_path(value, self.policy, self._mark)

    def _is_clean(self, value: Breaker) -> bool:
        """Whether nothing that could open the breaker has been counted."""
        return value.state is _CLOSED and not value.failures and not tally(value.window, self.policy, self._clock()).failed

    # Reading --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The computed state; asking changes nothing, and an open breaker whose wait has passed reads half-open."""
        if self._calls is not None:
            return _CLOSED
        if (refusals := self._refusals) is not None and self._clock() < refusals.until:
            return _OPEN
        return _CLOSED if self._window is not None else self._seen().state

    @property
    def effective(self) -> State:
        """What callers meet: the computed state, unless a mode overrules it."""
        return rules.effective(self._seen())

    @property
    def mode(self) -> Mode:
        return self._seen().mode

    @property
    def stats(self) -> BreakerStats:
        return self._seen().stats

    def _seen(self) -> Breaker:
        return rules.tick(self._counted(), self.policy, self._clock())[0]

    def _counted(self) -> Breaker:
        """The value with what the fast paths counted so far, which go on."""
        with self._lock:
            value = counted(self._value, self._calls, self._refusals, self._window)
            for permit in tuple(self._ignored_ends):
                value, _ = rules.report(value, self.policy, permit, Outcome.IGNORED, self._clock())
        return value

    # Forced modes ---------------------------------------------------------------------------------------------------

    def force_open(self, reason: str, *, owner: str = "", expires: float | None = None) -> None:
        """Refuse every call, for `expires` seconds or until `auto`; it never times out by itself."""
        self._force(Mode.FORCED_OPEN, reason, owner, expires)

    def force_close(self, reason: str, *, owner: str = "", expires: float | None = None) -> None:
        """Admit every call, for `expires` seconds or until `auto`; statistics go on."""
        self._force(Mode.FORCED_CLOSED, reason, owner, expires)

    def metrics_only(self, reason: str, *, owner: str = "", expires: float | None = None) -> None:
        """Admit every call and let the computed state move, to see what the policy would do."""
        self._force(Mode.METRICS_ONLY, reason, owner, expires)

    def auto(self) -> None:
        """End a forced mode: the computed state rules again."""
        self._force(Mode.AUTO, "", "", None)

    def reset(self) -> None:
        """Close the breaker and forget its counts; mode and statistics stay."""
        now = self._clock()
        with self._lock:
            value, changes = self._ticked(now)
            value, more = rules.reset(value, now)
            self._keep(value)
        self._tell(changes + more)

    def _force(self, mode: Mode, reason: str, owner: str, expires: float | None) -> None:
        now = self._clock()
        until = None if expires is None else now + expires
        rules.force(_NEW, mode, reason, owner, until, now)  # what it refuses is refused before anything has changed
        with self._lock:
            value, changes = self._ticked(now)
            self._keep(rules.force(value, mode, reason, owner, until, now))
        self._tell(changes)
        if value.mode is not mode:
            self._hear(value.mode, mode)

    # Snapshots ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The breaker as a JSON-able mapping, with remaining seconds and the wall time of now."""
        return snapshots.take(self._counted(), self.policy, self._clock(), self._wall_clock())

    @classmethod
    def restore(cls, policy: BreakerPolicy, snapshot: Mapping[str, Any], **options: Any) -> Self:
        """The breaker of a snapshot under `policy`; `options` as for a new one."""
        breaker = cls(policy, **options)
        breaker._keep(snapshots.restore(policy, snapshot, breaker._clock(), breaker._wall_clock()))
        return breaker

    def _chance(self) -> float:
        return random.random() if self.policy.jitter else 0.0

    def _tell(self, changes: Changes) -> None:
        """Tell `on_change` of them, with no lock held."""
        for change in changes:
            if change.shift == Shift.MODE_ENDED:
                self._hear(change.mode, Mode.AUTO)
            else:
                self._hear(change.before, change.after)

    def _hear(self, before: State | Mode, after: State | Mode) -> None:
        """An `on_change` that raises is logged, for the call has ended as it has ended."""
        if self._on_change is None:
            return
        try:
            self._on_change(self, before, after)
        except Exception:
            _log.exception("on_change of circuit breaker %s failed", self.name)
