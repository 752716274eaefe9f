"""What a web process does beside its requests: it shows its supervisor that the loop turns, and watches for silence in a thread.

The server calls it by the ASGI lifespan protocol, once it serves and once more when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from failover_console.silence_watch import SilenceWatch
from nodes.sign_of_life import EVERY, SignOfLife

Message = MutableMapping[str, Any]


async def lifespan(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI application of the type `lifespan`."""
    await receive()
    signs = asyncio.create_task(_show_signs())
    watch = SilenceWatch()
    watch.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    watch.stop()
    signs.cancel()
    await send({"type": "lifespan.shutdown.complete"})


async def _show_signs() -> None:
    sign = SignOfLife()
    try:
        while True:
            sign.show()
            await asyncio.sleep(EVERY)
    finally:
        sign.end()
