"""What was decided and why: a change of shares, or its refusal, with all its reasons; stored as the decision record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nodes.engine.enums import ChangeKind, Guard


class Considered(NamedTuple):
    """One node in a decision: the share before and after, and the rule that took it or left it out."""

    node: int
    name: str
    taken: bool
    rule: str  # a sentence, e.g. "left out: breaker open"
    before: int
    after: int


class GuardAnswer(NamedTuple):
    """What a guard said when it was asked."""

    guard: Guard
    blocks: bool
    reason: str
    lifts_at: float | None = None
    overridden: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of shares, or the refusal of one (`refused_by`), with all its reasons.  `epoch`: the new one, None when refused."""

    kind: ChangeKind
    at: float
    reason: str  # what was seen
    node: int | None
    epoch: int | None
    before: Mapping[int, int]
    after: Mapping[int, int]
    considered: tuple[Considered, ...]
    guards: tuple[GuardAnswer, ...]
    refused_by: Guard | None = None
    lifts_at: float | None = None
    actor: str = "engine"
    active_tier: int | None = None
    continues: int | None = None  # epoch of the recovery of which this is a further step
    trial: bool = False  # gives a share for a trial, or takes it back
