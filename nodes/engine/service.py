"""What the users of a pool feel: the three truths, and the pool's state in one word.

In: a pool as its rows show it, and what is known of the console's own sight.  Out: a `Truth`, the one answer that page, title,
favicon, API and metrics read.  `PoolStatus` and `Service` are in order, the worst first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from nodes.engine.enums import AdminState, Guard, Health, State
from nodes.engine.types import Hold


class Service(StrEnum):
    USERS_HIT = "users_hit"  # a part of the traffic, or all of it, goes where it is not answered
    UNKNOWN = "unknown"  # the console cannot tell
    LESS_RESERVE = "less_reserve"  # all traffic is served, by fewer nodes than there should be
    SERVED = "served"

    @property
    def words(self) -> str:
        return _SERVICE_WORDS[self]


_SERVICE_WORDS = {
    Service.USERS_HIT: "users are hit",
    Service.UNKNOWN: "cannot tell",
    Service.LESS_RESERVE: "less reserve",
    Service.SERVED: "served",
}


class PoolStatus(StrEnum):
    DOWN = "down"  # nobody is eligible, or nobody holds traffic
    PENDING = "failover pending"  # a share lies on a node that may not serve
    DEGRADED = "degraded"  # an enabled node is not eligible, others serve
    STALE = "stale"  # a node's checks have no fresh result
    UNKNOWN = "unknown"  # never checked, or the console cannot tell
    RECOVERING = "recovering"  # who was out is on the way back
    DRAINING = "draining"  # served, and a person takes a node out
    MAINTENANCE = "maintenance"
    IDLE = "idle"  # no node is to serve
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as far as the truth of its pool needs it; shares in basis points, instants in epoch seconds."""

    name: str
    share: int = 0
    weight: int = 100
    admin: AdminState = AdminState.ENABLED
    health: Health = Health.HEALTHY
    breaker: State = State.CLOSED  # as callers meet it
    stale: bool = False
    fails: int = 0  # failing checks in a row
    failure_threshold: int = 3
    ever_eligible: bool = True
    ramping: bool = False  # its share comes back in steps
    message: str = ""  # of its last check, or of its failing ones
    opened: str = ""  # why its breaker is not closed
    since: float | None = None  # first bad check of its failure; when its breaker opened
    observed_at: float | None = None  # its last check with a verdict
    refused_by: Guard | None = None  # that blocks its failover

    @property
    def fit(self) -> bool:
        return self.admin is AdminState.ENABLED and self.health in (Health.HEALTHY, Health.DEGRADED)

    @property
    def may_serve(self) -> bool:
        """Eligible, on trial, or merely silent."""
        return self.fit and self.breaker is not State.OPEN

    @property
    def in_service(self) -> bool:
        return self.fit and self.breaker is State.CLOSED

    @property
    def eligible(self) -> bool:
        return self.in_service and not self.stale

    @property
    def unconfirmed(self) -> bool:
        """It fails as many checks as mark it, and no checker that is believed, or no second one, has confirmed it."""
        return self.fails >= self.failure_threshold and self.health not in (Health.FAILED, Health.RECOVERING)

    @property
    def in_doubt(self) -> bool:
        """It would serve, but what is known of it is old or not confirmed."""
        return self.may_serve and (self.stale or self.unconfirmed)

    @property
    def wanted(self) -> bool:
        """It is to serve: nobody took it out, and its weight gives it a part, or it holds one."""
        return self.admin is AdminState.ENABLED and (self.weight > 0 or self.share > 0)

    @property
    def out(self) -> bool:
        """It is to serve, was asked, and does not serve."""
        return self.wanted and self.health is not Health.UNKNOWN and (not self.in_service or self.unconfirmed)

    @property
    def returning(self) -> bool:
        """It passes again: on trial, or its good checks are counted."""
        return self.health is Health.RECOVERING or (self.fit and self.breaker is State.HALF_OPEN and not self.in_doubt)

    @property
    def misdirected(self) -> bool:
        """It holds a share and may not: a failover is pending."""
        return self.share > 0 and not self.may_serve

    @property
    def answers_still(self) -> bool:
        """A person drains it, and until its share has moved it serves that as before."""
        return (
            self.admin is AdminState.DRAINING and self.health in (Health.HEALTHY, Health.DEGRADED) and self.breaker is State.CLOSED
        )


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool with its nodes, in the order of take-over."""

    id: int
    name: str
    nodes: tuple[NodeView, ...]
    slug: str = ""
    epoch: int = 0
    low_capacity: bool = False
    undecided: str = ""  # why it cannot be decided
    paused: Hold | None = None
    cooled_at: float | None = None  # when its cool-down ends

    @property
    def holders(self) -> tuple[NodeView, ...]:
        return tuple(node for node in self.nodes if node.share > 0)

    @property
    def serving(self) -> tuple[NodeView, ...]:
        """Who holds traffic and answers it, as far as anybody knows."""
        return tuple(node for node in self.holders if not node.misdirected or node.answers_still)


@dataclass(frozen=True, slots=True)
class FleetView:
    """What the console knows of itself.  `blind`: why it cannot tell anything of any pool; empty when it can."""

    blind: str = ""
    blind_since: float | None = None
    paused: Hold | None = None
    troubles: tuple[str, ...] = ()  # what else keeps it from saying that all is fine, each a clause


@dataclass(frozen=True, slots=True)
class Truth:
    """What users feel of one pool, and since when where that is known; not `in_use`: nobody is to be served by it, or not yet."""

    service: Service
    status: PoolStatus
    since: float | None = None
    in_use: bool = True

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What needs a look first comes first."""
        doubtful = self.service is Service.UNKNOWN and self.in_use
        return self.service is not Service.USERS_HIT, not doubtful, list(PoolStatus).index(self.status)


