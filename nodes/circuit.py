"""A circuit breaker around calls in this process, by the engine's own rules.

The value of the breaker is replaced under a lock; the call itself and every callback run outside it.
"""

from __future__ import annotations

import inspect
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from nodes.engine import breaker as rules
from nodes.engine import snapshot as snapshots
from nodes.engine.breaker import Change, Refusal, Rejection, Shift
from nodes.engine.values import Breaker, BreakerPolicy, BreakerStats, Mode, Outcome, PolicyError, State

__all__ = [
    "BreakerPolicy",
    "BreakerStats",
    "CallPermit",
    "CallRejectedError",
    "CircuitBreaker",
    "CircuitOpenError",
    "Mode",
    "PolicyError",
    "State",
    "TooManyRequestsError",
]

P = ParamSpec("P")
R = TypeVar("R")
OnChange = Callable[["CircuitBreaker", State, State], object]

_log = logging.getLogger(__name__)


class CallRejectedError(Exception):
    """The breaker refused the call; `retry_after` is in seconds, None when only a person can tell."""

    def __init__(self, name: str, retry_after: float | None) -> None:
        super().__init__(name, retry_after)
        self.name = name
        self.retry_after = retry_after

    def __str__(self) -> str:
        again = "until a person lets it" if self.retry_after is None else f"for {self.retry_after:.3g} s"
        return f"circuit breaker {self.name or 'without a name'} {self._why} {again}"

    _why = "refuses calls"


class CircuitOpenError(CallRejectedError):
    """The breaker is open."""

    _why = "is open"


class TooManyRequestsError(CallRejectedError):
    """The breaker is half-open and as many trials run as it allows."""

    _why = "is half-open and has its trials in flight"


_REJECTIONS = {Rejection.OPEN: CircuitOpenError, Rejection.TOO_MANY_REQUESTS: TooManyRequestsError}


class CallPermit:
    """Leave for one call.  Report it once; what comes after the first report is dropped."""

    __slots__ = ("breaker", "grant", "reported", "started")

    def __init__(self, breaker: CircuitBreaker, grant: rules.Permit, started: float) -> None:
        self.breaker, self.grant, self.started, self.reported = breaker, grant, started, False

    def success(self, duration: float | None = None) -> None:
        """The call came back; `duration` in seconds, None when it was not measured."""
        self.breaker.report(self, Outcome.SUCCESS, duration)

    def failure(self, duration: float | None = None) -> None:
        """The call failed; `duration` as in `success`."""
        self.breaker.report(self, Outcome.FAILURE, duration)

    def ignore(self) -> None:
        """The call says nothing about the callee; a trial is given back."""
        self.breaker.report(self, Outcome.IGNORED)


# Permits of `with` blocks, innermost last: one breaker may be entered by many threads and tasks at once, and again inside itself.
_entered: ContextVar[tuple[CallPermit, ...]] = ContextVar("entered", default=())


