"""A circuit breaker around calls in this process, by the engine's own rules: `call`, `call_async`, decorator, `with`.

No lock is held during the call.  `call`, `call_async` and the decorator write the fast path out each, because one more function
around it would make a refusal cost more than half of what others take.  No call stands between reading the counts of a fast path
and adding to them, so that no other thread can draw them in between.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from nodes.circuit.blocks import enter, enter_calls, innermost, take_out
from nodes.circuit.deferred import DEFERRED_TYPES, is_deferred
from nodes.circuit.fast_path import ClosedCalls
from nodes.circuit.permit import CallPermit
from nodes.circuit.rejection import CallRejectedError, CircuitOpenError
from nodes.circuit.state import BreakerState
from nodes.circuit.streams import guard_async_generator, guard_generator
from nodes.engine.enums import Outcome

P = ParamSpec("P")
R = TypeVar("R")


class CircuitBreaker(BreakerState):
    """Lets calls through while they succeed; see `BreakerPolicy` for when it opens and how it heals.

    `on_change(breaker, before, after)` hears each change of state with two `State`s, and each mode that is set or ends with two
    `Mode`s; what time alone does is heard at the next call.  `ignored_exceptions` move no counter; an exception is a failure unless
    `failure_if(exception)` is false, which makes it a success; a result is a failure if `failure_if_result(result)` is true.
    Raises `PolicyError` for a policy that cannot work.
    """

    __slots__ = ()

    # Calls ----------------------------------------------------------------------------------------------------------

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` and count how it ends.  Raises `CallRejectedError`; what `fn` raises passes unchanged.

        What a generator function or a coroutine function returns is guarded while it is iterated or awaited.
        """
        entry: ClosedCalls | CallPermit
        if (calls := self._calls) is not None:
            calls.begun += 1
            entry = calls
        else:
            now = self._clock()
            if (
                (refusals := self._refusals) is not None
                and now < refusals.until
                and now >= refusals.since
                and (fn is refusals.plain or (refusals.is_plain(fn) and refusals is self._refusals))
            ):
                refusals.count += 1
                raise CircuitOpenError(self.name, refusals.until - now) from self._last_failure
            if is_deferred(fn):
                return self(fn)(*args, **kwargs)
            entry = self._admit(now)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            self._end(entry, error)
            raise
        if type(result) in DEFERRED_TYPES or self._looks_at_results or self._calls is not entry:
            return self._came_back(entry, result, fn)
        entry.good += 1
        return result

    async def call_async(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As `call`, for a coroutine function; a cancelled call is ignored."""
        entry: ClosedCalls | CallPermit
        if (calls := self._calls) is not None:
            calls.begun += 1
            entry = calls
        else:
            entry = self._admit(self._clock())
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            self._end(entry, error)
            raise
        if type(result) in DEFERRED_TYPES or self._looks_at_results or self._calls is not entry:
            return self._came_back(entry, result)
        entry.good += 1
        return result

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function, a coroutine function, a generator function or an async generator function; its signature stays."""
        guarded: Any
        if inspect.iscoroutinefunction(fn):

            @wraps(fn)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self.call_async(fn, *args, **kwargs)

        elif inspect.isgeneratorfunction(fn):
            guarded = guard_generator(fn, self.acquire, self._end, self._clock, measured=self._measures)
        elif inspect.isasyncgenfunction(fn):
            guarded = guard_async_generator(fn, self.acquire, self._end, self._clock)
        else:
            guarded = self._guard_function(fn)
        return guarded  # type: ignore[no-any-return]  # a function of the same kind as `fn`

    def _guard_function(self, fn: Callable[P, R]) -> Callable[P, R]:
        """As `call`, without a call more."""
        clock = self._clock

        @wraps(fn)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            entry: ClosedCalls | CallPermit
            if (calls := self._calls) is not None:
                calls.begun += 1
                entry = calls
            else:
                now = clock()
                if (refusals := self._refusals) is not None and now < refusals.until and now >= refusals.since:
                    refusals.count += 1
                    raise CircuitOpenError(self.name, refusals.until - now) from self._last_failure
                entry = self._admit(now)
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._end(entry, error)
                raise
            if type(result) in DEFERRED_TYPES or self._looks_at_results or self._calls is not entry:
                return self._came_back(entry, result)
            entry.good += 1
            return result

        return guarded

    def _came_back(self, entry: ClosedCalls | CallPermit, result: R, fn: object = None) -> R:
        """End a call that raised nothing; gives what its caller is to get.

        A generator or coroutine has not run yet, and is guarded when it does.  Until then there was no call if `fn` does nothing
        else; a plain function did something that says nothing about the rest, so that its call is ignored.
        """
        if type(result) not in DEFERRED_TYPES:
            outcome = self._outcomes.of(None, result) if self._looks_at_results else Outcome.SUCCESS
            self._finish(entry, outcome)
            return result
        if isinstance(entry, ClosedCalls) and is_deferred(fn):
            self._withdraw(entry)
        else:
            self._finish(entry, Outcome.IGNORED)
        later: Any = lambda: result  # noqa: E731 - one expression
        if type(result) is GeneratorType:
            guarded = guard_generator(later, self.acquire, self._end, self._clock, measured=self._measures)
            return guarded()  # type: ignore[return-value]  # R is a generator
        if type(result) is AsyncGeneratorType:
            return guard_async_generator(later, self.acquire, self._end, self._clock)()  # type: ignore[return-value]  # as above
        return self._awaited(result, later)  # type: ignore[return-value]  # R is a coroutine

    async def _awaited(self, result: Any, later: Callable[[], Any]) -> Any:
        """Guard a coroutine that was made already; one that is refused is closed, for nobody will await it."""
        try:
            return await self.call_async(later)
        except CallRejectedError:
            result.close()
            raise

    def _end(self, entry: ClosedCalls | CallPermit, error: BaseException | None) -> None:
        """End a call that raised `error`, or nothing and has no result to look at."""
        self._finish(entry, self._outcomes.of(error), error)

    @property
    def _measures(self) -> bool:
        """Whether it matters how long a call takes."""
        return self.policy.slow_call_duration is not None

    def __enter__(self) -> Self:
        outer = innermost()
        if (calls := self._calls) is None:
            enter((self._admit(self._clock()), outer))
            return self
        calls.begun += 1
        if outer is not calls:
            enter_calls(calls, outer)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        entered = innermost()
        if (calls := self._calls) is not None and entered is calls and error is None:
            calls.good += 1
            return
        self._end(take_out(self, self._mark), error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)
