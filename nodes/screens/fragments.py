"""Cuts a page into fragments that can be replaced one by one, each known by the id of its element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import render_to_string


@dataclass(frozen=True, slots=True)
class Fragment:
    """One element of a page.

    `subject` is all that its template reads, under the name `name`; `children` are the ids of the fragments within it, in
    order.  `urgent` is the part of the subject whose change is shown at once; the rest (strips, latencies) may wait a
    second.  `has_actions` says that operators see buttons in it.
    """

    id: str
    template: str
    name: str
    subject: object
    children: tuple[str, ...] = ()
    urgent: object = None
    has_actions: bool = False

    def render(self, *, operator: bool) -> str:
        return render_to_string(self.template, {self.name: self.subject, "operator": operator})


@dataclass(frozen=True, slots=True)
class Screen:
    """A page at one instant: what its template takes, its fragments by id, and the pools whose changes concern it (None: all)."""

    context: Mapping[str, Any]
    fragments: Mapping[str, Fragment] = field(default_factory=dict)
    pools: frozenset[int] | None = None


def by_id(*fragments: Fragment) -> dict[str, Fragment]:
    return {fragment.id: fragment for fragment in fragments}


def outermost(fragments: Mapping[str, Fragment]) -> list[Fragment]:
    """The fragments that together make the whole page: those that are inside no other."""
    inner = {name for fragment in fragments.values() for name in fragment.children}
    return [fragment for fragment in fragments.values() if fragment.id not in inner]


@dataclass(frozen=True, slots=True)
class Difference:
    """What must be sent, outer fragments before inner ones, and what the browser shows after that."""

    sent: tuple[Fragment, ...]
    shown: Mapping[str, Fragment]


def difference(old: Mapping[str, Fragment], new: Mapping[str, Fragment], *, urgent_only: bool = False) -> Difference:
    """How to turn `old` into `new`; with `urgent_only` the changes that may wait are left for later.

    A fragment whose inner fragments are others, or in another order, is sent whole.
    """
    sent: list[Fragment] = []
    covered: set[str] = set()
    shown = dict(new)
    for fragment in new.values():
        before = old.get(fragment.id)
        if fragment.id in covered:
            covered.update(fragment.children)
        elif before is None or before.children != fragment.children:
            sent.append(fragment)
            covered.update(fragment.children)
        elif not fragment.children and before.subject != fragment.subject:
            if urgent_only and fragment.urgent is not None and before.urgent == fragment.urgent:
                shown[fragment.id] = before
            else:
                sent.append(fragment)
    return Difference(tuple(sent), shown)
