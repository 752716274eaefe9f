"""A pool as a line of the dashboard: tall where somebody should look, one quiet line where all is well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.safestring import SafeString

from nodes.charts import CellState, DayState, Part, shares_bar, strip_24h
from nodes.engine.enums import AdminState, Mode, Strategy
from nodes.engine.pool_sentence import moved, pool_sentence
from nodes.engine.sentences import NOTHING, Sentence, joined, plain
from nodes.engine.service import PoolStatus, Service
from nodes.screens.by_people import ByPeople, Forced, Switch, TakenOut
from nodes.screens.cells import Cells, cell_state, pool_cells, worst
from nodes.screens.node_row import NodeRow
from nodes.screens.overview import Block, PoolRow
from nodes.screens.wanted import needs_a_look
from nodes.series import CellState as DayWord
from nodes.series import PoolPresent

_MODES = {Mode.FORCED_OPEN: "forced open", Mode.FORCED_CLOSED: "forced closed", Mode.METRICS_ONLY: "kept to metrics only"}

_DAY = {word: DayState(word.value) for word in DayWord}
DayCells = tuple[DayWord, ...]

CHIPS = 6  # nodes that are named
NODES_OFFERED = 3  # for an action, in the menu of their pool
NODES_TICKED = 60  # that can be ticked one by one in the line of a pool
QUIET, TALL = 4, 10  # px of the bar of shares


class Kind(StrEnum):
    """How a pool is drawn."""

    HOT = "hot"
    SLIM = "slim"  # needs a look, among many that do
    ONE = "one"


@dataclass(frozen=True, slots=True)
class NodeChip:
    """A node that matters: it is out, or received what another one lost (`gained`, basis points)."""

    id: int
    name: str
    share: int
    state: CellState
    breaker: str  # in a word; empty while it is closed and automatic
    trial_at: datetime | None
    mode_until: datetime | None
    gained: int = 0


@dataclass(frozen=True, slots=True)
class Menu:
    """What can be done with the pool, and with the nodes that matter."""

    slug: str
    paused: bool
    tiered: bool
    nodes: tuple[tuple[int, str, bool], ...]  # id, name, and whether a person took it out


@dataclass(frozen=True, slots=True)
class Tick:
    """A node or pool that can be selected."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class PoolLine:
    """`word` and `shape` are the state's; `day` is empty where the last 24 h are not known."""

    id: int
    name: str
    slug: str
    kind: Kind
    word: str
    service: Service
    cells: Cells
    parts: tuple[Part, ...]
    eligible: int
    p95: float | None
    errors: float | None
    switched_at: datetime | None
    day: DayCells
    day_start: datetime
    why: Sentence
    chips: tuple[NodeChip, ...]
    more: int
    blocks: tuple[Block, ...]
    menu: Menu
    selecting: bool
    ticks: tuple[Tick, ...]

    @property
    def urgent(self) -> tuple[object, ...]:
        """All but figures that may wait a second."""
        return (
            self.name, self.kind, self.word, self.service, self.cells, self.parts, self.eligible, self.why,
            self.chips, self.more, self.blocks, self.menu, self.selecting, self.ticks,
        )  # fmt: skip  # what belongs together stays on a line

    @property
    def mark(self) -> str:
        """Another one when the state of the pool or its traffic is another."""
        return f"{self.word} {self.eligible} {' '.join(str(part.points) for part in self.parts)}"

    @property
    def bar(self) -> SafeString:
        return shares_bar(self.parts, height=QUIET if self.kind is Kind.ONE else TALL)

    @property
    def strip(self) -> SafeString | str:
        return strip_24h([_DAY[each] for each in self.day], self.day_start, subject=self.name).svg if self.day else ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one pool beside its rows."""

    present: PoolPresent
    day: DayCells
    day_start: datetime
    people: ByPeople


def pool_line(pool: PoolRow, kind: Kind, known: Known, *, selecting: bool) -> PoolLine:
    tall = kind is Kind.HOT
    switch = known.people.switches.get(pool.id) if kind is not Kind.ONE else None
    gains = _gains(pool, switch)
    chips = _chips(pool, gains) if tall else []
    return PoolLine(
        id=pool.id,
        name=pool.name,
        slug=pool.slug,
        kind=kind,
        word=word(pool),
        service=pool.service,
        cells=pool_cells(pool.nodes),
        parts=tuple(Part(node.name, node.share, max(0, gains.get(node.id, 0))) for node in pool.nodes if node.share),
        eligible=pool.eligible,
        p95=known.present.p95,
        errors=known.present.errors,
        switched_at=known.present.switched_at,
        day=known.day if kind is Kind.ONE or tall or pool.truth.in_use else (),
        day_start=known.day_start,
        why=_why(pool, known.people, switch) if kind is not Kind.ONE else NOTHING,
        chips=tuple(chips[:CHIPS]),
        more=max(0, len(chips) - CHIPS),
        blocks=pool.blocks if kind is not Kind.ONE else (),
        menu=_menu(pool),
        selecting=selecting,
        ticks=tuple(Tick(node.id, node.name) for node in pool.nodes[:NODES_TICKED]) if selecting else (),
    )


def word(pool: PoolRow) -> str:
    """The pool's status; a node that fails below its limit is worth a word where the pool is healthy."""
    if pool.status is PoolStatus.HEALTHY and worst(pool.nodes) is not CellState.HEALTHY:
        return str(worst(pool.nodes))
    return str(pool.status)


