"""Guards for generator functions, sync and async: the iteration is the call.

It asks for its permit at the first step; it is a success when exhausted, a failure at an exception, ignored when closed early
(by `break`, `close()`, cancellation, or by the collector).  What the consumer sends or throws reaches the guarded generator.  The
time that the consumer takes between two steps is not the callee's: it is left out of the call's duration.  A trial is given up
after `trial_timeout` of silence, not of length: each step begins it anew.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import Any

from nodes.circuit.permit import CallPermit

Acquire = Callable[[], CallPermit]
End = Callable[[CallPermit, BaseException | None], None]
Clock = Callable[[], float]


def guard_generator(
    fn: Callable[..., Generator[Any, Any, Any]], acquire: Acquire, end: End, clock: Clock, *, measured: bool
) -> Callable[..., Generator[Any, Any, Any]]:
    """A generator function as `fn`, its iteration guarded; not `measured` when nobody looks at how long it took."""

    @wraps(fn)
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit = acquire()
        try:
            steps = fn(*args, **kwargs)
            followed = measured or permit.permit.trial
            result = yield from (_without_the_consumer(steps, permit, clock) if followed else steps)
        except BaseException as error:
            end(permit, error)
            raise
        end(permit, None)
        return result

    return guarded


def _without_the_consumer(steps: Generator[Any, Any, Any], permit: CallPermit, clock: Clock) -> Generator[Any, Any, Any]:
    """As `yield from steps`; the permit hears of each step and of the time that the consumer takes."""
    try:
        value = next(steps)
        while True:
            permit.go_on()
            left = clock()
            try:
                sent = yield value
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as thrown:
                permit.go_on(clock() - left)
                value = steps.throw(thrown)
            else:
                permit.go_on(clock() - left)
                value = steps.send(sent)
    except StopIteration as exhausted:
        return exhausted.value


def guard_async_generator(
    fn: Callable[..., AsyncGenerator[Any, Any]], acquire: Acquire, end: End, clock: Clock
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """An async generator function as `fn`, its iteration guarded; `yield from`, which would do most of it, is for others only."""

    @wraps(fn)
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        permit = acquire()
        try:
            steps = fn(*args, **kwargs)
            value = await anext(steps)
            while True:
                permit.go_on()
                left = clock()
                try:
                    sent = yield value
                except GeneratorExit:
                    await steps.aclose()
                    raise
                except BaseException as thrown:
                    permit.go_on(clock() - left)
                    value = await steps.athrow(thrown)
                else:
                    permit.go_on(clock() - left)
                    value = await steps.asend(sent)
        except StopAsyncIteration:
            end(permit, None)
        except BaseException as error:
            end(permit, error)
            raise

    return guarded
