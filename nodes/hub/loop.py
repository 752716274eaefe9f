"""The hub's loop: reads the versions of the rows, refreshes the channels that they concern, sends to their subscribers.

Input: versions in PostgreSQL each second, sooner after a hint.  Output: fragments offered to subscribers.  Locks: a
channel's own, while it is refreshed or a subscriber joins; none in the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from channels.layers import get_channel_layer
from django.utils import timezone

from nodes.hub.channel import Channel, Rendered, Subscriber, Topic, foot, freshness
from nodes.ledger.connections import aconnect
from nodes.ledger.rows import Row
from nodes.live import GROUP

POLL_EVERY = 1.0  # s, hint or no hint
POLL_APART = 0.25  # s at least between two polls: nobody reads more than four pictures a second
BEAT_EVERY = 2.0  # s between two frames at most, so that a browser that hears nothing for 5 s knows that it is cut off
REFRESH_EVERY = 5.0  # s; pages are then read anew whatever the versions say, since time alone changes some of what they show
FRESH = 1.0  # s for which a page that was read serves new subscribers
SUBSCRIBE_AGAIN = 2.0  # s
CANCEL_AGAIN = 0.2  # s

_log = logging.getLogger(__name__)

# The sum of the nodes' versions moves with each of them.  Every event commits with its pool's or the fleet's version.
_VERSIONS = """
SELECT p.pool_id, p.version, coalesce(n.versions, 0)::bigint AS versions,
       (SELECT max(checked_at) FROM nodes_nodestate) AS checked_at