CLEAR = FleetView()


def truth(pool: PoolView, fleet: FleetView = CLEAR) -> Truth:
    """The truth of this pool, by the first rule that speaks."""
    if fleet.blind:
        return Truth(Service.UNKNOWN, PoolStatus.UNKNOWN, fleet.blind_since)
    if pool.undecided:
        return Truth(Service.UNKNOWN, PoolStatus.UNKNOWN)
    return next((found for rule in _RULES if (found := rule(pool)) is not None), Truth(Service.SERVED, PoolStatus.HEALTHY))


def _out_of_use(pool: PoolView) -> Truth | None:
    """A person took out every node, or gave none a weight.

    Nobody is served then, but by order: it is told as no failure, and red is kept for what needs somebody.  Nor is it served, so
    it is none of the three.
    """
    if pool.holders or any(node.wanted for node in pool.nodes):
        return None
    return Truth(Service.UNKNOWN, _by_whom(pool) or PoolStatus.IDLE, in_use=False)


def _by_whom(pool: PoolView) -> PoolStatus | None:
    """The word for what people do with nodes of it."""
    states = {node.admin for node in pool.nodes}
    if AdminState.MAINTENANCE in states:
        return PoolStatus.MAINTENANCE
    return PoolStatus.DRAINING if AdminState.DRAINING in states else None


def _down(pool: PoolView) -> Truth | None:
    """As the engine tells of a pool that is down: nobody is eligible or merely silent, though somebody should be."""
    if any(node.weight > 0 and node.in_service for node in pool.nodes):
        return None
    weighty = [node for node in pool.nodes if node.wanted and node.weight > 0]
    expected = [node for node in weighty if node.ever_eligible and node.health is not Health.UNKNOWN]
    if not expected:
        return None
    misdirected = [node for node in pool.nodes if node.misdirected]
    since = _earliest(misdirected) if misdirected else max((node.since for node in expected if node.since), default=None)
    return Truth(Service.USERS_HIT, PoolStatus.DOWN, since)


def _not_begun(pool: PoolView) -> Truth | None:
    """Nobody has passed a check yet, or automation has not given out the first shares."""
    if pool.holders or (pool.epoch > 0 and any(node.weight > 0 and node.in_service for node in pool.nodes)):
        return None
    return Truth(Service.UNKNOWN, PoolStatus.UNKNOWN, in_use=False)


def _unserved(pool: PoolView) -> Truth | None:
    """Nodes are eligible, and none holds traffic."""
    return None if pool.holders else Truth(Service.USERS_HIT, PoolStatus.DOWN)


def _pending(pool: PoolView) -> Truth | None:
    """A share lies on a node that may not serve: who is sent there is hit, however little it is."""
    misdirected = [node for node in pool.nodes if node.misdirected]
    if not misdirected:
        return None
    service = Service.LESS_RESERVE if all(node.answers_still for node in misdirected) else Service.USERS_HIT
    return Truth(service, PoolStatus.PENDING, _earliest(misdirected))


def _in_doubt(pool: PoolView) -> Truth | None:
    """Most nodes are silent, or most of the traffic is on silent ones: what users feel is not known."""
    doubted = [node for node in pool.nodes if node.in_doubt]
    share, whole = sum(node.share for node in doubted), sum(node.share for node in pool.nodes)
    if 2 * share <= whole and 2 * sum(node.wanted for node in doubted) <= sum(node.wanted for node in pool.nodes):
        return None
    return Truth(Service.UNKNOWN, PoolStatus.STALE, min((node.observed_at for node in doubted if node.observed_at), default=None))


def _degraded(pool: PoolView) -> Truth | None:
    """Somebody is out and others serve; little capacity is less reserve too, for all that comes is still answered."""
    out = [node for node in pool.nodes if node.out]
    if not out and not pool.low_capacity:
        return None
    returning = bool(out) and all(node.returning for node in out) and not any(node.stale for node in pool.nodes if node.wanted)
    return Truth(Service.LESS_RESERVE, PoolStatus.RECOVERING if returning else PoolStatus.DEGRADED, _earliest(out))


def _stale(pool: PoolView) -> Truth | None:
    """Some nodes are silent: they keep what they hold and take over from nobody."""
    silent = [node for node in pool.nodes if node.wanted and node.in_doubt]
    if not silent:
        return None
    since = min((node.observed_at for node in silent if node.observed_at), default=None)
    return Truth(Service.LESS_RESERVE, PoolStatus.STALE, since)


def _served(pool: PoolView) -> Truth | None:
    """All who are to serve do; shares may still come back, and people may have taken nodes out."""
    status = PoolStatus.RECOVERING if any(node.ramping and node.wanted for node in pool.nodes) else _by_whom(pool)
    return Truth(Service.SERVED, status) if status is not None else None


def _earliest(nodes: Iterable[NodeView]) -> float | None:
    return min((node.since for node in nodes if node.since), default=None)


_RULES: tuple[Callable[[PoolView], Truth | None], ...] = (
    _out_of_use,
    _down,
    _not_begun,
    _unserved,
    _pending,
    _in_doubt,
    _degraded,
    _stale,
    _served,
)
