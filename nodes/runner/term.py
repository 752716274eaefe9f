"""One term of a check runner: it claims the nodes that are due, asks them, and writes what was observed.

A term is the 30 to 60 s for which one process works in a slot; at its end the slot is offered, and the term goes on until a
successor has taken it, so that checks never pause and no process grows old.
In: a lease and two database sessions.  Out: results, events and decisions, by the ledger; hints to browsers after each commit.
One event loop asks; two threads with a session each claim and write.  Trouble with the database, or a lease that is over, ends
the term with all that was asked in it; the slot then starts anew (`slot.py`).  Locks are those of the ledger's statements, none
is held while asking.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import psycopg

from nodes import live
from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.ledger import Claim, PoolGoneError, Result, advance, claim, fast_path, leases, store_results, undecided
from nodes.ledger.claims import check_again
from nodes.ledger.lease_keeper import LeaseKeeper, LeaseLostError
from nodes.ledger.pools import jittered
from nodes.ledger.rows import Row
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from nodes.runner import specs
from nodes.runner.counters import Counters
from nodes.runner.loop_lag import TICK, LoopLag, discount
from nodes.runner.periodic import PeriodicTasks
from nodes.runner.self_check import SelfCheck

_log = logging.getLogger(__name__)

AHEAD = 1.0  # s that a claim looks ahead
CLAIMS = 200  # at most in one batch
POLL = 0.2  # s between batches that were not full
GATHER = 0.05  # s that results gather
MOST_IN_FLIGHT = 4000
LAST_WAIT = 1.0  # s given to checks in flight once the worker is to stop


class Term:
    """The state of one term.  `stopping` says that the worker shuts down."""

    def __init__(
        self,
        claims: psycopg.Connection[Row],
        writes: psycopg.Connection[Row],
        *,
        keeper: LeaseKeeper,
        egress: Egress,
        stopping: Callable[[], bool],
        periodic: PeriodicTasks,
        counters: Counters,
    ) -> None:
        self._claims, self._writes = claims, writes
        self._claimer, self._writer = ThreadPoolExecutor(1, "claim"), ThreadPoolExecutor(1, "write")
        self._keeper, self._egress, self._stopping = keeper, egress, stopping
        self._periodic, self._counters = periodic, counters
        self._loop = asyncio.get_running_loop()
        self._began = time.time()
        self._specs: dict[int, CheckSpec] = {}
        self._config_version: int | None = None
        self._clock_offset = 0.0  # database clock minus ours, seconds
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._results: list[tuple[Claim, Observation]] = []
        self._lag = LoopLag(time.monotonic())
        self._self_check = SelfCheck()
        self._hints = live.Hints()
        self._urgent = asyncio.Event()  # a new failure is not kept waiting for a batch to gather
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped or succeeded; raises psycopg errors, or `LeaseLostError` when the lease is over."""
        hinting = self._loop.create_task(self._hints.run())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._claim())
                group.create_task(self._write())
                group.create_task(self._do_periodic_tasks())
        except* (psycopg.Error, LeaseLostError) as errors:
            raise errors.exceptions[0] from None
        finally:
            hinting.cancel()
            for task in self._asking:
                task.cancel()
            for handle in self._timers.values():
                handle.cancel()
            self._claimer.shutdown()
            self._writer.shutdown()

    def _now(self) -> float:
        """The database's clock, as far as we know it."""
        return time.time() + self._clock_offset

    async def _watch(self) -> None:
        while not self._ending.is_set():
            self._lag.tick(time.monotonic())
            self._keeper.turned()
            if self._stopping() or self._keeper.has_successor:
                self._ending.set()
            await asyncio.sleep(TICK)

    async def _claim(self) -> None:
        while not self._ending.is_set():
            room = min(CLAIMS, MOST_IN_FLIGHT - len(self._asking) - len(self._timers))
            found = await self._loop.run_in_executor(self._claimer, self._claim_batch, room) if room > 0 else 0
            if found < CLAIMS:
                await asyncio.sleep(POLL)
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    def _claim_batch(self, limit: int) -> int:
        """One batch of claims, in the claiming thread; the checks start on the loop, each at its own instant."""
        self._keeper.check()
        asked = time.time()
        with self._claims.cursor() as cursor:
            found = claim(cursor, self._keeper.term_number, ahead=AHEAD, limit=limit)
            if found.database_now is not None:
                self._clock_offset = found.database_now - (asked + time.time()) / 2
            if found.config_version != self._config_version and found.claims:
                self._specs, self._config_version = specs.load(cursor), found.config_version
        if found.claims:
            self._loop.call_soon_threadsafe(self._schedule, found.claims)
        return len(found.claims)

    def _schedule(self, claims: tuple[Claim, ...]) -> None:
        now = self._now()
        for each in claims:
            delay = max(0.0, each.due_at - now)
            self._timers[each.node] = self._loop.call_later(delay, self._start, each)

    def _start(self, each: Claim) -> None:
        self._timers.pop(each.node, None)
        self._counters.started(max(0.0, self._now() - max(each.due_at, self._began)))
        task = self._loop.create_task(self._ask(each))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, each: Claim) -> None:
        spec = self._specs.get(each.node)
        start = time.monotonic()
        if spec is None:
            observation = Observation(
                Verdict.UNKNOWN, "no check is configured, or its secret cannot be read", None, time.time(), time.time()
            )
        else:
            if spec.kind == "push":
                spec = replace(spec, last_heartbeat_at=each.last_heartbeat_at, listening_since=self._periodic.listening_since)
            observation = await probe(spec, self._egress)
        observation = discount(observation, stalled=self._lag.stalled_since(start, time.monotonic()))
        shifted = replace(observation, started_at=observation.started_at + self._clock_offset)
        self._self_check.note(each.node, each.pool, shifted, first_bad_at=each.first_bad_at, fast_interval=each.fast_interval)
        self._results.append((each, shifted))
        if shifted.verdict == Verdict.FAIL and not each.failing:
            self._urgent.set()

    async def _write(self) -> None:
        while not self._ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), GATHER)
            self._urgent.clear()
            await self._flush()
        deadline = time.monotonic() + LAST_WAIT
        while self._asking and (time.monotonic() < deadline or not self._stopping()):
            await asyncio.sleep(GATHER)
            await self._flush()
        await self._flush()
        await self._loop.run_in_executor(self._writer, self._give_back)

    def _give_back(self) -> None:
        self._keeper.close()
        leases.give_back(self._writes, self._keeper.term_number)

    async def _flush(self) -> None:
        """Write what gathered; if much of it fails at once, hold automation before anything is decided from it."""
        batch, self._results = self._results, []
        if not batch:
            return
        if any(seen.verdict == Verdict.FAIL for _, seen in batch):
            await self._check_self()
        changed = await self._loop.run_in_executor(self._writer, self._apply, batch)
        if changed:
            self._hints.put(changed)

    async def _check_self(self) -> None:
        changed = await self._loop.run_in_executor(self._writer, self._periodic.hold_or_let_go, self._self_check, self._now())
        if changed:
            self._hints.put(())

    def _apply(self, batch: list[tuple[Claim, Observation]]) -> set[int]:
        """Write a batch, in the writing thread, failures first; returns the pools in which something is to be seen."""
        self._keeper.check()
        self._counters.observed(seen for _, seen in batch)
        plain = [pair for pair in batch if pair[0].fast_path and pair[1].verdict == Verdict.PASS]
        fast = {each.node for each, _ in plain}
        changed = self._advance_all((each, seen) for each, seen in batch if each.node not in fast)
        written = self._write_passes(plain) if plain else set()
        return changed | self._advance_all((each, seen) for each, seen in plain if each.node not in written)

    def _advance_all(self, batch: Iterable[tuple[Claim, Observation]]) -> set[int]:
        results: dict[int, list[Result]] = defaultdict(list)
        for each, seen in sorted(batch, key=lambda pair: pair[1].verdict != Verdict.FAIL):
            results[each.pool].append(Result(each.node, each.term_number, seen))
        return {pool for pool, found in results.items() if self._advance(pool, found)}

    def _write_passes(self, plain: list[tuple[Claim, Observation]]) -> set[int]:
        passes = [
            fast_path.Pass(
                c.node, c.term_number, c.version, o.started_at, o.latency or 0.0, o.started_at + jittered(c.interval), c.interval
            )
            for c, o in plain
        ]
        with self._writes.transaction(), self._writes.cursor() as cursor:
            written = fast_path.write(cursor, passes)
            store_results(cursor, [Result(c.node, c.term_number, o) for c, o in plain if c.node in written])
        return written

    def _advance(self, pool: int, results: list[Result]) -> bool:
        """One pool's transaction; a pool that cannot be decided is logged and tried again, it never takes others along."""
        try:
            with self._writes.transaction(), self._writes.cursor() as cursor:
                applied = advance(cursor, pool, results=results)
                fresh = [r for r in results if r.node not in applied.outdated]
                if fresh:
                    store_results(cursor, fresh)
        except PoolGoneError:
            return False
        except psycopg.OperationalError as error:
            if self._writes.closed:
                raise
            _log.warning("pool %s: %s; its results are dropped and its nodes asked again", pool, error)
            return self._ask_again(results)
        except Exception as error:
            if self._writes.closed:
                raise
            return self._undecided(pool, results, error)
        self._counters.outdated(len(applied.outdated))
        return bool(applied.step.events or applied.step.decisions)

    def _ask_again(self, results: list[Result]) -> bool:
        with self._writes.cursor() as cursor:
            check_again(cursor, self._keeper.term_number, [r.node for r in results])
        return False

    def _undecided(self, pool: int, results: list[Result], error: Exception) -> bool:
        """Note the failed try, outside the transaction that failed; a cause is logged once, then named each minute."""
        why = undecided.cause(error)
        with self._writes.transaction(), self._writes.cursor() as cursor:
            noted = undecided.note(cursor, pool, self._keeper.term_number, [r.node for r in results], why)
        if noted.new or noted.again:
            text = "pool %s cannot be decided: %s; it is tried again at its interval"
            _log.error(text, pool, why, exc_info=error if noted.new else None)
        return noted.new

    async def _do_periodic_tasks(self) -> None:
        """Each second: canaries, then what `PeriodicTasks` does, then the pools that wait for time alone."""
        while not self._ending.is_set():
            self._self_check.canary_trouble = await self._periodic.canaries(self._egress)
            changed = await self._loop.run_in_executor(
                self._writer, self._periodic.each_second, self._self_check, self._lag, self._now()
            )
            for pool in changed.pools:
                if await self._loop.run_in_executor(self._writer, self._advance, pool, []):
                    changed.hints.add(pool)
            if changed.hints or changed.fleet:
                self._hints.put(changed.hints)
            try:
                await asyncio.wait_for(self._ending.wait(), 1.0)
            except TimeoutError:
                continue
