"""A live page: `Topic` names it, `Channel` renders its changes, `Subscriber` buffers them for one browser.

Input: what `nodes.screens` reads from the database.  Output: HTML of whole fragments.  Holds no database lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.template.loader import render_to_string

from nodes import screens
from nodes.screens import Fragment, Screen
from nodes.screens.chrome import chrome
from nodes.screens.wanted import Wanted

_SCREENS: Mapping[str, Callable[[str, datetime], Screen | None]] = {
    "page": lambda key, now: _PAGES[key](now) if key in _PAGES else None,
    "fleet": lambda key, now: screens.dashboard(now, wanted) if (wanted := Wanted.of_address(key)) else None,
    "pool": screens.pool,
    "node": lambda key, now: screens.node(int(key), now) if _is_number(key) else None,
    "incident": lambda key, now: screens.incident(int(key), now) if _is_number(key) else None,
    "incidents": screens.incidents,
    "events": screens.events,
}

_PAGES: Mapping[str, Callable[[datetime], Screen]] = {
    "dashboard": screens.dashboard,
    "frame": lambda _now: Screen({}, pools=frozenset()),  # a page of which only the frame is live
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
        return Topic(kind, keys[0]) if kind in _SCREENS and len(keys) == 1 and keys[0].isprintable() else None

    def read(self, now: datetime) -> Screen | None:
        return _SCREENS[self.kind](self.key, now)


class Subscriber:
    """One browser: what it was not sent yet, the latest of each fragment only, so that a slow one buffers no more than a page."""

    def __init__(self, *, operator: bool) -> None:
        self.operator = operator
        self.closed = False  # the hub sends nothing more: the browser is to connect again
        self._unsent: dict[str, str] = {}
        self._wake = asyncio.Event()

    def offer(self, element: str, html: str) -> None:
        self._unsent.pop(element, None)  # to the end: a later fragment may lie inside an earlier one
        self._unsent[element] = html
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def take(self) -> str:
        """All that is unsent, as soon as there is something; empty when the hub closed this subscriber."""
        await self._wake.wait()
        self._wake.clear()
        html, self._unsent = "".join(self._unsent.values()), {}
        return html


@dataclass(frozen=True, slots=True)
class Rendered:
    """Fragments as HTML for one class of subscribers."""

    fragments: tuple[tuple[str, str], ...]  # id and HTML


class Channel:
    """A topic, what its subscribers see now, and who they are.  `refresh` and `whole` run in the rendering thread."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.subscribers: set[Subscriber] = set()
        self.lock = asyncio.Lock()  # a refresh, or a new subscriber
        self.read_at = float("-inf")  # loop time
        self.pools: frozenset[int] | None = None
        self._latest: Mapping[str, Fragment] = {}
        self._shown: Mapping[str, Fragment] = {}

    def refresh(self, now: datetime, *, urgent_only: bool, classes: frozenset[bool]) -> dict[bool, Rendered] | None:
        """What changed since the last time, for each class of subscribers (operator or not); None when the page is gone."""
        try:
            screen = self.topic.read(now)
            if screen is None:
                return None
            found = screens.difference(self._shown, screen.fragments, urgent_only=urgent_only)
            self._latest, self._shown, self.pools = screen.fragments, found.shown, screen.pools
            return _rendered(found.sent, classes)
        finally:
            connection.close()

    def whole(self, *, operator: bool) -> Rendered:
        """Everything on the page, for a new subscriber."""
        return _rendered(tuple(screens.outermost(self._latest)), frozenset({operator}))[operator]


def _rendered(fragments: tuple[Fragment, ...], classes: frozenset[bool]) -> dict[bool, Rendered]:
    """Each fragment once, those with buttons once for each class."""
    html = {
        (fragment.id, operator): fragment.render(operator=operator)
        for fragment in fragments
        for operator in (classes if fragment.has_actions else {False})
    }
    return {
        operator: Rendered(tuple((each.id, html[each.id, operator and each.has_actions]) for each in fragments))
        for operator in classes
    }


def foot() -> str:
    """The footer's figures, and the count of open incidents."""
    try:
        return render_to_string("nodes/foot.html#figures", {"chrome": chrome()})
    finally:
        connection.close()


def freshness(now: datetime, checked_at: datetime | None) -> str:
    """What every page gets every few seconds: the server's time, and how old the newest check is."""
    return render_to_string("nodes/freshness.html", {"now": now, "checked_at": checked_at})
