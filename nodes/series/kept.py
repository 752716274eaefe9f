"""What is read for every page alike is read once in a while, by one thread for each key, and kept in this process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from threading import Lock
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
_MOST = 64  # keys; the one that was read first goes first


class Kept(Generic[_K, _V]):
    """Values by key, each kept for so long after the instant that it was read for; an earlier instant has it read anew.

    Whoever asks for a key that is being read waits for that; others do not.
    """

    def __init__(self, lasts: timedelta, read: Callable[[_K, datetime], _V]) -> None:
        self._lasts, self._read = lasts, read
        self._found: dict[_K, tuple[datetime, _V]] = {}
        self._readers: dict[_K, tuple[Lock, int]] = {}  # and how many are at it
        self._lock = Lock()

    def __call__(self, key: _K, now: datetime) -> _V:
        with self._lock:
            if (known := self._fresh(key, now)) is not None:
                return known[1]
            mine, others = self._readers.get(key, (Lock(), 0))
            self._readers[key] = mine, others + 1
        try:
            with mine:
                if (known := self._fresh(key, now)) is None:
                    known = now, self._read(key, now)
                    self._keep(key, known)
                return known[1]
        finally:
            with self._lock:
                _, there = self._readers.pop(key)
                if there > 1:
                    self._readers[key] = mine, there - 1

    def _fresh(self, key: _K, now: datetime) -> tuple[datetime, _V] | None:
        known = self._found.get(key)
        return known if known is not None and known[0] <= now < known[0] + self._lasts else None

    def _keep(self, key: _K, known: tuple[datetime, _V]) -> None:
        with self._lock:
            self._found.pop(key, None)
            self._found[key] = known
            while len(self._found) > _MOST:
                del self._found[next(iter(self._found))]
