"""Which pools a dashboard shows, and how: read from an address, told again as an address.  Equal wishes have equal addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django import forms

from nodes.charts import CellState
from nodes.engine.service import PoolStatus, Service
from nodes.screens.cells import cell_state
from nodes.screens.node_row import Rank
from nodes.screens.overview import PoolRow

LONGEST = 600  # characters of an address
CELLS_ABOVE = 40  # pools, unless somebody chose
_USERS = tuple((service.value, "unknown" if service is Service.UNKNOWN else service.words) for service in Service)
_WORDS = tuple(dict.fromkeys([*(status.value for status in PoolStatus), *(state.value for state in CellState)]))


class View(StrEnum):
    LOOK = "look"
    PEOPLE = "people"
    BREAKERS = "breakers"

    @property
    def words(self) -> str:
        return {View.LOOK: "Needs a look", View.PEOPLE: "Not on automatic", View.BREAKERS: "Breakers not closed"}[self]


class WantedForm(forms.Form):
    """All optional; what is none of its choices counts as not chosen."""

    q = forms.CharField(required=False, max_length=80)
    state = forms.ChoiceField(
        required=False,
        choices=[("", "any"), ("Users", _USERS), ("Pool or node", [(word, word) for word in _WORDS if word != Service.UNKNOWN])],
    )
    tag = forms.CharField(required=False, max_length=40)
    zone = forms.CharField(required=False, max_length=80)
    view = forms.ChoiceField(required=False, choices=[("", "Everything"), *((view.value, view.words) for view in View)])
    show = forms.ChoiceField(required=False, choices=[("", ""), ("rows", "Rows"), ("cells", "Cells")])
    by = forms.ChoiceField(required=False, choices=[("", "tag"), ("zone", "zone"), ("name", "name")])
    select = forms.ChoiceField(required=False, choices=[("", ""), ("1", "")])

    def offer(self, *, tags: list[str], zones: list[str]) -> None:
        """What the fields for tag and zone are chosen from; what is chosen stays a choice."""
        for name, found in (("tag", tags), ("zone", zones)):
            chosen = self.data[name]
            options = [*found, *([chosen] if chosen and chosen not in found else [])]
            self.fields[name].widget = forms.Select(choices=[("", "any"), *((each, each) for each in options)])
        for name in ("state", "tag", "zone", "view"):
            self.fields[name].widget.attrs["data-value"] = self.data[name]  # by which the page's script sees another choice


@dataclass(frozen=True, slots=True)
class Wanted:
    """`state` is a service or a word of a pool or node; `show` rows, cells or what fits; `by` what cells are grouped by."""

    q: str = ""
    state: str = ""
    tag: str = ""
    zone: str = ""
    view: str = ""
    show: str = ""
    by: str = ""
    select: str = ""

    @staticmethod
    def read(asked: Mapping[str, Any]) -> Wanted:
        form = WantedForm(asked)
        form.is_valid()
        found = form.cleaned_data
        return Wanted(**{each.name: found[each.name] for each in fields(Wanted) if found.get(each.name)})

    @staticmethod
    def of_address(query: str) -> Wanted | None:
        """What a canonical address says; None for any other."""
        if len(query) > LONGEST or not query.isprintable():
            return None
        try:
            found = Wanted.read(dict(parse_qsl(query, max_num_fields=len(fields(Wanted)))))
        except ValueError:
            return None
        return found if found.query == query else None

    @property
    def query(self) -> str:
        return urlencode([(each.name, value) for each in fields(self) if (value := getattr(self, each.name))])

    @property
    def address(self) -> str:
        """Of the dashboard that shows it."""
        return f"/?{self.query}" if self.query else "/"

    @property
    def topic(self) -> str:
        """Of the live socket."""
        return urlencode({"fleet": self.query} if self.query else {"page": "dashboard"})

    @property
    def narrows(self) -> bool:
        """It leaves pools out."""
        return bool(self.q or self.state or self.tag or self.zone or self.view)

    @property
    def unfiltered(self) -> Wanted:
        return replace(self, q="", state="", tag="", zone="", view="")

    @property
    def selecting_address(self) -> str:
        """Begins to select, or ends it."""
        return replace(self, select="" if self.select else "1").address

    def in_cells(self, pools: int) -> bool:
        return self.show == "cells" or (not self.show and pools > CELLS_ABOVE)

    def matches(self, pool: PoolRow) -> bool:
        return (
            (not self.q or all(word in _text(pool) for word in self.q.lower().split()))
            and (not self.state or self.state in _states(pool))
            and (not self.tag or any(self.tag in node.tags for node in pool.nodes))
            and (not self.zone or any(self.zone == node.zone for node in pool.nodes))
            and (not self.view or _VIEWS[View(self.view)](pool))
        )


def _text(pool: PoolRow) -> str:
    words = [pool.name, pool.slug]
    for node in pool.nodes:
        words += [node.name, node.address, node.zone, *node.tags]
    return "\n".join(words).lower()


def _states(pool: PoolRow) -> set[str]:
    if not pool.truth.in_use:
        return {pool.status.value, *(cell_state(node).value for node in pool.nodes)} - {Service.UNKNOWN.value}
    return {pool.service.value, pool.status.value, *(cell_state(node).value for node in pool.nodes)}


def needs_a_look(pool: PoolRow) -> bool:
    """Something of it is not as it should be, or a person holds it."""
    if not pool.truth.in_use and not pool.undecided:
        return False
    return pool.status is not PoolStatus.HEALTHY or bool(pool.blocks) or _touched(pool) or any(_odd(n.rank) for n in pool.nodes)


def _odd(rank: Rank) -> bool:
    return rank != Rank.HEALTHY


def _touched(pool: PoolRow) -> bool:
    return pool.paused or any(node.taken_out or node.forced for node in pool.nodes)


def _open(pool: PoolRow) -> bool:
    return any(node.breaker_word != "closed" for node in pool.nodes)


_VIEWS = {View.LOOK: needs_a_look, View.PEOPLE: _touched, View.BREAKERS: _open}
