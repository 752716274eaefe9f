"""A request that waits for long lets others work meanwhile: it gives its turn back before it sleeps, and takes one to go on.

When a thousand wake or are left at once, they go on a few at a time, and what else the process answers is answered between them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Protocol


class Turn(Protocol):
    """What whoever runs the request gives it."""

    async def take(self) -> None: ...

    def leave(self) -> None: ...


current: ContextVar[Turn | None] = ContextVar("turn", default=None)


@asynccontextmanager
async def asleep() -> AsyncIterator[None]:
    """Without a turn inside; with one again afterwards, also when the request is given up."""
    turn = current.get()
    if turn is None:
        yield
        return
    turn.leave()
    try:
        yield
    finally:
        await turn.take()
