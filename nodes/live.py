"""The one function that hints to browsers that a pool changed.

A hint is no truth: it may be lost, and the web's hub looks at the database every second by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

GROUP = "live"
LONGEST = 1.0  # s for one hint

_log = logging.getLogger(__name__)


async def ahint(pools: Iterable[int]) -> None:
    """Say that these pools changed (none: something of the fleet); a layer that is away costs a line in the log."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async with asyncio.timeout(LONGEST):
            await layer.group_send(GROUP, {"type": "changed", "pools": sorted(set(pools))})
    except Exception as error:  # any client error, or a Redis that hangs: browsers then see the change within a second
        _log.info("hint not sent: %s", str(error) or type(error).__name__)


class Hints:
    """Hints that nobody waits for: those that come while one is on its way are sent as one after it."""

    def __init__(self) -> None:
        self._pools: set[int] = set()
        self._waiting = asyncio.Event()

    def put(self, pools: Iterable[int]) -> None:
        """Hint at these pools (none: something of the fleet), soon."""
        self._pools.update(pools)
        self._waiting.set()

    async def run(self) -> None:
        """Send them, until cancelled."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            pools, self._pools = self._pools, set()
            await ahint(pools)


def hint(pools: Iterable[int]) -> None:
    """`ahint` for code outside an event loop; call it after the commit."""
    async_to_sync(ahint)(pools)
