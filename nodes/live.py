"""The one function that hints to browsers that a pool changed.

A hint is no truth: it may be lost, and the web's hub looks at the database every second by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

GROUP = "live"

_log = logging.getLogger(__name__)


async def ahint(pools: Iterable[int]) -> None:
    """Say that these pools changed (none: something of the fleet); a layer that is away costs a line in the log."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(GROUP, {"type": "changed", "pools": sorted(set(pools))})
    except Exception as error:  # any client error: browsers then see the change within a second
        _log.info("hint not sent: %s", error)


def hint(pools: Iterable[int]) -> None:
    """`ahint` for code outside an event loop; call it after the commit."""
    async_to_sync(ahint)(pools)
