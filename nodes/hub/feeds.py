"""One page that somebody looks at (`Feed`), and one browser that does (`Reader`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.template.loader import render_to_string

from nodes import screens
from nodes.screens import Piece, Screen

_READERS: Mapping[str, Callable[[str, datetime], Screen | None]] = {
    "page": lambda key, now: screens.dashboard(now) if key == "dashboard" else None,
    "pool": screens.pool,
    "node": lambda key, now: screens.node(int(key), now) if _is_number(key) else None,
    "incident": lambda key, now: screens.incident(int(key), now) if _is_number(key) else None,
}


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 19  # a bigint


@dataclass(frozen=True, slots=True)
class Topic:
    """What a page shows: the kind of page, and which one."""

    kind: str
    key: str

    @staticmethod
    def asked(query: Mapping[str, list[str]]) -> Topic | None:
        """The topic that a parsed query string names; None when it names none, or more than one."""
        if len(query) != 1:
            return None
        kind, keys = next(iter(query.items()))
        return Topic(kind, keys[0]) if kind in _READERS and len(keys) == 1 else None

    def read(self, now: datetime) -> Screen | None:
        return _READERS[self.kind](self.key, now)


class Reader:
    """A browser: what it has not been sent yet, the latest of each piece only, so that a slow one holds no more than a page."""

    def __init__(self, *, operator: bool) -> None:
        self.operator = operator
        self.gone = False  # the hub has nothing more for it: it shall connect again
        self._unsent: dict[str, str] = {}
        self._wake = asyncio.Event()

    def offer(self, element: str, html: str) -> None:
        self._unsent.pop(element, None)  # to the end: a later piece may lie inside an earlier one
        self._unsent[element] = html
        self._wake.set()

    def dismiss(self) -> None:
        self.gone = True
        self._wake.set()

    async def take(self) -> str:
        """All that is unsent, as soon as there is something; empty when the hub dismissed this reader."""
        await self._wake.wait()
        self._wake.clear()
        html, self._unsent = "".join(self._unsent.values()), {}
        return html


@dataclass(frozen=True, slots=True)
class Rendered:
    """Pieces as HTML for one class of readers."""

    pieces: tuple[tuple[str, str], ...]  # id and HTML


class Feed:
    """A topic, what its readers see now, and who they are.  `refresh` and `whole` run in the rendering thread."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.readers: set[Reader] = set()
        self.lock = asyncio.Lock()  # a refresh, or a reader who joins
        self.read_at = float("-inf")  # loop time
        self.pools: frozenset[int] | None = None
        self._latest: Mapping[str, Piece] = {}
        self._seen: Mapping[str, Piece] = {}

    def refresh(self, now: datetime, *, at_once: bool, classes: frozenset[bool]) -> dict[bool, Rendered] | None:
        """What changed since the last time, for each class of readers (operator or not); None when the page is gone."""
        try:
            screen = self.topic.read(now)
            if screen is None:
                return None
            found = screens.difference(self._seen, screen.pieces, at_once=at_once)
            self._latest, self._seen, self.pools = screen.pieces, found.seen, screen.pools
            return _rendered(found.sent, classes)
        finally:
            connection.close()

    def whole(self, *, operator: bool) -> Rendered:
        """Everything on the page, for somebody who joins."""
        return _rendered(tuple(screens.everything(self._latest)), frozenset({operator}))[operator]


def _rendered(pieces: tuple[Piece, ...], classes: frozenset[bool]) -> dict[bool, Rendered]:
    """Each piece once, those with buttons once for each class."""
    html = {
        (piece.id, operator): piece.render(operator=operator)
        for piece in pieces
        for operator in (classes if piece.acts else {False})
    }
    return {
        operator: Rendered(tuple((piece.id, html[piece.id, operator and piece.acts]) for piece in pieces)) for operator in classes
    }


def pulse(now: datetime, checked_at: datetime | None) -> str:
    """The sign of life that every page gets: the server's time, and how old the newest check is."""
    return render_to_string("nodes/pulse.html", {"now": now, "checked_at": checked_at})
