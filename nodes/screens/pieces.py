"""Cutting a page into pieces that can be replaced one by one, each known by the id of its element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import render_to_string


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of a page.

    `subject` is all that its template reads, under the name `name`; `inside` are the ids of the pieces within it, in
    order.  `steady` is the part of the subject whose change is shown at once; the rest (strips, latencies) may wait a
    second.  `acts` says that operators see buttons in it.
    """

    id: str
    template: str
    name: str
    subject: object
    inside: tuple[str, ...] = ()
    steady: object = None
    acts: bool = False

    def render(self, *, operator: bool) -> str:
        return render_to_string(self.template, {self.name: self.subject, "operator": operator})


@dataclass(frozen=True, slots=True)
class Screen:
    """A page at one instant: what its template takes, its pieces by id, and the pools whose changes concern it (None: all)."""

    context: Mapping[str, Any]
    pieces: Mapping[str, Piece] = field(default_factory=dict)
    pools: frozenset[int] | None = None


def by_id(*pieces: Piece) -> dict[str, Piece]:
    return {piece.id: piece for piece in pieces}


def everything(pieces: Mapping[str, Piece]) -> list[Piece]:
    """The pieces that together hold the whole page: those that are inside no other."""
    inner = {name for piece in pieces.values() for name in piece.inside}
    return [piece for piece in pieces.values() if piece.id not in inner]


@dataclass(frozen=True, slots=True)
class Difference:
    """What must be sent, outer pieces before inner ones, and what is seen after that."""

    sent: tuple[Piece, ...]
    seen: Mapping[str, Piece]


def difference(old: Mapping[str, Piece], new: Mapping[str, Piece], *, at_once: bool = False) -> Difference:
    """How to turn `old` into `new`; with `at_once` the changes that may wait are left for later.

    A piece whose inner pieces are others, or in another order, is sent whole.
    """
    sent: list[Piece] = []
    covered: set[str] = set()
    seen = dict(new)
    for piece in new.values():
        before = old.get(piece.id)
        if piece.id in covered:
            covered.update(piece.inside)
        elif before is None or before.inside != piece.inside:
            sent.append(piece)
            covered.update(piece.inside)
        elif not piece.inside and before.subject != piece.subject:
            if at_once and piece.steady is not None and before.steady == piece.steady:
                seen[piece.id] = before
            else:
                sent.append(piece)
    return Difference(tuple(sent), seen)
