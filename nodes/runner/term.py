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
import math
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
from nodes.ledger import Claim, PoolGoneError, Result, advance, checkers, claim, fast_path, leases, store_results, undecided
from nodes.ledger.checkers import Sighting
from nodes.ledger.claims import check_again, release
from nodes.ledger.lease_keeper import LeaseKeeper, LeaseLostError
from nodes.ledger.pools import jittered
from nodes.ledger.rows import Cursor, Row
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from nodes.runner import specs
from nodes.runner.counters import Counters
from nodes.runner.loop_lag import LONG_STALL, STALL, TICK, LoopLag, discount
from nodes.runner.periodic import PeriodicTasks
from nodes.runner.self_check import SelfCheck

_log = logging.getLogger(__name__)

AHEAD = 1.0  # s that a claim looks ahead
CLAIMS = 200  # at most in one batch
POLL = 0.2  # s between batches that were not full
GATHER = 0.05  # s that results gather
MOST_IN_FLIGHT = 4000
LAST_WAIT = 1.0  # s given to checks in flight once the worker is to stop
STORE_AGAIN = 10.0  # s for which results are not stored once the database turned them away
SHADOW_EVERY = 2.0  # s between the questions of an isolated checker
SHADOW_NODES = 20  # at most in one of them


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
        self._began = time.monotonic()
        self._specs: dict[int, CheckSpec] = {}
        self._config_version: int | None = None
        self._clock_offset = 0.0  # database clock minus ours, seconds
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._results: list[tuple[Claim, Observation]] = []
        self._stores_from = 0.0  # monotonic: when results are stored again
        self._turned_away_at = -math.inf  # monotonic: when the database last turned some away
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
                group.create_task(self._ask_canaries())
                group.create_task(self._ask_in_the_shadow())
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

    def _here(self, instant: float | None) -> float | None:
        """An instant of the database's clock by ours, which a probe looks at."""
        return None if instant is None else instant - self._clock_offset

    async def _watch(self) -> None:
        while not self._ending.is_set():
            turned_at = time.monotonic()
            if (stood_still := self._lag.tick(turned_at)) > LONG_STALL:
                await self._drop_all()
                if self._keeper.ran_between(turned_at - stood_still, turned_at - STALL):
                    await self._loop.run_in_executor(self._writer, self._note_stall)
            self._keeper.turned()
            if self._stopping() or self._keeper.has_successor:
                self._ending.set()
            await asyncio.sleep(TICK)

    async def _claim(self) -> None:
        while not self._ending.is_set():
            room = 0 if self._periodic.standing.shadow else min(CLAIMS, MOST_IN_FLIGHT - len(self._asking) - len(self._timers))
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
            found = claim(cursor, self._keeper.term_number, host=self._keeper.slot.host, ahead=AHEAD, limit=limit)
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
        late = min(self._now() - each.due_at, time.monotonic() - self._began)  # what fell due before this term is not its lateness
        self._counters.started(max(0.0, late))
        if each.first_bad_at is None:
            self._self_check.asking(each.node)
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
            listening = self._periodic.listening or (None, None)
            heard = spec.heard(self._here(each.last_heartbeat_at), *map(self._here, listening))
            observation = await probe(heard, self._egress)
        observation = discount(observation, stalled=self._lag.stalled_since(start, time.monotonic()))
        shifted = replace(observation, started_at=observation.started_at + self._clock_offset, checker=self._keeper.slot.host)
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
        """Write what gathered; before many failures count, this checker is judged by them, and in the shadow nothing counts."""
        batch, self._results = self._results, []
        if not batch:
            return
        if any(seen.verdict == Verdict.FAIL for _, seen in batch) and (sighting := self._sighting()).doubtful:
            await self._look(sighting)
        if self._periodic.standing.shadow:
            await self._drop_all()
            return
        changed = await self._loop.run_in_executor(self._writer, self._apply, batch)
        if changed:
            self._hints.put(changed)

    async def _look(self, sighting: Sighting) -> None:
        changed = await self._loop.run_in_executor(self._writer, self._periodic.look, sighting)
        if changed:
            self._hints.put(())

    def _sighting(self) -> Sighting:
        self._self_check.isolated = self._periodic.standing.isolated
        resolver = self._egress.names.standing()
        sighting = self._self_check.sighting(self._now(), self._periodic.standing.healthy)
        return replace(sighting, resolver_trouble=resolver.trouble, resolver_answers=resolver.answers)

    async def _drop_all(self) -> None:
        """What is asked just now comes to nothing; others may ask it."""
        for handle in self._timers.values():
            handle.cancel()
        for task in self._asking:
            task.cancel()
        self._timers.clear()
        self._results.clear()
        self._self_check.forget()
        await self._loop.run_in_executor(self._writer, self._release)

    def _release(self) -> None:
        self._keeper.check()
        with self._writes.cursor() as cursor:
            release(cursor, self._keeper.term_number)

    def _note_stall(self) -> None:
        self._keeper.check()
        with self._writes.cursor() as cursor:
            checkers.note_stall(cursor, self._keeper.slot.host)

    def _apply(self, batch: list[tuple[Claim, Observation]]) -> set[int]:
        """Write a batch, in the writing thread, failures first; returns the pools in which something is to be seen."""
        self._keeper.check()
        self._counters.observed(seen for _, seen in batch)
        plain = [pair for pair in batch if pair[0].fast_path and pair[1].verdict == Verdict.PASS]
        fast = {each.node for each, _ in plain}
        changed = self._advance_all((each, seen) for each, seen in batch if each.node not in fast)
        written = self._write_passes(plain) if plain else set()
        changed |= self._advance_all((each, seen) for each, seen in plain if each.node not in written)
        self._answer_for_others(batch)
        return changed

    def _answer_for_others(self, batch: Iterable[tuple[Claim, Observation]]) -> None:
        """What this checker saw where another one alone had seen a failure."""
        host = self._keeper.slot.host
        for each, seen in batch:
            if seen.verdict == Verdict.UNKNOWN or host in each.seen_by:
                continue
            for witness in each.seen_by:
                with self._writes.cursor() as cursor:
                    checkers.note_answer(cursor, witness, each.node, confirmed=seen.verdict == Verdict.FAIL)

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
        try:
            with self._writes.transaction(), self._writes.cursor() as cursor:
                written = fast_path.write(cursor, passes)
                self._store(cursor, [Result(c.node, c.term_number, o) for c, o in plain if c.node in written])
        except psycopg.errors.CheckViolation as error:
            self._was_turned_away(error)
            return self._write_passes(plain)
        return written

    def _store(self, cursor: Cursor, results: list[Result]) -> None:
        if results and time.monotonic() >= self._stores_from:
            store_results(cursor, results)

    def _was_turned_away(self, error: psycopg.Error) -> None:
        """A row may meet a change of partitions once; if none takes it then, what it says about the node counts all the same."""
        now = time.monotonic()
        if now < self._stores_from:
            raise error
        turned_away_at, self._turned_away_at = self._turned_away_at, now
        if now - turned_away_at > 1.0:
            return
        self._stores_from = now + STORE_AGAIN
        _log.error("results are not stored for %.0f s, does housekeeping run? %s", STORE_AGAIN, error)

    def _advance(self, pool: int, results: list[Result]) -> bool:
        """One pool's transaction; a pool that cannot be decided is logged and tried again, it never takes others along."""
        try:
            with self._writes.transaction(), self._writes.cursor() as cursor:
                applied = advance(cursor, pool, results=results)
                self._store(cursor, [r for r in results if r.node not in applied.outdated])
        except PoolGoneError:
            return False
        except psycopg.errors.CheckViolation as error:
            self._was_turned_away(error)
            return self._advance(pool, results)
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
        """Each second: what `PeriodicTasks` does, then the pools that wait for time alone."""
        while not await self._ended(within=0.0):
            was_shadow = self._periodic.standing.shadow
            changed = await self._loop.run_in_executor(self._writer, self._periodic.each_second, self._sighting(), self._lag)
            self._clock_offset = changed.clock_offset
            if self._periodic.standing.shadow and not was_shadow:
                await self._drop_all()
            for pool in changed.pools:
                if await self._loop.run_in_executor(self._writer, self._advance, pool, []):
                    changed.hints.add(pool)
            if changed.hints or changed.fleet:
                self._hints.put(changed.hints)
            await self._ended(within=1.0)

    async def _ask_canaries(self) -> None:
        while not await self._ended(within=1.0):
            await self._periodic.ask_canaries(self._egress, self._self_check)

    async def _ask_in_the_shadow(self) -> None:
        """While this checker is isolated: ask nodes that were healthy, to earn belief; nothing of it is applied."""
        while not await self._ended(within=SHADOW_EVERY):
            if not self._periodic.standing.isolated:
                continue
            asked = await self._loop.run_in_executor(self._writer, self._specs_in_the_shadow)
            self._self_check.askable = bool(asked)
            answers = await asyncio.gather(*(probe(spec, self._egress) for spec in asked.values()))
            for node, seen in zip(asked, answers, strict=True):
                self._self_check.answered(node, replace(seen, started_at=seen.started_at + self._clock_offset))

    def _specs_in_the_shadow(self) -> dict[int, CheckSpec]:
        self._keeper.check()
        with self._writes.cursor() as cursor:
            nodes, config_version = checkers.askable(cursor, self._keeper.slot.host, limit=SHADOW_NODES)
            if nodes and config_version != self._config_version:
                self._specs, self._config_version = specs.load(cursor), config_version
        return {node: self._specs[node] for node in nodes if node in self._specs}

    async def _ended(self, *, within: float) -> bool:
        """Whether the term is to end, after waiting for that up to so many seconds."""
        if within:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), within)
        return self._ending.is_set()
