"""The list of pools: who needs a look first, then the healthy ones as quiet lines or as cells, cut into live fragments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nodes.screens.cells import Cells, pool_cells
from nodes.screens.fragments import Fragment, by_id
from nodes.screens.overview import PoolRow
from nodes.screens.pool_line import Kind, Known, PoolLine, pool_line
from nodes.screens.wanted import Wanted, needs_a_look

ALL_TALL = 4  # pools: as few as these are all drawn tall
ROOM = 604  # px for the lines of a screen that is 900 high
HIGH, SLIM, QUIET = 74, 28, 21  # px of a line: tall, slim, healthy
FEWEST, MOST = 2, 8  # tall lines
NO_GROUP = "other"


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to show the list, by its address."""

    words: str
    address: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """What the filter shows, and the ways to show it."""

    pools: int
    nodes: int
    of: int  # pools altogether
    narrows: bool
    everything: str  # address without a filter
    shows: tuple[Choice, ...]
    select: str  # address that begins or ends selecting
    selecting: bool


@dataclass(frozen=True, slots=True)
class Tile:
    id: int
    name: str
    slug: str
    cells: Cells


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles under a name: a tag, a zone or a first letter."""

    name: str
    tiles: tuple[Tile, ...]
    nodes: int


@dataclass(frozen=True, slots=True)
class Wall:
    """Healthy pools as cells; `selecting`: with a box to tick."""

    groups: tuple[Group, ...]
    pools: int
    nodes: int
    by: tuple[Choice, ...]
    selecting: bool


@dataclass(frozen=True, slots=True)
class Top:
    """The head of the list: columns, or how many need a look; `none`: why there is nothing below it."""

    columns: bool
    look: int
    of: int
    none: str = ""
    everything: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """Between the lines that need a look and quiet ones: how many of these there are."""

    id: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class FleetList:
    top: Top
    look: tuple[PoolLine, ...]
    headings: tuple[tuple[Heading, tuple[PoolLine, ...]], ...]
    wall: Wall
    counted: Counted


def fleet_list(pools: Sequence[PoolRow], wanted: Wanted, known: Mapping[int, Known]) -> FleetList:
    """`pools` worst first."""
    matching = [pool for pool in pools if wanted.matches(pool)]
    as_cells, selecting = wanted.in_cells(len(pools)), bool(wanted.select)
    small = len(pools) <= ALL_TALL and not as_cells
    look = [pool for pool in matching if needs_a_look(pool) or (small and pool.truth.in_use)]
    idle = [pool for pool in matching if not pool.truth.in_use and pool not in look]
    healthy = [pool for pool in matching if pool not in look and pool not in idle]
    tall = 0 if as_cells else _tall(len(look), len(idle) + len(healthy))
    lines = tuple(
        pool_line(pool, Kind.HOT if place < tall else Kind.SLIM, known[pool.id], selecting=selecting)
        for place, pool in enumerate(look)
    )
    quiet = [("healthy", "healthy", [] if as_cells else healthy), ("idle", "disabled", idle)]
    headings = tuple(
        (
            Heading(f"pools-{name}", state, f"{len(found)} {'healthy' if name == 'healthy' else 'not in service'}"),
            tuple(pool_line(pool, Kind.ONE, known[pool.id], selecting=selecting) for pool in found),
        )
        for name, state, found in quiet
        if found
    )
    return FleetList(
        top=_top(pools, matching, wanted, look=sum(needs_a_look(pool) for pool in look), as_cells=as_cells),
        look=lines,
        headings=headings,
        wall=_wall(healthy if as_cells else [], wanted),
        counted=_counted(pools, matching, wanted, as_cells=as_cells),
    )


def _tall(look: int, quiet: int) -> int:
    """How many lines may be tall so that all fit on the screen; the others are slim."""
    return min(MOST, max(FEWEST, (ROOM - QUIET * quiet - SLIM * look) // (HIGH - SLIM)))


def _top(pools: Sequence[PoolRow], matching: Sequence[PoolRow], wanted: Wanted, *, look: int, as_cells: bool) -> Top:
    none = "" if matching else "empty" if not pools else "no match"
    return Top(not as_cells, look, len(pools), none, wanted.unfiltered.address)


def _counted(pools: Sequence[PoolRow], matching: Sequence[PoolRow], wanted: Wanted, *, as_cells: bool) -> Counted:
    shows = tuple(
        Choice(words, replace(wanted, show=show).address, as_cells == (show == "cells"))
        for words, show in (("Rows", "rows"), ("Cells", "cells"))
    )
    nodes = sum(len(pool.nodes) for pool in matching)
    return Counted(
        len(matching),
        nodes,
        len(pools),
        wanted.narrows,
        wanted.unfiltered.address,
        shows,
        wanted.selecting_address,
        bool(wanted.select),
    )


def _wall(healthy: Sequence[PoolRow], wanted: Wanted) -> Wall:
    grouped: dict[str, list[PoolRow]] = defaultdict(list)
    for pool in healthy:
        grouped[_group(pool, wanted.by)].append(pool)
    groups = tuple(
        Group(
            name,
            tuple(Tile(each.id, each.name, each.slug, pool_cells(each.nodes, narrow=True)) for each in found),
            sum(len(each.nodes) for each in found),
        )
        for name, found in sorted(grouped.items(), key=lambda item: (item[0] == NO_GROUP, item[0]))
    )
    by = tuple(
        Choice(words, replace(wanted, by=value).address, wanted.by == value)
        for words, value in (("tag", ""), ("zone", "zone"), ("name", "name"))
    )
    return Wall(groups, len(healthy), sum(group.nodes for group in groups), by, bool(wanted.select))


def _group(pool: PoolRow, by: str) -> str:
    """The tag or zone that most of its nodes have, or its first letter."""
    if by == "name":
        return pool.name[:1].upper()
    words = [node.zone for node in pool.nodes if node.zone] if by == "zone" else [tag for node in pool.nodes for tag in node.tags]
    return max(sorted(set(words)), key=words.count, default=NO_GROUP)


def list_fragments(shown: FleetList) -> dict[str, Fragment]:
    """Each line by itself; the whole list where lines come, go or change places."""
    line, page = "nodes/pool_line.html", "nodes/dashboard.html"
    inner = [
        Fragment("pools-top", f"{page}#top", "top", shown.top),
        *(_line(line, each) for each in shown.look),
    ]
    for heading, lines in shown.headings:
        inner.append(Fragment(heading.id, f"{page}#heading", "heading", heading))
        inner += [_line(line, each) for each in lines]
    whole = Fragment("pools", f"{page}#pools", "listing", shown, children=tuple(each.id for each in inner), has_actions=True)
    return by_id(
        whole,
        *inner,
        Fragment("wall", f"{page}#wall", "wall", shown.wall, has_actions=True),
        Fragment("counted", f"{page}#counted", "counted", shown.counted, has_actions=True),
    )


def _line(template: str, line: PoolLine) -> Fragment:
    return Fragment(f"pool-{line.id}", template, "line", line, urgent=line.urgent, has_actions=True)
