"""Rules that may block automation, asked in the order of `Guard`; a person may override each by name."""

from __future__ import annotations

from collections.abc import Callable

from nodes.engine.decision import GuardAnswer
from nodes.engine.enums import AdminState, Guard, Health, Strategy
from nodes.engine.shares import active_tier, eligible, in_service, receivers
from nodes.engine.types import Fleet, Hold, Member, Pool

Override = frozenset[Guard]
NONE: Override = frozenset()
_ENABLED = AdminState.ENABLED  # asked of every node at every decision


def ask(pool: Pool, fleet: Fleet, node: Member | None, now: float, override: Override = NONE) -> tuple[GuardAnswer, ...]:
    """The guards' answers up to the first that blocks; without a node only those that block every automatic change."""
    answers: list[GuardAnswer] = []
    for guard, rule in _RULES:
        if node is None and guard not in (Guard.PAUSED, Guard.CHECKER_ISOLATED):
            continue
        blocks, reason, lifts_at = rule(pool, fleet, node, now)
        overridden = blocks and guard in override
        answers.append(GuardAnswer(guard, blocks, reason, lifts_at if blocks else None, overridden))
        if blocks and not overridden:
            break
    return tuple(answers)


def blocking(answers: tuple[GuardAnswer, ...]) -> GuardAnswer | None:
    """The guard that refuses, if any."""
    return next((answer for answer in answers if answer.blocks and not answer.overridden), None)


def in_force(hold: Hold | None, now: float) -> Hold | None:
    return hold if hold is not None and (hold.until is None or hold.until > now) else None


_Answer = tuple[bool, str, float | None]
_Rule = Callable[[Pool, Fleet, Member | None, float], _Answer]


def _paused(pool: Pool, fleet: Fleet, node: Member | None, now: float) -> _Answer:
    for hold, where in ((in_force(fleet.paused, now), "all automation"), (in_force(pool.paused, now), "this pool's automation")):
        if hold is not None:
            return True, f"{hold.owner} paused {where}: {hold.reason or 'no reason given'}", hold.until
    return False, "automation is on", None


def _isolated(pool: Pool, fleet: Fleet, node: Member | None, now: float) -> _Answer:
    if fleet.isolated is not None:
        return True, f"no checker is believed: {fleet.isolated.reason}", None
    return False, "a checker is believed", None


def _out(pool: Pool, node: Member) -> tuple[int, int]:
    """Enabled nodes, and how many of them automation will have moved out with this one."""
    enabled = [each for each in pool.members if each.admin == AdminState.ENABLED]
    out = {each.id for each in enabled if each.failure is not None and each.failure.moved_at is not None} | {node.id}
    return max(1, len(enabled)), len(out)


def _panic(pool: Pool, fleet: Fleet, node: Member | None, now: float) -> _Answer:
    threshold = pool.policy.panic_threshold
    if node is None or not threshold:
        return False, "no panic threshold is set", None
    enabled, out = _out(pool, node)
    left = (enabled - out) / enabled
    return left < threshold, f"{enabled - out} of {enabled} nodes would be left, the panic threshold is {threshold:.0%}", None


def _max_failed(pool: Pool, fleet: Fleet, node: Member | None, now: float) -> _Answer:
    limit = pool.policy.max_failed_percent
    if node is None or limit >= 100:  # percent: no limit
        return False, "no limit on failed nodes is set", None
    enabled, out = _out(pool, node)
    return out > 1 and out * 100 > limit * enabled, f"{out} of {enabled} nodes would be out, the limit is {limit} %", None


def cooldown_until(pool: Pool) -> float | None:
    """When the cool-down after the last automatic failover ends, or has ended; None when there is none or it was lifted."""
    last = pool.last_failover_at
    if last is None or not pool.policy.cooldown:
        return None
    lifted = pool.cooldown_lifted_at is not None and pool.cooldown_lifted_at >= last
    return None if lifted else last + pool.policy.cooldown


def _cooldown(pool: Pool, fleet: Fleet, node: Member | None, now: float) -> _Answer:
    last, wait, until = pool.last_failover_at, pool.policy.cooldown, cooldown_until(pool)
    if last is None or not wait:
        return False, "no cool-down runs", None
    if until is None:
        return False, "an acknowledgement lifted the cool-down", None
    if node is not None and _is_last_of_its_tier(pool, node):
        return False, f"nobody of tier {node.priority} is left, which no cool-down holds", None
    return now < until, f"the last automatic failover was {max(0.0, now - last):.0f} s ago, the cool-down is {wait:.0f} s", until


def _is_last_of_its_tier(pool: Pool, node: Member) -> bool:
    """Whether the tier of an active/passive pool has nobody else who could serve: another tier takes over at once then."""
    return pool.strategy == Strategy.ACTIVE_PASSIVE and not any(
        each.id != node.id and each.priority == node.priority and each.weight > 0 and eligible(each) for each in pool.members
    )


def _no_candidate(pool: Pool, fleet: Fleet, node: Member | None, now: float) -> _Answer:
    takers = receivers(pool, without=node.id if node else None)
    if takers:
        return False, f"{len(takers)} nodes can take over", None
    return True, "no other node is eligible to take the share", None


_RULES: tuple[tuple[Guard, _Rule], ...] = (
    (Guard.PAUSED, _paused),
    (Guard.CHECKER_ISOLATED, _isolated),
    (Guard.PANIC, _panic),
    (Guard.MAX_FAILED_PERCENT, _max_failed),
    (Guard.COOLDOWN, _cooldown),
    (Guard.NO_CANDIDATE, _no_candidate),
)


def low_capacity(pool: Pool) -> tuple[int, int] | None:
    """Weight that is eligible or merely silent, and enabled weight that ever was eligible, when the one is under half of the other.

    In an active/passive pool that of the tier that serves.
    """
    tier = active_tier(pool)
    enabled = _expected(pool) if tier is None else [node for node in _expected(pool) if node.priority == tier]
    whole, left = sum(node.weight for node in enabled), sum(node.weight for node in enabled if in_service(node))
    return (left, whole) if left * 2 < whole else None


def is_down(pool: Pool) -> bool:
    """Whether nobody is eligible or merely silent, though somebody should be."""
    for node in pool.members:
        if node.weight > 0 and in_service(node):
            return False  # nearly always the first
    return bool(_expected(pool))


def _expected(pool: Pool) -> list[Member]:
    """Enabled nodes with weight that were eligible once; one that was just enabled and has not been asked is left out."""
    return [
        node
        for node in pool.members
        if node.admin is _ENABLED and node.weight > 0 and node.health.ever_eligible and node.health.status is not Health.UNKNOWN
    ]
