"""Gathers the reports of this process by pool, and has each pool's counted together while the next ones gather.

A report for a pool at rest goes at once.  The more a batch held, the longer the next one gathers, up to a twentieth of a second: so
few reports wait for nothing, and many share a transaction.  What waits is bounded; what is over is refused at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from nodes import live
from nodes.intake.writer import Unavailable, Writers, away, fault
from nodes.ledger.reported import Answer, Counted, NoSuchNodeError, Told

SHORTEST, PER_REPORT, LONGEST = 0.01, 0.005, 0.05  # s from the end of one batch of a pool to the next
LARGEST_BATCH = 2_000  # entries; a report counts one more than it has
MOST_WAITING = 20_000  # entries, in all; a pool holds a quarter
HELD = 0.25  # s until a pool that another one keeps is tried again
MOST_UNKNOWN = 1_000  # nodes that are looked for at a time
PATIENCE = 5.0  # s that a report waits for its turn
CLOCK_KEPT = 10.0  # s that the database's clock is reckoned from the last look at it
REMEMBERED = 10_000  # nodes whose pool is known
SAID_EVERY = 1.0  # s between two lines of the log

_TOO_MANY = Unavailable("too many reports wait already, this one was not counted; report again", 1)
_TOO_LATE = Unavailable("this report waited for too long and was not counted; report again", 2)
_ENDING = Unavailable("the console is ending, this report was not counted; report again", 2)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """The pool of a node, None when there is no such node, and the database's clock in seconds since the epoch."""

    pool: int | None
    now: float


@dataclass(slots=True)
class _Waiting:
    told: Told
    answer: asyncio.Future[Answer | Unavailable]
    since: float = field(default_factory=time.monotonic)

    @property
    def weight(self) -> int:
        return 1 + len(self.told.report.calls)


class _Queue(deque[_Waiting]):
    """The reports of one pool, with their weight."""

    weight = 0


