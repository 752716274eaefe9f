"""A circuit breaker around calls in this process, by the engine's own rules.

The value of the breaker is replaced under a lock; the call itself and every callback run outside it.  Two short ways need
no lock: calls of a closed breaker with a clean run, and refusals of an open one.  A property test holds them to the rules.
"""

from __future__ import annotations

import inspect
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from nodes.circuit.permit import CallPermit
from nodes.circuit.recent import Recent
from nodes.circuit.rejection import CircuitOpenError, TooManyRequestsError
from nodes.circuit.ways import (
    BEGUN,
    GOOD,
    GRANT,
    OPENED_AT,
    OTHER,
    REFUSED,
    UNTIL,
    Shut,
    Way,
    counted,
    enter,
    enter_way,
    innermost,
    short_ways,
    take_out,
)
from nodes.engine import breaker as rules
from nodes.engine import snapshot as snapshots
from nodes.engine.breaker import Change, Refusal, Rejection, Shift
from nodes.engine.enums import Mode, Outcome, State
from nodes.engine.types import Breaker, BreakerPolicy, BreakerStats

P = ParamSpec("P")
R = TypeVar("R")
OnChange = Callable[["CircuitBreaker", State, State], object]

_log = logging.getLogger(__name__)
_DEFAULT = BreakerPolicy()
_NEW = Breaker()


_REJECTIONS = {Rejection.OPEN: CircuitOpenError, Rejection.TOO_MANY_REQUESTS: TooManyRequestsError}


