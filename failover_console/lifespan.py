"""What a web process does beside its requests: it shows its supervisor that the loop turns, signs that it listens, and watches for
silence in a thread.  At the end it refuses the reports that still wait, and lets those be counted that are on their way.

The server calls it by the ASGI lifespan protocol, once it serves and once more when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from failover_console.guard import start
from failover_console.silence_watch import SilenceWatch
from nodes import intake, pushes
from nodes.sign_of_life import EVERY, SignOfLife

Message = MutableMapping[str, Any]


async def lifespan(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI application of the type `lifespan`."""
    await receive()
    try:
        start.make_room()
        await asyncio.to_thread(start.count_connections)
        start.warn_of_plain_http()
    except start.TooSmallError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    signs, listening = asyncio.create_task(_show_signs()), asyncio.create_task(pushes.listen(settings.PORT))
    watch = SilenceWatch()
    watch.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await intake.end()
    watch.stop()
    signs.cancel()
    listening.cancel()
    await send({"type": "lifespan.shutdown.complete"})


async def _show_signs() -> None:
    sign = SignOfLife()
    try:
        while True:
            sign.show()
            await asyncio.sleep(EVERY)
    finally:
        sign.end()
