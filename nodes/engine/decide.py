"""One change of shares, or the refusal of one, always with its reasons."""

from __future__ import annotations

from dataclasses import replace

from nodes.engine import guards
from nodes.engine.decision import Considered, Decision, GuardAnswer
from nodes.engine.enums import ChangeKind
from nodes.engine.shares import Shares, active_tier, ideal_shares, left_out, moved_away, on_trial, shares, target_shares
from nodes.engine.types import FULL_SHARE, Fleet, Member, Pool


def decide_failover(
    pool: Pool,
    fleet: Fleet,
    node: Member,
    now: float,
    *,
    kind: ChangeKind = ChangeKind.FAILOVER,
    actor: str = "engine",
    reason: str = "",
    override: guards.Override = guards.NONE,
) -> Decision:
    """Where this node's share would go, or which guard blocks it."""
    answers = guards.ask(pool, fleet, node, now, override)
    blocking = guards.blocking(answers)
    after = shares(pool) if blocking else moved_away(pool, node)
    if blocking is None and sum(after.values()) != FULL_SHARE:
        after = dict.fromkeys(after, 0)  # a person took the last one out
    seen = reason or _seen(node, fleet)
    return change(pool, kind, now, after, node=node, reason=seen, answers=answers, blocking=blocking, actor=actor, gives=True)


def change(
    pool: Pool,
    kind: ChangeKind,
    now: float,
    after: Shares,
    *,
    node: Member | None,
    reason: str,
    answers: tuple[GuardAnswer, ...] = (),
    blocking: GuardAnswer | None = None,
    actor: str = "engine",
    gives: bool = False,
) -> Decision:
    """The decision to have these shares, with every node considered."""
    without = node.id if node is not None and gives else None
    serves = active_tier(pool, without)
    return Decision(
        kind=kind,
        at=now,
        reason=reason,
        node=node.id if node else None,
        epoch=None if blocking else pool.epoch + 1,
        before=shares(pool),
        after=shares(pool) if blocking else after,
        considered=tuple([_consider(each, after.get(each.id, 0), serves, without) for each in pool.members]),
        guards=answers,
        refused_by=blocking.guard if blocking else None,
        lifts_at=blocking.lifts_at if blocking else None,
        actor=actor,
        active_tier=serves,
    )


def _consider(node: Member, then: int, tier: int | None, without: int | None) -> Considered:
    if node.id == without:
        rule = "gives its share" if then < node.share else "keeps its share"
        return Considered(node.id, node.name, False, rule, node.share, then)
    if then > node.share and on_trial(node):
        return Considered(node.id, node.name, True, "on trial, receives a little", node.share, then)
    if why := left_out(node, tier):
        return Considered(node.id, node.name, False, f"left out: {why}", node.share, then)
    verb = "receives" if then > node.share else "gives" if then < node.share else "stays as it is"
    return Considered(node.id, node.name, True, f"eligible, {verb}", node.share, then)


def _seen(node: Member, fleet: Fleet) -> str:
    if node.failure is not None and node.failure.cause == "breaker":
        by = f" by {node.breaker.opened_by}" if node.breaker.opened_by else ""
        return f"{node.name}: its breaker was opened{by}: {node.breaker.opened_why}".removesuffix(": ")
    if node.health.fails:
        return f"{node.name} failed {run_of(node.health.fails)}{witnesses(node, fleet)}"
    return f"{node.name} may not serve: {node.health.status}, breaker {node.breaker.state.replace('_', '-')}, {node.admin}"


def witnesses(node: Member, fleet: Fleet) -> str:
    """Which checkers saw the failing checks, where there is more than one; to be put behind them."""
    if len(node.health.seen_by) > 1:
        return f" (seen by {' and '.join(node.health.seen_by)})"
    return " (seen by one checker only)" if fleet.believed > 1 else ""


def run_of(fails: int) -> str:
    """A run of failing checks, in words."""
    return "a check" if fails == 1 else f"{fails} checks in a row"


def carry_out(pool: Pool, decision: Decision) -> Pool:
    """The pool with the decision's shares, epoch and tier; a refusal changes nothing."""
    if decision.epoch is None:
        return pool
    members = tuple(_holding(node, decision.after.get(node.id, 0), decision.at) for node in pool.members)
    return replace(pool, members=members, epoch=decision.epoch, active_tier=decision.active_tier)


def _holding(node: Member, share: int, now: float) -> Member:
    """A failing node that lost the last of its share has been moved out, whichever change did it."""
    failure = node.failure
    if failure is not None and failure.moved_at is None and node.share and not share:
        failure = replace(failure, moved_at=now, had_share=True, refused_by=None)
    return node if share == node.share else replace(node, share=share, failure=failure)


def withheld(decision: Decision, blocking: GuardAnswer, answers: tuple[GuardAnswer, ...]) -> Decision:
    """The same decision, refused by this guard."""
    return replace(
        decision,
        epoch=None,
        after=decision.before,
        considered=tuple(each._replace(after=each.before) for each in decision.considered),
        guards=answers,
        refused_by=blocking.guard,
        lifts_at=blocking.lifts_at,
    )


def to_targets(
    pool: Pool, kind: ChangeKind, now: float, *, reason: str, actor: str, answers: tuple[GuardAnswer, ...] = ()
) -> Decision:
    """The decision to bring all shares to the weights; a failback takes along what nodes of the old tier keep."""
    after = ideal_shares(pool) if kind == ChangeKind.FAILBACK else target_shares(pool)
    return change(pool, kind, now, after, node=None, reason=reason, answers=answers, actor=actor)