_OPEN, _CLOSED = State.OPEN, State.CLOSED
_SUCCESS = Outcome.SUCCESS


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
        "_mark",
        "_on_change",
        "_recent",
        "_shut",
        "_value",
        "_wall_clock",
        "_way",
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
    ) -> None:
        rules.validate(policy)
        self.policy, self.name = policy, name
        self._clock, self._wall_clock, self._on_change, self._ignored = clock, wall_clock, on_change, ignored_exceptions
        self._lock = threading.Lock()
        self._mark = object()
        self._way: Way | None
        self._shut: Shut | None
        self._recent: Recent | None
        self._keep(_NEW)

    # Calls ----------------------------------------------------------------------------------------------------------

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` and count how it ends.  Raises `CallRejectedError`; what `fn` raises passes unchanged."""
        if (way := self._way) is None:
            now = self._clock()
            if (shut := self._shut) is not None and shut[OPENED_AT] <= now < shut[UNTIL]:
                shut[REFUSED] += 1
                raise CircuitOpenError(self.name, shut[UNTIL] - now)
            return self._call_slowly(fn, *args, **kwargs)
        way[BEGUN] += 1
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self._leave(way, error)
            raise
        if self._way is way:
            way[GOOD] += 1
        else:
            self._leave(way, None)
        return result

    def _call_slowly(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        permit = self.acquire()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self._end(permit, error)
            raise
        self._end(permit, None)
        return result

    async def call_async(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As `call`, for a coroutine function; a cancelled call is ignored."""
        if (way := self._way) is None:
            return await self._call_slowly_async(fn, *args, **kwargs)
        way[BEGUN] += 1
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self._leave(way, error)
            raise
        if self._way is way:
            way[GOOD] += 1
        else:
            self._leave(way, None)
        return result

    async def _call_slowly_async(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        permit = self.acquire()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self._end(permit, error)
            raise
        self._end(permit, None)
        return result

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function, sync or async; its signature stays."""
        if inspect.iscoroutinefunction(fn):

            @wraps(fn)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self.call_async(fn, *args, **kwargs)

            return guarded_async  # type: ignore[return-value]  # a coroutine function in, a coroutine function out

        @wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:  # as `call`, without another call
            if (way := self._way) is None:
                now = self._clock()
                if (shut := self._shut) is not None and shut[OPENED_AT] <= now < shut[UNTIL]:
                    shut[REFUSED] += 1
                    raise CircuitOpenError(self.name, shut[UNTIL] - now)
                return self._call_slowly(fn, *args, **kwargs)
            way[BEGUN] += 1
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._leave(way, error)
                raise
            if self._way is way:
                way[GOOD] += 1
            else:
                self._leave(way, None)
            return result

        return guarded

    def acquire(self) -> CallPermit:
        """Ask for leave to make one call, to be reported by the caller.  Raises `CallRejectedError`."""
        now = self._clock()
        if (way := self._way) is not None:
            way[BEGUN] += 1
            return CallPermit(self, way[GRANT], now, way)
        if (shut := self._shut) is not None and shut[OPENED_AT] <= now < shut[UNTIL]:
            shut[REFUSED] += 1
            raise CircuitOpenError(self.name, shut[UNTIL] - now)
        with self._lock:
            if (recent := self._recent) is not None:
                recent.begun += 1
                return CallPermit(self, recent.grant, now, recent)
            value, changes = rules.tick(self._drawn(), self.policy, now, jitter=self._chance())
            value, answer = rules.acquire(value, self.policy, now)
            self._keep(value)
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
            if (way := permit.way) is not None and self._taken(way, outcome, now, duration):
                return
            changes = self._count(permit.grant, outcome, now, duration)
        self._tell(changes)

    def _end(self, permit: CallPermit, error: BaseException | None) -> None:
        """End a call that this breaker made itself, and so could measure."""
        measured = self.policy.slow_call_duration is not None
        self.report(permit, self._outcome(error), self._clock() - permit.started if measured else None)

    def _leave(self, way: Way, error: BaseException | None) -> None:
        """End a call of a short way that failed, or that closed meanwhile."""
        now, outcome = self._clock(), self._outcome(error)
        with self._lock:
            way[OTHER] += 1
            changes = self._count(way[GRANT], outcome, now, None)
        self._tell(changes)

    def _taken(self, way: Way | Recent, outcome: Outcome, now: float, duration: float | None) -> bool:
        """Whether a short way has counted this end of a call.  With the lock held."""
        good = outcome is _SUCCESS
        if isinstance(way, Recent):
            return good and way is self._recent and way.take_good(now, duration)
        fits = good and way is self._way
        way[GOOD if fits else OTHER] += 1
        return fits

    def _count(self, permit: rules.Permit, outcome: Outcome, now: float, duration: float | None) -> tuple[Change, ...]:
        """With the lock held."""
        value, changes = rules.report(self._drawn(), self.policy, permit, outcome, now, jitter=self._chance(), duration=duration)
        self._keep(value)
        return changes

    def _outcome(self, error: BaseException | None) -> Outcome:
        """Whatever is no `Exception` (an interrupt, a cancellation) ends the caller, and tells nothing about the callee."""
        if error is None:
            return _SUCCESS
        if isinstance(error, self._ignored) or not isinstance(error, Exception):
            return Outcome.IGNORED
        return Outcome.FAILURE

    def __enter__(self) -> Self:
        outer = innermost()
        if (way := self._way) is None:
            enter((self.acquire(), outer))
            return self
        way[BEGUN] += 1
        if outer is not way:
            enter_way(way, outer)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        way = self._way
        if way is not None and innermost() is way and error is None:
            way[GOOD] += 1
            return
        entry = take_out(self, self._mark)
        if type(entry) is CallPermit:
            self._end(entry, error)
        elif error is None and way is not None and entry is way:
            way[GOOD] += 1
        else:
            self._leave(entry, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    # The value --------------------------------------------------------------------------------------------------------

    def _drawn(self) -> Breaker:
        """The value with what the short ways counted; they end here, before they are read.  With the lock held."""
        way, shut, recent = self._way, self._shut, self._recent
        self._way = self._shut = self._recent = None
        return counted(self._value, way, shut, recent)

    def _counted(self) -> Breaker:
        """The value with what the short ways counted so far.  With the lock held."""
        return counted(self._value, self._way, self._shut, self._recent)

    def _keep(self, value: Breaker) -> None:
        """Take a value, and open the short way that its state allows.  With the lock held."""
        self._value = value
        self._way, self._shut, self._recent = short_ways(value, self.policy, self._mark)

    # Looking --------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The computed state; asking changes nothing, and an open breaker whose wait has passed reads half-open."""
        if self._way is not None:
            return _CLOSED
        if (shut := self._shut) is not None and self._clock() < shut[UNTIL]:
            return _OPEN
        return _CLOSED if self._recent is not None else self._seen().state

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
        with self._lock:
            value = self._counted()
        return rules.tick(value, self.policy, self._clock())[0]

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
            value, changes = rules.tick(self._drawn(), self.policy, now, jitter=self._chance())
            value, more = rules.reset(value, now)
            self._keep(value)
        self._tell(changes + more)

    def _force(self, mode: Mode, reason: str, owner: str, expires: float | None) -> None:
        now = self._clock()
        with self._lock:
            value, changes = rules.tick(self._drawn(), self.policy, now, jitter=self._chance())
            self._keep(rules.force(value, mode, reason, owner, None if expires is None else now + expires, now))
        self._tell(changes)

    # Beyond this process --------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The breaker as a JSON-able mapping, with remaining seconds and the wall time of now."""
        with self._lock:
            value = self._counted()
        return snapshots.take(value, self.policy, self._clock(), self._wall_clock())

    @classmethod
    def restore(cls, policy: BreakerPolicy, snapshot: Mapping[str, Any], **options: Any) -> Self:
        """The breaker of a snapshot under `policy`; `options` as for a new one."""
        breaker = cls(policy, **options)
        breaker._keep(snapshots.restore(policy, snapshot, breaker._clock(), breaker._wall_clock()))
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
