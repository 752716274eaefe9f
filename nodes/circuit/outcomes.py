"""Which outcome a call has: success, failure or ignored, by what it raised or returned and by the user's predicates.

An exception of `ignored_exceptions` and whatever is no `Exception` (an interrupt, a cancellation, a generator closed early) is
ignored: it ends the caller and tells nothing about the callee.  Any other exception is a failure, unless `failure_if` says that it
is none: then the callee did answer, and the call is a success.  A result is a success, unless `failure_if_result` says otherwise.
A predicate that raises is logged, and the outcome is that without a predicate.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from nodes.engine.enums import Outcome

FailureIf = Callable[[Exception], bool]
FailureIfResult = Callable[[Any], bool]

NO_RESULT: Any = object()  # of a call that has none to look at: a block, a generator

_log = logging.getLogger(__name__)


class Outcomes:
    """What counts as what for one breaker."""

    __slots__ = ("failure_if", "failure_if_result", "ignored", "name")

    def __init__(
        self,
        name: str = "",
        ignored: tuple[type[BaseException], ...] = (),
        failure_if: FailureIf | None = None,
        failure_if_result: FailureIfResult | None = None,
    ) -> None:
        self.name, self.ignored, self.failure_if, self.failure_if_result = name, ignored, failure_if, failure_if_result

    def of(self, error: BaseException | None, result: Any = NO_RESULT) -> Outcome:
        """The outcome of a call that raised `error`, or came back with `result` when there is none."""
        if error is None:
            failed = result is not NO_RESULT and self._asked(self.failure_if_result, result, unsaid=False)
        elif isinstance(error, self.ignored) or not isinstance(error, Exception):
            return Outcome.IGNORED
        else:
            failed = self._asked(self.failure_if, error, unsaid=True)
        return Outcome.FAILURE if failed else Outcome.SUCCESS

    def _asked(self, predicate: Callable[[Any], bool] | None, subject: Any, *, unsaid: bool) -> bool:
        """What a predicate says; `unsaid` when there is none or it raises, for the caller gets what the call came to."""
        if predicate is None:
            return unsaid
        try:
            return bool(predicate(subject))
        except Exception:
            _log.exception("a predicate of circuit breaker %s failed", self.name)
            return unsaid


PLAIN = Outcomes()  # shared by all breakers without exceptions and predicates of their own
