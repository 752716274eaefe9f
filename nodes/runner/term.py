"""One term of a runner: claim what is due, ask, write what was seen.

One event loop asks; two threads with a database session each claim and write.  Any trouble with the database ends the
sessions and with them the claims; the slot then starts anew (`slot.py`).
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
from nodes.ledger import CalmPass, Claim, PoolGoneError, Result, advance, claim, open_session, pass_calmly, store_results
from nodes.ledger.claims import release
from nodes.ledger.pools import jittered
from nodes.ledger.rows import Row
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from nodes.runner import specs
from nodes.runner.duties import Duties
from nodes.runner.figures import Figures
from nodes.runner.sight import TICK, Pulse, Sight, excuse

_log = logging.getLogger(__name__)

AHEAD = 1.0  # s that a claim looks ahead
ROUND = 200  # claims a round
POLL = 0.2  # s between rounds that were not full
BATCH = 0.05  # s that results gather
MOST_IN_FLIGHT = 4000
LAST_WAIT = 1.0  # s given to checks in flight once the worker is to stop


class Term:
    """The state of one term.  `stopping` says that the worker shuts down, `relieved` that a successor has the slot."""

    def __init__(
        self,
        claims: psycopg.Connection[Row],
        writes: psycopg.Connection[Row],
        *,
        egress: Egress,
        stopping: Callable[[], bool],
        duties: Duties,
        figures: Figures,
    ) -> None:
        self._claims, self._writes = claims, writes
        self._claimer, self._writer = ThreadPoolExecutor(1, "claim"), ThreadPoolExecutor(1, "write")
        self._egress, self._stopping, self._duties, self._figures = egress, stopping, duties, figures
        self._session = open_session(claims)
        self._loop = asyncio.get_running_loop()
        self._began = time.time()
        self._specs: dict[int, CheckSpec] = {}
        self._config_version: int | None = None
        self._clock_offset = 0.0  # database clock minus ours, seconds
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._results: list[tuple[Claim, Observation]] = []
        self._pulse = Pulse(time.monotonic())
        self._sight = Sight()
        self._urgent = asyncio.Event()  # a new failure is not kept waiting for a batch to gather
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped or relieved; raises psycopg errors when the database goes away."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._claim())
                group.create_task(self._write())
                group.create_task(self._duty())
        except* psycopg.Error as errors:
            raise errors.exceptions[0] from None
        finally:
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
            self._pulse.beat(time.monotonic())
            if self._stopping() or self._duties.relieved:
                self._ending.set()
            await asyncio.sleep(TICK)

    async def _claim(self) -> None:
        while not self._ending.is_set():
            room = min(ROUND, MOST_IN_FLIGHT - len(self._asking) - len(self._timers))
            found = await self._loop.run_in_executor(self._claimer, self._claim_round, room) if room > 0 else 0
            if found < ROUND:
                await asyncio.sleep(POLL)
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    def _claim_round(self, limit: int) -> int:
        """One round of claims, in the claiming thread; the checks start on the loop, each at its own instant."""
        asked = time.time()
        with self._claims.cursor() as cursor:
            found = claim(cursor, self._session, ahead=AHEAD, limit=limit)
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
        self._figures.started(max(0.0, self._now() - max(each.due_at, self._began)))
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
                spec = replace(spec, last_beat_at=each.last_beat_at, listening_since=self._duties.listening_since)
            observation = await probe(spec, self._egress)
        observation = excuse(observation, stalled=self._pulse.stalled_since(start, time.monotonic()))
        shifted = replace(observation, started_at=observation.started_at + self._clock_offset)
        self._sight.note(each.node, each.pool, shifted, first_bad_at=each.first_bad_at, fast_interval=each.fast_interval)
        self._results.append((each, shifted))
        if shifted.verdict == Verdict.FAIL and not each.failing:
            self._urgent.set()

    async def _write(self) -> None:
        while not self._ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), BATCH)
            self._urgent.clear()
            await self._flush()
        deadline = time.monotonic() + LAST_WAIT
        while self._asking and (time.monotonic() < deadline or not self._stopping()):
            await asyncio.sleep(BATCH)
            await self._flush()
        await self._flush()
        await self._loop.run_in_executor(self._writer, self._give_back)

    def _give_back(self) -> None:
        with self._writes.cursor() as cursor:
            release(cursor, self._session)

    async def _flush(self) -> None:
        """Write what gathered; if much of it fails at once, hold automation before anything is decided from it."""
        batch, self._results = self._results, []
        if not batch:
            return
        if any(seen.verdict == Verdict.FAIL for _, seen in batch):
            await self._judge()
        changed = await self._loop.run_in_executor(self._writer, self._apply, batch)
        if changed:
            await live.ahint(changed)

    async def _judge(self) -> None:
        changed = await self._loop.run_in_executor(self._writer, self._duties.judge, self._sight, self._now())
        if changed:
            await live.ahint(())

    def _apply(self, batch: list[tuple[Claim, Observation]]) -> set[int]:
        """Write a batch, in the writing thread, failures first; returns the pools in which something is to be seen."""
        self._figures.seen(seen for _, seen in batch)
        calm = [pair for pair in batch if pair[0].calm and pair[1].verdict == Verdict.PASS]
        short = {each.node for each, _ in calm}
        changed = self._advance_all((each, seen) for each, seen in batch if each.node not in short)
        held = self._pass_calmly(calm) if calm else set()
        return changed | self._advance_all((each, seen) for each, seen in calm if each.node not in held)

    def _advance_all(self, batch: Iterable[tuple[Claim, Observation]]) -> set[int]:
        results: dict[int, list[Result]] = defaultdict(list)
        for each, seen in sorted(batch, key=lambda pair: pair[1].verdict != Verdict.FAIL):
            results[each.pool].append(Result(each.node, each.token, seen))
        return {pool for pool, found in results.items() if self._advance(pool, found)}

    def _pass_calmly(self, calm: list[tuple[Claim, Observation]]) -> set[int]:
        passes = [CalmPass(c, o.started_at, o.latency or 0.0, o.started_at + jittered(c.interval)) for c, o in calm]
        with self._writes.transaction(), self._writes.cursor() as cursor:
            held = pass_calmly(cursor, passes)
            store_results(cursor, [Result(c.node, c.token, o) for c, o in calm if c.node in held])
        return held

    def _advance(self, pool: int, results: list[Result]) -> bool:
        """One pool's transaction; a pool that cannot be decided is logged and tried again, it never takes others along."""
        try:
            with self._writes.transaction(), self._writes.cursor() as cursor:
                applied = advance(cursor, pool, now=self._now(), results=results)
                fresh = [r for r in results if r.node not in applied.stale]
                if fresh:
                    store_results(cursor, fresh)
        except PoolGoneError:
            return False
        except psycopg.OperationalError as error:
            if self._writes.closed:
                raise
            _log.warning("pool %s: %s; its results are dropped and its nodes asked again", pool, error)
            return self._ask_again(results)
        except Exception:
            _log.exception("pool %s cannot be decided; its nodes are asked again", pool)
            return self._ask_again(results)
        self._figures.dropped(len(applied.stale))
        return bool(applied.step.events or applied.step.decisions)

    def _ask_again(self, results: list[Result]) -> bool:
        with self._writes.cursor() as cursor:
            cursor.execute(
                """UPDATE nodes_nodestate SET owner = NULL, due_at = now() + interval '2 seconds', version = version + 1
                   WHERE node_id = ANY(%s) AND owner = %s""",
                ([r.node for r in results], self._session),
            )
        return False

    async def _duty(self) -> None:
        """Each second: pools that wait for time alone, our own trust, canaries, figures, the successor."""
        while not self._ending.is_set():
            self._sight.canary_trouble = await self._duties.canaries(self._egress)
            changed = await self._loop.run_in_executor(
                self._writer, self._duties.each_second, self._sight, self._pulse, self._now()
            )
            for pool in changed.pools:
                if await self._loop.run_in_executor(self._writer, self._advance, pool, []):
                    changed.hints.add(pool)
            if changed.hints or changed.fleet:
                await live.ahint(changed.hints)
            try:
                await asyncio.wait_for(self._ending.wait(), 1.0)
            except TimeoutError:
                continue