def _gains(pool: PoolRow, switch: Switch | None) -> dict[int, int]:
    """By how much more each node holds than before the last change; nothing when that is long ago."""
    if switch is None:
        return {}
    return {node.id: node.share - switch.before.get(node.id, 0) for node in pool.nodes}


def _chips(pool: PoolRow, gains: dict[int, int]) -> list[NodeChip]:
    """Those that are not healthy, the worst first, then who received most; in a small pool all."""
    odd = sorted((node for node in pool.nodes if _odd(node) and not _said(node)), key=lambda node: -node.rank)
    taking = sorted((node for node in pool.nodes if not _odd(node) and gains.get(node.id, 0) > 0), key=lambda n: -gains[n.id])
    rest = [] if odd or taking or needs_a_look(pool) else [node for node in pool.nodes if node.share]
    return [_chip(node, gains.get(node.id, 0) if node in taking else 0) for node in [*odd, *taking, *rest]]


def _odd(node: NodeRow) -> bool:
    return cell_state(node) is not CellState.HEALTHY or node.forced


def _said(node: NodeRow) -> bool:
    """The sentence of its pool says all of it: taken out and without a share, or failing below its limit."""
    if node.breaker_word != "closed":
        return False
    return node.share == 0 if node.taken_out else cell_state(node) is CellState.SUSPECT


def _chip(node: NodeRow, gained: int) -> NodeChip:
    return NodeChip(
        id=node.id,
        name=node.name,
        share=node.share,
        state=cell_state(node),
        breaker=node.breaker_word if node.forced or (node.breaker_word != "closed" and node.breaker_word != "automatic") else "",
        trial_at=None if node.waits_for_health else node.trial_at,
        mode_until=node.mode_until,
        gained=gained,
    )


def _menu(pool: PoolRow) -> Menu:
    odd = [node for node in pool.nodes if cell_state(node) is not CellState.HEALTHY][:NODES_OFFERED]
    nodes = tuple((node.id, node.name, node.taken_out) for node in odd)
    return Menu(pool.slug, pool.paused, pool.strategy == Strategy.ACTIVE_PASSIVE, nodes)


def _why(pool: PoolRow, people: ByPeople, switch: Switch | None) -> Sentence:
    said = [pool_sentence(pool.view, pool.truth)]
    if switch is not None:
        names = {node.id: node.name for node in pool.nodes}
        before = {names[node]: points for node, points in switch.before.items() if node in names}
        said.append(moved(pool.view, before, switch.at.timestamp()))
    said += [_taken_out(node, people.taken_out.get(node.id, TakenOut())) for node in pool.nodes if node.taken_out][:2]
    said += [_forced(node, people.forced.get(node.id)) for node in pool.nodes if node.forced][:2]
    return joined(said)


def _forced(node: NodeRow, act: Forced | None) -> Sentence:
    by, why = (act.by, act.reason) if act else ("", "")
    return plain(f"The breaker of {node.name} is {_MODES[node.mode]}{f' by {by}' if by else ''}{f': {why}' if why else ''}.")


def _taken_out(node: NodeRow, act: TakenOut) -> Sentence:
    state = {AdminState.MAINTENANCE: "in maintenance", AdminState.DRAINING: "draining"}.get(node.admin, "disabled")
    by = f" by {act.by}" if act.by else ""
    return plain(f"{node.name} is {state}{by}{f': {act.reason}' if act.reason else ''}.")
