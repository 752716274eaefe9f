"""The nodes of a pool as cells: the state of each in one word, and the picture with the ids that its card is asked by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from nodes.charts import CellState, NodeCell, cells
from nodes.engine.enums import AdminState, Health, State
from nodes.screens.node_row import NodeRow

_ALL_UP_TO, _WORST = 26, 12  # nodes, as the picture draws them
_WIDE_UP_TO, _WIDE, _NARROW = 12, 12, 6  # nodes; px from one cell to the next
_TAKEN_OUT = {
    AdminState.DRAINING: CellState.DRAINING,
    AdminState.MAINTENANCE: CellState.MAINTENANCE,
    AdminState.DISABLED: CellState.DISABLED,
}
_RANK = {state: rank for rank, state in enumerate(CellState)}


def cell_state(node: NodeRow) -> CellState:
    """Its state in a word: what a person made of it, else what its checks and its breaker say."""
    if node.admin in _TAKEN_OUT:
        return _TAKEN_OUT[node.admin]
    if node.health == Health.FAILED or node.effective == State.OPEN or node.unconfirmed:
        return CellState.FAILED
    if node.stale or node.health == Health.UNKNOWN:
        return CellState.STALE
    if node.health == Health.RECOVERING or node.effective == State.HALF_OPEN:
        return CellState.RECOVERING
    return CellState.SUSPECT if node.fails or node.health == Health.DEGRADED else CellState.HEALTHY


@dataclass(frozen=True, slots=True)
class Cells:
    """The picture of a pool's nodes; `ids` of the drawn ones in their order, `pitch` px from one to the next."""

    nodes: tuple[NodeCell, ...]
    ids: str
    narrow: bool

    @property
    def pitch(self) -> int:
        return _NARROW if self.narrow or len(self.nodes) > _WIDE_UP_TO else _WIDE

    @property
    def svg(self) -> SafeString:
        return cells(self.nodes, narrow=self.narrow)


def pool_cells(nodes: Sequence[NodeRow], *, narrow: bool = False) -> Cells:
    drawn = [(node.id, NodeCell(node.name, cell_state(node))) for node in nodes]
    shown = drawn if len(drawn) <= _ALL_UP_TO else sorted(drawn, key=lambda each: _RANK[each[1].state])[:_WORST]
    return Cells(tuple(cell for _, cell in drawn), " ".join(str(number) for number, _ in shown), narrow)


def worst(nodes: Sequence[NodeRow]) -> CellState:
    return min((cell_state(node) for node in nodes), key=_RANK.__getitem__, default=CellState.HEALTHY)
