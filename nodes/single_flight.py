"""One question under way for all who ask the same: whoever comes while it is being answered waits for the next one.

So each answer was asked for after whoever gets it came, and a thousand who ask at once cost two questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from asgiref.sync import SyncToAsync

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class SingleFlight(Generic[Key, Answer]):
    """Questions by key, in one event loop."""

    def __init__(self, ask: Callable[[Key], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._next: dict[tuple[asyncio.AbstractEventLoop, Key], asyncio.Task[Answer]] = {}
        self._now: dict[tuple[asyncio.AbstractEventLoop, Key], asyncio.Task[Answer]] = {}

    async def answer(self, key: Key) -> Answer:
        """What `ask(key)` returns or raises; who is cancelled meanwhile cancels it for nobody else."""
        place = asyncio.get_running_loop(), key
        if place not in self._next:
            self._next[place] = place[0].create_task(self._fly(place), context=_nobodys())
        return await asyncio.shield(self._next[place])

    async def _fly(self, place: tuple[asyncio.AbstractEventLoop, Key]) -> Answer:
        before = self._now.get(place)
        if before is not None:
            await asyncio.wait([before])
        flight = self._now[place] = self._next.pop(place)
        try:
            return await self._ask(place[1])
        finally:
            if self._now.get(place) is flight:
                del self._now[place]


def _nobodys() -> Context:
    """A context that does not use the thread of the request that happens to ask first: it may end before the answer."""
    context = copy_context()
    context.run(SyncToAsync.thread_sensitive_context.set, None)  # type: ignore[arg-type]  # as before any was set
    return context