class CircuitBreaker:
    """Lets calls through while they succeed; see `BreakerPolicy` for when it opens and how it heals.

    `on_change(breaker, before, after)` hears each change of state, outside the lock.  Raises `PolicyError` for a policy
    that cannot work.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_ignored",
        "_lock",
        "_on_change",
        "_value",
        "_wall_clock",
        "name",
        "policy",
    )

    def __init__(
        self,
        policy: BreakerPolicy = BreakerPolicy(),  # noqa: B008 - a frozen value
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        on_change: OnChange | None = None,
        ignored_exceptions: tuple[type[BaseException], ...] = (),
    ) -> None:
        rules.validate(policy)
        self.policy, self.name = policy, name
        self._clock, self._wall_clock, self._on_change, self._ignored = clock, wall_clock, on_change, ignored_exceptions
        self._lock = threading.Lock()
        self._value = Breaker()

    # Calls ----------------------------------------------------------------------------------------------------------

    def call(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` and count how it ends.  Raises `CallRejectedError`; what `fn` raises passes unchanged."""
        permit = self.acquire()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self._end(permit, self._outcome(error))
            raise
        self._end(permit, Outcome.SUCCESS)
        return result

    async def call_async(self, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `call`, for a coroutine function; a cancelled call is ignored."""
        permit = self.acquire()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self._end(permit, self._outcome(error))
            raise
        self._end(permit, Outcome.SUCCESS)
        return result

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function, sync or async; its signature stays."""
        if inspect.iscoroutinefunction(fn):

            @wraps(fn)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self.call_async(fn, *args, **kwargs)

            return guarded_async  # type: ignore[return-value]  # a coroutine function in, a coroutine function out

        @wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.call(fn, *args, **kwargs)

        return guarded

    def acquire(self) -> CallPermit:
        """Ask for leave to make one call, to be reported by the caller.  Raises `CallRejectedError`."""
        now = self._clock()
        with self._lock:
            value, changes = rules.tick(self._value, self.policy, now, jitter=self._chance())
            self._value, answer = rules.acquire(value, self.policy, now)
        self._tell(changes)
        if isinstance(answer, Refusal):
            raise _REJECTIONS[answer.cause](self.name, answer.retry_after)
        return CallPermit(self, answer, now)

    def report(self, permit: CallPermit, outcome: Outcome, duration: float | None = None) -> None:
        """End a call of this breaker, `duration` in seconds; `CallPermit` has a method for each outcome."""
        now = self._clock()
        with self._lock:
            if permit.reported:
                return
            permit.reported = True
            self._value, changes = rules.report(
                self._value, self.policy, permit.grant, outcome, now, jitter=self._chance(), duration=duration
            )
        self._tell(changes)

    def _end(self, permit: CallPermit, outcome: Outcome) -> None:
        """End a call that this breaker made itself, and so could measure."""
        measured = self.policy.slow_call_duration is not None
        self.report(permit, outcome, self._clock() - permit.started if measured else None)

    def _outcome(self, error: BaseException | None) -> Outcome:
        """Whatever is no `Exception` (an interrupt, a cancellation) ends the caller, and tells nothing about the callee."""
        if error is None:
            return Outcome.SUCCESS
        if isinstance(error, self._ignored) or not isinstance(error, Exception):
            return Outcome.IGNORED
        return Outcome.FAILURE

    def __enter__(self) -> Self:
        _entered.set((*_entered.get(), self.acquire()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        held = _entered.get()
        permit = next(each for each in reversed(held) if each.breaker is self)
        _entered.set(tuple(each for each in held if each is not permit))
        self._end(permit, self._outcome(error))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    # Looking --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The computed state; asking changes nothing, and an open breaker whose wait has passed reads half-open."""
        return self._seen().state

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
        return rules.tick(self._value, self.policy, self._clock())[0]

    # A person's hand ------------------------------------------------------------------------------------------------

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
        """Give the breaker back to its own counts."""
        self._force(Mode.AUTO, "", "", None)

    def reset(self) -> None:
        """Close the breaker and forget its counts; mode and statistics stay."""
        now = self._clock()
        with self._lock:
            value, changes = rules.tick(self._value, self.policy, now, jitter=self._chance())
            self._value, more = rules.reset(value, now)
        self._tell(changes + more)

    def _force(self, mode: Mode, reason: str, owner: str, expires: float | None) -> None:
        now = self._clock()
        with self._lock:
            value, changes = rules.tick(self._value, self.policy, now, jitter=self._chance())
            self._value = rules.force(value, mode, reason, owner, None if expires is None else now + expires, now)
        self._tell(changes)

    # Beyond this process --------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The breaker as a JSON-able mapping, with remaining seconds and the wall time of now."""
        return snapshots.take(self._value, self.policy, self._clock(), self._wall_clock())

    @classmethod
    def restore(cls, policy: BreakerPolicy, snapshot: Mapping[str, Any], **options: Any) -> Self:
        """The breaker of a snapshot under `policy`; `options` as for a new one."""
        breaker = cls(policy, **options)
        breaker._value = snapshots.restore(policy, snapshot, breaker._clock(), breaker._wall_clock())
        return breaker

    def _chance(self) -> float:
        return random.random() if self.policy.jitter else 0.0

    def _tell(self, changes: tuple[Change, ...]) -> None:
        """Callbacks run with no lock held; one that raises is logged, for the call has ended as it has ended."""
        if self._on_change is None:
            return
        for change in changes:
            if change.shift == Shift.MODE_ENDED:
                continue
            try:
                self._on_change(self, change.before, change.after)
            except Exception:
                _log.exception("on_change of circuit breaker %s failed", self.name)
