"""Sentences made of parts, so that a page can mark them up and count their instants, and a title can take them as text.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from nodes.engine.headline import span


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of text; or an instant in epoch seconds: how long ago `since` was, how long still until `until`."""

    text: str = ""
    strong: bool = False
    since: float | None = None
    until: float | None = None
    slug: str = ""  # of the pool that the text names

    @property
    def since_moment(self) -> datetime | None:
        return None if self.since is None else datetime.fromtimestamp(self.since, UTC)

    @property
    def until_moment(self) -> datetime | None:
        return None if self.until is None else datetime.fromtimestamp(self.until, UTC)

    def as_text(self, now: float) -> str:
        if self.since is not None:
            return span(now - self.since).replace(" ", "\N{NO-BREAK SPACE}")
        if self.until is not None:
            return span(self.until - now).replace(" ", "\N{NO-BREAK SPACE}")
        return self.text


@dataclass(frozen=True, slots=True)
class Sentence:
    """Parts in order; without any it says nothing."""

    parts: tuple[Part, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.parts)

    def as_text(self, now: float) -> str:
        return "".join(part.as_text(now) for part in self.parts)


NOTHING = Sentence()


def joined(sentences: Iterable[Sentence]) -> Sentence:
    """Several as one, a space between."""
    parts: list[Part] = []
    for sentence in filter(None, sentences):
        parts += [Part(" "), *sentence.parts] if parts else sentence.parts
    return Sentence(tuple(parts))


def plain(text: str) -> Sentence:
    return Sentence((Part(text),)) if text else NOTHING


def strong(text: str) -> Sentence:
    return Sentence((Part(text, strong=True),))


def lasting(before: str, since: float | None, after: str = "", *, is_strong: bool = False) -> Sentence:
    """`before` for so long `after`; without an instant, `before` alone."""
    if since is None:
        return Sentence((Part(f"{before}{after}.", is_strong),))
    return Sentence((Part(f"{before} for ", is_strong), Part(strong=is_strong, since=since), Part(f"{after}.", is_strong)))
