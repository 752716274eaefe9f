"""The hub's loop: look at the versions of the rows, refresh the pages that they concern, fan out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from channels.layers import get_channel_layer
from django.utils import timezone

from nodes.hub.feeds import Feed, Reader, Rendered, Topic, pulse
from nodes.ledger.connections import aconnect
from nodes.ledger.rows import Row
from nodes.live import GROUP

LOOK_EVERY = 1.0  # s, hint or no hint
LOOK_APART = 0.1  # s at least between two looks
PULSE_EVERY = 5.0  # s; pages are then read anew whatever the versions say, since time alone changes some of what they show
FRESH = 1.0  # s for which a page that was read serves those who join
SUBSCRIBE_AGAIN = 2.0  # s
CANCEL_AGAIN = 0.2  # s

_log = logging.getLogger(__name__)

# The sum of the nodes' versions moves with each of them.  Every event commits with its pool's or the fleet's version.
_LOOK = """
SELECT p.pool_id, p.version, coalesce(n.versions, 0)::bigint AS versions,
       (SELECT max(checked_at) FROM nodes_nodestate) AS checked_at
FROM nodes_poolstate p LEFT JOIN (SELECT pool_id, sum(version) AS versions FROM nodes_nodestate GROUP BY pool_id) n USING (pool_id)
UNION ALL SELECT 0, version, config_version, NULL FROM nodes_fleetstate
"""
_FLEET = 0  # stands for the fleet among the pools' numbers

Stamp = tuple[int, int]


class Hub:
    """Serves the readers of one event loop; `join` starts it, and it rests while nobody reads."""

    def __init__(self) -> None:
        self._feeds: dict[Topic, Feed] = {}
        self._task: asyncio.Task[None] | None = None
        self._hinted = asyncio.Event()
        self._wanted = asyncio.Event()  # somebody reads
        self._stamps: dict[int, Stamp] = {}
        self._checked_at: datetime | None = None
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub")  # Django renders here, one page at a time

    @property
    def readers(self) -> int:
        return sum(len(feed.readers) for feed in self._feeds.values())

    async def join(self, topic: Topic, reader: Reader) -> bool:
        """Give `reader` the whole page, then every change of it; False when there is no such page."""
        while True:
            feed = self._feeds.setdefault(topic, Feed(topic))
            async with feed.lock:
                if self._feeds.get(topic) is feed:  # else its last reader left meanwhile
                    return await self._let_in(feed, reader)

    async def _let_in(self, feed: Feed, reader: Reader) -> bool:
        if asyncio.get_running_loop().time() - feed.read_at > FRESH and not await self._refresh(feed, at_once=False):
            self._forget(feed)
            return False
        self._give(reader, await self._in_thread(partial(feed.whole, operator=reader.operator)))
        reader.offer("pulse", pulse(timezone.now(), self._checked_at))
        feed.readers.add(reader)
        self._start()
        return True

    def leave(self, topic: Topic, reader: Reader) -> None:
        feed = self._feeds.get(topic)
        if feed is not None:
            feed.readers.discard(reader)
            self._forget(feed)

    async def stop(self) -> None:
        """End the loop; readers are told to connect again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _start(self) -> None:
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="hub")

    def _forget(self, feed: Feed) -> None:
        if not feed.readers:
            self._feeds.pop(feed.topic, None)

    async def _run(self) -> None:
        listener = asyncio.get_running_loop().create_task(self._listen(), name="hub hints")
        try:
            await self._serve()
        finally:
            for feed in self._feeds.values():
                for reader in feed.readers:
                    reader.dismiss()
            self._feeds.clear()
            await self._disconnect()
            while not listener.done():  # the layer's client may swallow a cancellation
                listener.cancel()
                await asyncio.wait({listener}, timeout=CANCEL_AGAIN)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        pulsed = loop.time()
        ticked = float("-inf")
        while True:
            if not self._feeds:
                self._wanted.clear()
                await self._wanted.wait()
            began = loop.time()
            tick, beat = began - ticked >= LOOK_EVERY, began - pulsed >= PULSE_EVERY
            try:
                moved = await self._look()
                await self._update(moved, tick=tick, beat=beat)
            except (psycopg.Error, OSError) as error:  # the pages say by themselves that they hear nothing
                _log.warning("the live pages cannot read the database: %s", error)
                await self._disconnect()
            except Exception:  # a page that cannot be rendered must not silence the others for good
                _log.exception("a live page failed")
            ticked, pulsed = (began if tick else ticked), (began if beat else pulsed)
            await self._pause(until=ticked + LOOK_EVERY, earliest=began + LOOK_APART)

    async def _pause(self, *, until: float, earliest: float) -> None:
        """Until the next second, or a hint, but not for less than what keeps looks apart."""
        now = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - now)):
                await self._hinted.wait()
        self._hinted.clear()
        await asyncio.sleep(max(0.0, min(earliest, until) - asyncio.get_running_loop().time()))

    async def _look(self) -> set[int]:
        """The pools that changed since the last look."""
        if self._connection is None:
            self._connection = await aconnect("hub")
        cursor = await self._connection.execute(_LOOK)
        stamps: dict[int, Stamp] = {}
        for row in await cursor.fetchall():
            stamps[row["pool_id"]] = row["version"], row["versions"]
            self._checked_at = row["checked_at"] or self._checked_at
        moved = {pool for pool in stamps.keys() | self._stamps.keys() if stamps.get(pool) != self._stamps.get(pool)}
        self._stamps = stamps
        return moved

    async def _update(self, moved: set[int], *, tick: bool, beat: bool) -> None:
        for feed in list(self._feeds.values()):
            if not feed.readers or not (beat or _concerns(moved, feed)):
                continue
            async with feed.lock:
                if not await self._refresh(feed, at_once=not tick):
                    self._dismiss(feed)
        if beat or (tick and moved):
            sign = pulse(timezone.now(), self._checked_at)
            for feed in self._feeds.values():
                for reader in feed.readers:
                    reader.offer("pulse", sign)

    async def _refresh(self, feed: Feed, *, at_once: bool) -> bool:
        """Read the page and hand out what changed; False when it is gone.  The caller holds the feed's lock."""
        classes = frozenset(reader.operator for reader in feed.readers)
        found: Mapping[bool, Rendered] | None = await self._in_thread(
            partial(feed.refresh, timezone.now(), at_once=at_once, classes=classes)
        )
        if found is None:
            return False
        feed.read_at = asyncio.get_running_loop().time()
        for reader in feed.readers:
            if reader.operator in found:  # one who joins meanwhile holds the lock, so none is missed
                self._give(reader, found[reader.operator])
        return True

    def _dismiss(self, feed: Feed) -> None:
        for reader in feed.readers:
            reader.dismiss()
        self._feeds.pop(feed.topic, None)

    @staticmethod
    def _give(reader: Reader, rendered: Rendered) -> None:
        for element, html in rendered.pieces:
            reader.offer(element, html)

    async def _in_thread(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _listen(self) -> None:
        """Take hints for as long as the layer lives; while it is away the hub looks every second as ever."""
        while True:
            try:
                layer = get_channel_layer()
                if layer is None:
                    return
                channel = await layer.new_channel("hub")
                await layer.group_add(GROUP, channel)
                while True:
                    await layer.receive(channel)
                    self._hinted.set()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever the layer's client raises
                _log.info("no hints for the live pages: %s", error)
                await asyncio.sleep(SUBSCRIBE_AGAIN)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                await connection.close()


def _concerns(moved: Iterable[int], feed: Feed) -> bool:
    moved = set(moved)
    return bool(moved) and (feed.pools is None or _FLEET in moved or not moved.isdisjoint(feed.pools))


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop: one in a web process."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
