"""The time that a check may take for itself: what our resolver takes is not the node's."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


class OwnTime:
    """Runs while `limit` does, but stands still while something is awaited apart."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self._began = time.monotonic()

    @property
    def taken(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    @property
    def ends_at(self) -> float:
        """When it is over, by the loop's clock."""
        ends_at = self._limit.when()
        return math.inf if ends_at is None else ends_at

    def without(self, seconds: float) -> None:
        """Leave out what was no waiting for the node."""
        self._began += seconds

    async def apart(self, work: Awaitable[_T]) -> _T:
        """What comes of it, outside of the limit: it has one of its own."""
        ends_at, began = self._limit.when(), time.monotonic()
        self._limit.reschedule(None)
        try:
            return await work
        finally:
            took = time.monotonic() - began
            self._began += took
            self._limit.reschedule(None if ends_at is None else ends_at + took)
