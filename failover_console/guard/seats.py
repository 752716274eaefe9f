"""Seats of a class of requests: so many at once, so many more that wait for a short while.

No address has more than half of both, nor the last seat where there are three or more; a free one goes to whoever has the fewest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field


class FullError(Exception):
    """No seat is free, and none will be soon."""


class GreedyError(FullError):
    """This address holds half of the seats and of the places to wait already."""


@dataclass
class Seats:
    """`at_once` and `waiting` are numbers of requests, `patience` seconds."""

    at_once: int
    waiting: int
    patience: float
    _queue: dict[asyncio.Future[None], str] = field(default_factory=dict)  # who waits, the first first -> address
    _seated: Counter[str] = field(default_factory=Counter)  # seats of each address
    _held: Counter[str] = field(default_factory=Counter)  # seats and places of each address
    taken: int = 0

    async def take(self, address: str) -> None:
        """Wait for a seat; raises `FullError` or `GreedyError`.  Whoever has one gives it back by `leave`."""
        if self._held[address] >= (self.at_once + self.waiting + 1) // 2:
            raise GreedyError
        if not self._may_sit(address) and len(self._queue) >= self.waiting:
            raise FullError
        self._held[address] += 1
        if self._may_sit(address):
            self._sit(address)
            return
        try:
            await self._turn(address)
        except BaseException:
            _less(self._held, address)
            raise

    def leave(self, address: str) -> None:
        """Give the seat back."""
        _less(self._held, address)
        self._rise(address)

    def _may_sit(self, address: str) -> bool:
        most = self.at_once - 1 if self.at_once > 2 else self.at_once
        return self.taken < self.at_once and self._seated[address] < most

    def _sit(self, address: str) -> None:
        self.taken += 1
        self._seated[address] += 1

    def _rise(self, address: str) -> None:
        self.taken -= 1
        _less(self._seated, address)
        may = [(self._seated[who], turn) for turn, who in self._queue.items() if self._may_sit(who)]
        if may:
            _, turn = min(may, key=lambda each: each[0])  # of equals the first
            self._sit(self._queue.pop(turn))
            turn.set_result(None)

    async def _turn(self, address: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue[turn] = address
        try:
            async with asyncio.timeout(self.patience):
                await asyncio.shield(turn)
        except BaseException as error:
            if self._queue.pop(turn, None) is None:  # the seat came in the same moment, and goes on to the next
                self._rise(address)
            if isinstance(error, TimeoutError):
                raise FullError from None
            raise


def _less(count: Counter[str], address: str) -> None:
    count[address] -= 1
    if count[address] <= 0:
        del count[address]
