"""The exceptions with which a breaker refuses a call."""

from __future__ import annotations

from typing import TYPE_CHECKING


class CallRejectedError(Exception):
    """The breaker refused the call; `retry_after` is in seconds, None when only a person can tell.

    Its `__cause__` is the exception of the last call that failed, None when that failed without one.
    """

    __slots__ = ()  # without them each refusal would cost a seventh more

    if TYPE_CHECKING:  # at run time the arguments are kept as they come: a refusal must cost next to nothing

        def __init__(self, name: str, retry_after: float | None) -> None: ...

    _why = "refuses calls"

    @property
    def name(self) -> str:
        return str(self.args[0])

    @property
    def retry_after(self) -> float | None:
        after: float | None = self.args[1]
        return after

    def __str__(self) -> str:
        again = "until a person lets it" if self.retry_after is None else f"for {self.retry_after:.3g} s"
        return f"circuit breaker {self.name or 'without a name'} {self._why} {again}"


class CircuitOpenError(CallRejectedError):
    """The breaker is open."""

    __slots__ = ()

    _why = "is open"


class TooManyRequestsError(CallRejectedError):
    """The breaker is half-open and as many trials run as it allows."""

    __slots__ = ()

    _why = "is half-open and has its trials in flight"