FROM nodes_poolstate p LEFT JOIN (SELECT pool_id, sum(version) AS versions FROM nodes_nodestate GROUP BY pool_id) n USING (pool_id)
UNION ALL SELECT 0, version, config_version, NULL FROM nodes_fleetstate
"""
_FLEET = 0  # stands for the fleet among the pools' numbers

Stamp = tuple[int, int]


class Hub:
    """Serves the subscribers of one event loop; `subscribe` starts it, and it rests while there is none."""

    def __init__(self) -> None:
        self._channels: dict[Topic, Channel] = {}
        self._task: asyncio.Task[None] | None = None
        self._hinted = asyncio.Event()
        self._wanted = asyncio.Event()  # there is a subscriber
        self._stamps: dict[int, Stamp] = {}
        self._checked_at: datetime | None = None
        self._beat_at = float("-inf")  # loop time
        self._foot = ""
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hub")  # Django renders here, one page at a time

    @property
    def subscribers(self) -> int:
        return sum(len(channel.subscribers) for channel in self._channels.values())

    async def subscribe(self, topic: Topic, subscriber: Subscriber) -> bool:
        """Give `subscriber` the whole page, then every change of it; False when there is no such page."""
        while True:
            channel = self._channels.setdefault(topic, Channel(topic))
            async with channel.lock:
                if self._channels.get(topic) is channel:  # else its last subscriber left meanwhile
                    return await self._admit(channel, subscriber)

    async def _admit(self, channel: Channel, subscriber: Subscriber) -> bool:
        try:
            old = asyncio.get_running_loop().time() - channel.read_at > FRESH
            if old and not await self._refresh(channel, urgent_only=False):
                return False
            whole = await self._in_thread(partial(channel.whole, operator=subscriber.operator))
            self._welcome(channel, subscriber, whole)
            return True
        finally:
            self._drop_unused(channel)

    def _welcome(self, channel: Channel, subscriber: Subscriber, whole: Any) -> None:
        self._offer_all(subscriber, whole)
        subscriber.offer("freshness", freshness(timezone.now(), self._checked_at))
        if self._foot:
            subscriber.offer("foot", self._foot)
        channel.subscribers.add(subscriber)
        self._start()

    def unsubscribe(self, topic: Topic, subscriber: Subscriber) -> None:
        channel = self._channels.get(topic)
        if channel is not None:
            channel.subscribers.discard(subscriber)
            self._drop_unused(channel)

    async def stop(self) -> None:
        """End the loop; browsers then connect again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _start(self) -> None:
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="hub")

    def _drop_unused(self, channel: Channel) -> None:
        if not channel.subscribers:
            self._channels.pop(channel.topic, None)

    async def _run(self) -> None:
        listener = asyncio.get_running_loop().create_task(self._listen(), name="hub hints")
        try:
            await self._serve()
        finally:
            for channel in self._channels.values():
                for subscriber in channel.subscribers:
                    subscriber.close()
            self._channels.clear()
            await self._disconnect()
            while not listener.done():  # the layer's client may swallow a cancellation
                listener.cancel()
                await asyncio.wait({listener}, timeout=CANCEL_AGAIN)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        refreshed = loop.time()
        polled = float("-inf")
        while True:
            if not self._channels:
                self._wanted.clear()
                await self._wanted.wait()
            began = loop.time()
            due, refresh_all = began - polled >= POLL_EVERY, began - refreshed >= REFRESH_EVERY
            try:
                changed = await self._changed_pools()
                await self._update(changed, due=due, refresh_all=refresh_all)
            except (psycopg.Error, OSError) as error:  # the pages say by themselves that they hear nothing
                _log.warning("the live pages cannot read the database: %s", error)
                await self._disconnect()
            except Exception:  # a page that cannot be rendered must not silence the others for good
                _log.exception("a live page failed")
            polled, refreshed = (began if due else polled), (began if refresh_all else refreshed)
            await self._pause(until=polled + POLL_EVERY, earliest=began + POLL_APART)

    async def _pause(self, *, until: float, earliest: float) -> None:
        """Until the next second, or a hint, but not for less than what keeps polls apart."""
        now = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - now)):
                await self._hinted.wait()
        self._hinted.clear()
        await asyncio.sleep(max(0.0, min(earliest, until) - asyncio.get_running_loop().time()))

    async def _changed_pools(self) -> set[int]:
        """The pools whose versions changed since the last poll; `_FLEET` stands for the fleet."""
        if self._connection is None:
            self._connection = await aconnect("hub")
        cursor = await self._connection.execute(_VERSIONS)
        stamps: dict[int, Stamp] = {}
        for row in await cursor.fetchall():
            stamps[row["pool_id"]] = row["version"], row["versions"]
            self._checked_at = row["checked_at"] or self._checked_at
        changed = {pool for pool in stamps.keys() | self._stamps.keys() if stamps.get(pool) != self._stamps.get(pool)}
        self._stamps = stamps
        return changed

    async def _update(self, changed: set[int], *, due: bool, refresh_all: bool) -> None:
        """Refresh the channels that `changed` concerns; between two due polls only what is urgent is sent."""
        for channel in list(self._channels.values()):
            if not channel.subscribers or not (refresh_all or _concerns(changed, channel)):
                continue
            async with channel.lock:
                if not await self._refresh(channel, urgent_only=not due):
                    self._close(channel)
        if refresh_all or (due and changed):
            self._foot = await self._in_thread(foot)
            self._tell_all("foot", self._foot)
        now = asyncio.get_running_loop().time()
        if refresh_all or (due and (changed or now - self._beat_at >= BEAT_EVERY)):
            self._beat_at = now
            self._tell_all("freshness", freshness(timezone.now(), self._checked_at))

    def _tell_all(self, element: str, html: str) -> None:
        for channel in self._channels.values():
            for subscriber in channel.subscribers:
                subscriber.offer(element, html)

    async def _refresh(self, channel: Channel, *, urgent_only: bool) -> bool:
        """Read the page and hand out what changed; False when it is gone.  The caller holds the channel's lock."""
        classes = frozenset(subscriber.operator for subscriber in channel.subscribers)
        found: Mapping[bool, Rendered] | None = await self._in_thread(
            partial(channel.refresh, timezone.now(), urgent_only=urgent_only, classes=classes)
        )
        if found is None:
            return False
        channel.read_at = asyncio.get_running_loop().time()
        for subscriber in channel.subscribers:
            if subscriber.operator in found:  # a new one is admitted under the same lock, so none is missed
                self._offer_all(subscriber, found[subscriber.operator])
        return True

    def _close(self, channel: Channel) -> None:
        for subscriber in channel.subscribers:
            subscriber.close()
        self._channels.pop(channel.topic, None)

    @staticmethod
    def _offer_all(subscriber: Subscriber, rendered: Rendered) -> None:
        for element, html in rendered.fragments:
            subscriber.offer(element, html)

    async def _in_thread(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _listen(self) -> None:
        """Take hints while the channel layer is there; without it the hub polls every second as ever."""
        while True:
            try:
                layer = get_channel_layer()
                if layer is None:
                    return
                inbox = await layer.new_channel("hub")
                await layer.group_add(GROUP, inbox)
                while True:
                    await layer.receive(inbox)
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


def _concerns(changed: set[int], channel: Channel) -> bool:
    return bool(changed) and (channel.pools is None or _FLEET in changed or not changed.isdisjoint(channel.pools))


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop: one in a web process."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
