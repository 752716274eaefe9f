"""Asks the system's resolver in threads of its own, so that names which are not answered take none from those that are.

The system's resolver, since its hosts file, search list and name services are what the operator has set up; it blocks, for half a
minute where a name server swallows the question.  So each lookup has a thread while it is under way, and what may be under way is
bounded: one lookup a name, some of each zone (the name without its first label), few of names that came to nothing the last time,
and few of names that a node has told us by a redirect.  Lookups that hang let others of their zone through, a few at a time.  What
has to wait, waits in its own line: names that were answered the last time before new ones, those before doubtful ones, those before
told ones, of which few may wait; within a line the zones take turns.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from queue import Empty, SimpleQueue

from nodes.egress.table import Address

THREADS = 128  # at most, and so many lookups under way
KEPT_FREE = 32  # of them, for names that were answered the last time
PER_ZONE, PER_HANGING_ZONE = 16, 4  # under way that do not hang; the latter where others do, for new names
DOUBTFUL, DOUBTFUL_PER_ZONE = 16, 4  # under way
HANGS = 2.0  # s under way after which a lookup hangs
MOST_WAITING = 20_000
TOLD, MOST_TOLD_WAITING = 8, 64  # under way, of all zones; waiting
IDLE = 10.0  # s after which a thread without work ends

Found = tuple[Address, ...] | Exception


class Standing(IntEnum):
    """What is known of a name; the lower goes first."""

    ANSWERED = 0  # the last time
    NEW = 1
    DOUBTFUL = 2  # it came to nothing the last times
    TOLD = 3  # a redirect named it


class BusyError(Exception):
    """So many names wait that no further one can; also what is found of one for which nobody waits any more."""


@dataclass(eq=False)
class Lookup:
    """One name, asked once; `found` is what came of it, None until then."""

    name: str
    standing: Standing
    started_at: float | None = None  # monotonic
    found: Found | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def zone(self) -> str:
        return self.name.rstrip(".").partition(".")[2].lower()

    def hangs(self, now: float) -> bool:
        """Whether it is under way for too long."""
        return self.found is None and self.started_at is not None and now - self.started_at > HANGS

    async def wait(self, seconds: float) -> Found | None:
        """What came of it within so many seconds; it goes on all the same."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        with self._lock:
            if self.found is not None:
                return self.found
            self._waiters.append((loop, waiter))
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            with self._lock, suppress(ValueError):  # it was woken
                self._waiters.remove((loop, waiter))
        return self.found

    def is_awaited(self) -> bool:
        """Whether somebody in an event loop still waits."""
        with self._lock:
            return bool(self._waiters)

    def wait_here(self, seconds: float) -> Found | None:
        """The same outside an event loop; blocks."""
        self._ended.wait(seconds)
        return self.found

    def end(self, found: Found) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self.found = found
            waiters, self._waiters = self._waiters, []
        self._ended.set()
        for loop, waiter in waiters:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_wake, waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Lookups:
    """All lookups of one process; `resolve` asks and returns what it found, `ended` hears of each, in its thread."""

    def __init__(self, resolve: Callable[[str], Found], ended: Callable[[Lookup], None]) -> None:
        self._resolve, self._tell = resolve, ended
        self._lock = threading.Lock()
        self._asked: dict[str, Lookup] = {}  # under way or waiting
        self._under_way: dict[str, set[Lookup]] = {}  # by zone
        self._waiting: dict[Standing, dict[str, deque[Lookup]]] = {each: {} for each in Standing}  # each by zone
        self._work: SimpleQueue[Lookup] = SimpleQueue()
        self._threads = self._busy = 0
        self._looks_again = False

    def ask(self, name: str, standing: Standing) -> Lookup:
        """The lookup of this name, begun now or before; raises `BusyError`."""
        with self._lock:
            lookup = self._asked.get(name)
            if lookup is None:
                if len(self._asked) >= MOST_WAITING or (standing is Standing.TOLD and self._told_waiting() >= MOST_TOLD_WAITING):
                    raise BusyError
                lookup = self._asked[name] = Lookup(name, standing)
                self._waiting[standing].setdefault(lookup.zone, deque()).append(lookup)
            if lookup.started_at is None:
                self._start_some(lookup.standing, lookup.zone)
            return lookup

    def hanging(self) -> Lookup | None:
        """One that hangs, if any does."""
        now = time.monotonic()
        with self._lock:
            return next((each for zone in self._under_way.values() for each in zone if each.hangs(now)), None)

    def _start_some(self, standing: Standing, zone: str) -> None:
        """Start what may be started of one line."""
        line, now = self._waiting[standing].get(zone), time.monotonic()
        while line and self._may_start(standing, zone, now):
            lookup = line.popleft()
            if standing is Standing.TOLD and len(line) and not lookup.is_awaited():  # the last one was asked for just now
                self._asked.pop(lookup.name, None)
                lookup.end(BusyError())
                continue
            self._waiting[standing][zone] = self._waiting[standing].pop(zone)  # behind the other zones
            lookup.started_at = now
            self._under_way.setdefault(zone, set()).add(lookup)
            self._busy += 1
            if self._busy > self._threads:
                self._threads += 1
                threading.Thread(target=self._serve, name="names", daemon=True).start()  # one that hangs keeps no process alive
            self._work.put(lookup)
        if not line:
            self._waiting[standing].pop(zone, None)
        elif not self._looks_again:
            self._looks_again = True
            again = threading.Timer(HANGS, self._look_again)  # who hangs by then lets others through
            again.daemon = True
            again.start()

    def _may_start(self, standing: Standing, zone: str, now: float) -> bool:
        under_way = self._under_way.get(zone, set())
        hanging = sum(each.hangs(now) for each in under_way)
        turning = len(under_way) - hanging
        if self._busy >= _room(standing):
            return False
        if standing is Standing.ANSWERED:
            return turning < PER_ZONE
        if standing is Standing.NEW:
            return turning < (PER_HANGING_ZONE if hanging else PER_ZONE)
        alike = sum(each.standing is standing for lookups in self._under_way.values() for each in lookups)
        here = sum(each.standing is standing for each in under_way)
        return alike < (TOLD if standing is Standing.TOLD else DOUBTFUL) and here < DOUBTFUL_PER_ZONE

    def _told_waiting(self) -> int:
        return sum(map(len, self._waiting[Standing.TOLD].values()))

    def _serve(self) -> None:
        while True:
            try:
                lookup = self._work.get(timeout=IDLE)
            except Empty:
                with self._lock:
                    if self._busy < self._threads:
                        self._threads -= 1
                        return
                continue
            self._end(lookup, self._resolve(lookup.name))

    def _end(self, lookup: Lookup, found: Found) -> None:
        lookup.found = found
        self._tell(lookup)
        with self._lock:
            self._asked.pop(lookup.name, None)
            here = self._under_way[lookup.zone]
            here.discard(lookup)
            if not here:
                del self._under_way[lookup.zone]
            self._busy -= 1
            self._start_all()
        lookup.end(found)

    def _look_again(self) -> None:
        with self._lock:
            self._looks_again = False
            self._start_all()

    def _start_all(self) -> None:
        for standing, lines in self._waiting.items():
            for zone in tuple(lines):
                if self._busy >= _room(standing):
                    break
                self._start_some(standing, zone)


def _room(standing: Standing) -> int:
    return THREADS if standing is Standing.ANSWERED else THREADS - KEPT_FREE
