"""What a web process does beside its requests, on the loop that serves them: it shows its supervisor that the loop turns.

The server calls it by the ASGI lifespan protocol, once it serves and once more when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from nodes.sign_of_life import EVERY, SignOfLife

Message = MutableMapping[str, Any]


async def lifespan(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """An ASGI application of the type `lifespan`."""
    await receive()
    signs = asyncio.create_task(_show_signs())
    await send({"type": "lifespan.startup.complete"})
    await receive()
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