class Gatherer:
    """Of one event loop."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._free = asyncio.Semaphore(writers.most)
        self._queues: dict[int, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._weight = 0
        self._pools: OrderedDict[int, int] = OrderedDict()  # by node, the last used last
        self._unknown: dict[int, asyncio.Future[int | Unavailable | None]] = {}
        self._clock_ahead = 0.0  # s of the database's clock before the monotonic one of this process
        self._clock_read_at = -CLOCK_KEPT
        self._said_at, self._unsaid = -SAID_EVERY, 0
        self._ending = False
        self._hints = live.Hints()
        self._hinting: asyncio.Task[None] | None = None

    async def place(self, node: int) -> Place | Unavailable:
        """Where reports of this node are counted, and when it is now."""
        pool: int | Unavailable | None = self._pools.get(node)
        if pool is None or time.monotonic() - self._clock_read_at >= CLOCK_KEPT:
            pool = await self._look_for(node)
        else:
            self._pools.move_to_end(node)
        if isinstance(pool, Unavailable):
            return pool
        return Place(pool, time.monotonic() + self._clock_ahead)

    async def count(self, pool: int, told: Told) -> Answer | Unavailable:
        """Have a report counted, and committed."""
        answer = await self._wait(pool, told)
        if isinstance(answer, NoSuchNodeError):
            self._pools.pop(told.node, None)
            moved = await self._look_for(told.node)
            if isinstance(moved, int) and moved != pool:
                return await self._wait(moved, told)
        return answer

    def trouble(self, error: Exception) -> Unavailable:
        """What whoever sent a report is told of an error of the database, which the log says as well."""
        return self._said(away(error))

    async def stop(self) -> None:
        """Refuse what still waits, and wait for what is being written."""
        self._ending = True
        for queue in self._queues.values():
            while queue:
                for each in self._taken(queue):
                    _answer(each, _ENDING)
        if self._hinting is not None:
            self._hinting.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, pool: int, told: Told) -> Answer | Unavailable:
        waiting = _Waiting(told, asyncio.get_running_loop().create_future())
        if self._ending:
            return _ENDING
        queue = self._queues.get(pool)
        held = 0 if queue is None else queue.weight
        if self._weight + waiting.weight > MOST_WAITING or held + waiting.weight > MOST_WAITING // 4:
            return self._said(_TOO_MANY)
        if queue is None:
            queue = self._queues[pool] = _Queue()
            self._run(self._serve(pool, queue))
        queue.append(waiting)
        self._weigh(queue, waiting.weight)
        return await waiting.answer

    def _weigh(self, queue: _Queue, weight: int) -> None:
        queue.weight += weight
        self._weight += weight

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, pool: int, queue: _Queue) -> None:
        """Write one batch after the other, for as long as there are any."""
        try:
            while queue:
                async with self._free:
                    batch = self._taken(queue)
                    written = await self._write(pool, batch)
                if not written:
                    queue.extendleft(reversed(batch))
                    self._weigh(queue, sum(each.weight for each in batch))
                await asyncio.sleep(min(LONGEST, SHORTEST + PER_REPORT * len(batch)) if written else HELD)
        finally:
            del self._queues[pool]

    def _hint(self, pool: int) -> None:
        self._hints.put([pool])
        if self._hinting is None:
            self._hinting = asyncio.get_running_loop().create_task(self._hints.run())

    def _taken(self, queue: _Queue) -> list[_Waiting]:
        """The next batch, without those whose sender went away or has waited for too long."""
        batch: list[_Waiting] = []
        weight, oldest = 0, time.monotonic() - PATIENCE
        while queue and weight < LARGEST_BATCH:
            each = queue.popleft()
            self._weigh(queue, -each.weight)
            if each.since < oldest:
                _answer(each, self._said(_TOO_LATE))
            elif not each.answer.done():
                batch.append(each)
                weight += each.weight
        return batch

    async def _write(self, pool: int, batch: list[_Waiting]) -> bool:
        """Whether they are answered; not while another one keeps the pool."""
        if not batch:
            return True
        try:
            answers = await asyncio.wrap_future(self._writers.count(pool, [each.told for each in batch]))
        except Exception as error:  # a fault of ours: nobody waits for ever, and the next batch is tried
            answers = [fault(error)] * len(batch)
        if answers is None:
            return False
        if any(isinstance(answer, Counted) for answer in answers):
            self._hint(pool)
        for each, answer in zip(batch, answers, strict=True):
            _answer(each, self._said(answer) if isinstance(answer, Unavailable) else answer)
        return True

    async def _look_for(self, node: int) -> int | Unavailable | None:
        """The pool of a node by the database, together with all others that are looked for now."""
        found = self._unknown.get(node)
        if found is None:
            if len(self._unknown) >= MOST_UNKNOWN:
                return self._said(_TOO_MANY)
            if not self._unknown:
                self._run(self._look())
            found = self._unknown[node] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(found)

    async def _look(self) -> None:
        async with self._free:
            asked, self._unknown = self._unknown, {}
            try:
                found = await asyncio.wrap_future(self._writers.look(list(asked)))
            except Exception as error:  # as above
                found = fault(error)
        if isinstance(found, Unavailable):
            self._said(found)
            for each in asked.values():
                each.set_result(found)
            return
        pools, now = found
        self._clock_read_at = time.monotonic()
        self._clock_ahead = now - self._clock_read_at
        for node, answer in asked.items():
            if node in pools:
                self._pools[node] = pools[node]
            answer.set_result(pools.get(node))
        while len(self._pools) > REMEMBERED:
            self._pools.popitem(last=False)

    def _said(self, trouble: Unavailable) -> Unavailable:
        """The trouble, said in the log unless another was just now."""
        now = time.monotonic()
        if now - self._said_at < SAID_EVERY:
            self._unsaid += 1
            return trouble
        also = f", {self._unsaid} more before it" if self._unsaid else ""
        self._said_at, self._unsaid = now, 0
        _log.warning("a report was not taken%s: %s", also, trouble.why or trouble.sentence)
        return trouble


def _answer(waiting: _Waiting, answer: Answer | Unavailable) -> None:
    if not waiting.answer.done():  # else whoever sent it went away
        waiting.answer.set_result(answer)


_writers: list[Writers] = []  # of this process: none or one
_gatherers: dict[asyncio.AbstractEventLoop, Gatherer] = {}


def gatherer() -> Gatherer:
    """The one of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _gatherers:
        for ended in [each for each in _gatherers if each.is_closed()]:
            del _gatherers[ended]
        if not _writers:
            _writers.append(Writers())
        _gatherers[loop] = Gatherer(_writers[0])
    return _gatherers[loop]


def close() -> None:
    """Close the connections, once no loop gathers any more; the next report opens new ones."""
    _gatherers.clear()
    while _writers:
        _writers.pop().close()


async def end() -> None:
    """Of a web process that ends: refuse what waits, let what is being written be written, close the connections."""
    if (found := _gatherers.get(asyncio.get_running_loop())) is not None:
        await found.stop()
    await asyncio.to_thread(close)
