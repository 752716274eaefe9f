"""Seats of a class of requests: so many at once, so many more that wait for a short while, and no address takes more than half."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field


class FullError(Exception):
    """No seat is free, and none will be soon."""


class GreedyError(FullError):
    """This address holds half of the seats and of the places to wait already."""


@dataclass
class Seats:
    """In order of arrival.  `at_once` and `waiting` are numbers of requests, `patience` seconds."""

    at_once: int
    waiting: int
    patience: float
    taken: int = 0
    _queue: deque[asyncio.Future[None]] = field(default_factory=deque)
    _held: Counter[str] = field(default_factory=Counter)  # seats and places of each address

    async def take(self, address: str) -> None:
        """Wait for a seat; raises `FullError` or `GreedyError`.  Whoever has one gives it back by `leave`."""
        if self._held[address] >= (self.at_once + self.waiting + 1) // 2:
            raise GreedyError
        if self.taken >= self.at_once and len(self._queue) >= self.waiting:
            raise FullError
        self._held[address] += 1
        if self.taken < self.at_once:
            self.taken += 1
            return
        try:
            await self._turn()
        except BaseException:
            self._let_go(address)
            raise

    def leave(self, address: str) -> None:
        """Give the seat to who waits longest."""
        self._let_go(address)
        self._pass_on()

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self.patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # the seat came in the same moment, and goes on to the next
                self._pass_on()
            with suppress(ValueError):
                self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise FullError from None
            raise

    def _pass_on(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken -= 1

    def _let_go(self, address: str) -> None:
        self._held[address] -= 1
        if self._held[address] <= 0:
            del self._held[address]
