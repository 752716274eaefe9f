"""The order of one pass over a pool: what a batch of checks, or time alone, leads to.

All healths and breakers take the batch first (`begin`).  Then `settle`, from top to bottom: failures are marked and followed,
failures end, earlier failovers are verified, shares leave nodes that may not serve, shares go back to those that may again, tiers
and weights are put right, lasting troubles begin and end, nodes flap or are quiet.  Each part takes the step so far and gives the
next; it looks at what is, not at what changed, so that a restart between any two batches comes to the same end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nodes.engine import breaker as rules
from nodes.engine import guards
from nodes.engine import health as healths
from nodes.engine.apply_checks import observe
from nodes.engine.decide import decide_failover, to_targets, withheld
from nodes.engine.decision import Decision, GuardAnswer
from nodes.engine.enums import ChangeKind, EventType, Failback, Guard, Health, Mode, State, Strategy
from nodes.engine.event_meaning import Stakes
from nodes.engine.event_types import event
from nodes.engine.failure_lifecycle import (
    Cause,
    Signal,
    end_failures,
    mark_failures,
    tell_unverified,
    turn,
    unverified_at,
    verify,
)
from nodes.engine.flapping import ends_at, watch_flapping
from nodes.engine.recovery import end_ramps, give_shares, next_step_at, withdraw
from nodes.engine.set_back import follow_clock
from nodes.engine.shares import active_tier, eligible, failover_pending, off_ideal
from nodes.engine.step import Step
from nodes.engine.troubles import trial_instants, watch_capacity, watch_loads, watch_trials
from nodes.engine.types import Fleet, Member, Observation, Pool

NOTHING: Mapping[int, Observation] = {}


def step(pool: Pool, fleet: Fleet, now: float, *, observations: Mapping[int, Observation] = NOTHING, jitter: float = 0.0) -> Step:
    """Apply a batch, or with none of it let time do its work."""
    return settle(begin(pool, fleet, now, observations, jitter), pool, fleet, now, observations)


def begin(pool: Pool, fleet: Fleet, now: float, observations: Mapping[int, Observation] = NOTHING, jitter: float = 0.0) -> Step:
    """The pool as of now: what was seen and what fell due meanwhile, before anything is decided on it."""
    return _end_pause(_observe_all(Step(follow_clock(pool, now)), fleet, observations, now, jitter), now)


def settle(done: Step, before: Pool, fleet: Fleet, now: float, observations: Mapping[int, Observation] = NOTHING) -> Step:
    """Let automation do all that is due after what changed."""
    done = mark_failures(_catch_up(done, fleet, now), before, fleet, observations, now)
    done, ended = end_failures(done, now)
    done = verify(done, observations, now)
    done = _take_shares(done, fleet, now)
    done = give_shares(done, fleet, ended, now)
    done = end_ramps(done)
    done = _climb(done, fleet, now)
    done = _rebalance(done, fleet, now)
    done = tell_unverified(done, now)
    done = watch_capacity(watch_trials(watch_loads(done), now))
    done = watch_flapping(done, before, now)
    return replace(done, wake_at=wake_at(done.pool, fleet, now))


def _catch_up(done: Step, fleet: Fleet, now: float) -> Step:
    """What failed while no checker was believed is failed now that one is."""
    if fleet.isolated is not None:
        return done
    for node in done.pool.members:
        if (health := healths.catch_up(node.health, node.health_policy, now)) is not node.health:
            done = done.put(replace(node, health=health))
    return done


def _observe_all(done: Step, fleet: Fleet, observations: Mapping[int, Observation], now: float, jitter: float) -> Step:
    page_on = done.pool.policy.page_on
    seen = [observe(node, observations.get(node.id), now, jitter, fleet, page_on) for node in done.pool.members]
    members = tuple([node for node, _ in seen])
    if members != done.pool.members:
        done = done.with_pool(replace(done.pool, members=members))
    return done.tell(*(each for _, events in seen for each in events))


def _end_pause(done: Step, now: float) -> Step:
    pause = done.pool.paused
    if pause is None or guards.in_force(pause, now) is not None:
        return done
    said = f"{done.pool.name}: the pause by {pause.owner} expired"
    return done.with_pool(replace(done.pool, paused=None)).tell(event(EventType.AUTOMATION_RESUMED, said))


def _take_shares(done: Step, fleet: Fleet, now: float) -> Step:
    """Failovers, one node after the other."""
    for waiting in failover_pending(done.pool):
        node = done.member(waiting.id)
        after_trial = withdraw(done, fleet, node, now)
        done = _fail_over(done, fleet, node, now) if after_trial is None else after_trial
    return done


def _fail_over(done: Step, fleet: Fleet, node: Member, now: float) -> Step:
    forced = node.breaker.mode == Mode.FORCED_OPEN
    kind = ChangeKind.MANUAL if forced else ChangeKind.FAILOVER
    override = frozenset(Guard) - {Guard.NO_CANDIDATE} if forced else guards.NONE
    actor = node.breaker.mode_owner or "engine" if forced else "engine"
    reason = f"{node.name}: its breaker is forced open" if forced else ""
    decision = decide_failover(done.pool, fleet, node, now, kind=kind, actor=actor, reason=reason, override=override)
    if decision.refused_by is None:
        return move_share(done, node, decision, now)
    if node.failure is None or node.failure.refused_by == decision.refused_by:
        return done
    if decision.refused_by in node.failure.told_guards:
        return turn(done, node, Signal.REFUSED_AGAIN, Cause(now, guard=decision.refused_by), {})
    return _refuse(done, node, decision, now)


def move_share(done: Step, node: Member, decision: Decision, now: float) -> Step:
    """Carry a failover out, and await its receivers when the node is failing."""
    done = done.carry_out(decision)
    takers = [each for each in decision.considered if each.after > each.before]
    detail = {"epoch": done.pool.epoch, "share": node.share, "receivers": [each.node for each in takers]}
    said = f"{node.share / 100:g} % of {done.pool.name} moved from {node.name} to {', '.join(each.name for each in takers)}"
    if decision.kind == ChangeKind.MANUAL:
        return done.tell(event(EventType.REBALANCED, said, node.id, detail, actor=decision.actor))
    if decision.actor == "engine":
        done = done.with_pool(replace(done.pool, last_failover_at=now))
    started = event(EventType.FAILOVER_STARTED, said, node.id, detail, actor=decision.actor)
    moved = done.member(node.id)
    if moved.failure is None:
        return done.tell(started)
    until = now + 2 * max(done.member(each.node).health_policy.interval for each in takers)
    cause = Cause(now, receivers=tuple(each.node for each in takers), until=until)
    return turn(done, moved, Signal.SHARE_MOVED, cause, {started.type: started})


def _refuse(done: Step, node: Member, decision: Decision, now: float) -> Step:
    blocking = guards.blocking(decision.guards)
    assert decision.refused_by is not None  # asked by the caller
    assert blocking is not None  # what refused it
    said = f"Failover of {node.name} blocked by {decision.refused_by.words}: {blocking.reason}"
    detail = {"guard": decision.refused_by.value, "holder": blocking.reason, "lifts_at": decision.lifts_at, "share": node.share}
    refused = event(EventType.FAILOVER_REFUSED, said, node.id, detail, stakes=Stakes(guard=decision.refused_by))
    cause = Cause(now, guard=decision.refused_by)
    return turn(done.carry_out(decision), node, Signal.REFUSED, cause, {refused.type: refused})


def _climb(done: Step, fleet: Fleet, now: float) -> Step:
    """Failback: traffic returns to a better tier once that was eligible without a break for the delay."""
    pool = done.pool
    better = _better_tier(pool)
    if better is None:
        if pool.better_tier_since is None and not pool.failback_told:
            return done
        return done.with_pool(replace(pool, better_tier_since=None, failback_told=False))
    since = pool.better_tier_since if pool.better_tier_since is not None else now
    done = done.with_pool(replace(pool, better_tier_since=since))
    if now < since + pool.policy.failback_delay:
        return done
    if pool.policy.failback == Failback.MANUAL:
        return done if pool.failback_told else _tell_failback(done, better)
    if now < (guards.cooldown_until(pool) or now):
        return done
    answers = guards.ask(done.pool, fleet, None, now)
    return climb(done, better, now, actor="engine", answers=answers) if guards.blocking(answers) is None else done


def _tell_failback(done: Step, tier: int) -> Step:
    said = f"{done.pool.name}: tier {tier} is eligible again; fail back when you are ready"
    told = event(EventType.FAILBACK_DUE, said, detail={"tier": tier})
    return done.with_pool(replace(done.pool, failback_told=True)).tell(told)


def climb(done: Step, tier: int, now: float, *, actor: str, answers: tuple[GuardAnswer, ...] = ()) -> Step:
    """Give all traffic to this tier by weight."""
    done = done.with_pool(replace(done.pool, active_tier=tier, better_tier_since=None, failback_told=False))
    reason = f"tier {tier} is eligible again and serves first"
    done = done.carry_out(to_targets(done.pool, ChangeKind.FAILBACK, now, reason=reason, actor=actor, answers=answers))
    said = f"{done.pool.name}: traffic returned to tier {tier}"
    return done.tell(event(EventType.REBALANCED, said, detail={"epoch": done.pool.epoch, "tier": tier}, actor=actor))


def _better_tier(pool: Pool) -> int | None:
    if pool.strategy != Strategy.ACTIVE_PASSIVE or pool.active_tier is None:
        return None
    tiers = [node.priority for node in pool.members if eligible(node) and node.weight > 0 and node.priority < pool.active_tier]
    return min(tiers, default=None)


def _rebalance(done: Step, fleet: Fleet, now: float) -> Step:
    if done.pool.rebalanced_at is None:
        done = done.with_pool(replace(done.pool, rebalanced_at=now))
    pool = done.pool
    due = pool.policy.auto_rebalance and now >= (pool.rebalanced_at or 0.0) + pool.policy.rebalance_interval
    if not due or failover_pending(pool) or not off_ideal(pool):
        return done
    answers = guards.ask(pool, fleet, None, now)
    if guards.blocking(answers) is not None:
        return done
    return put_right(done, now, actor="engine", reason="shares were off their weights", answers=answers)


def put_right(done: Step, now: float, *, actor: str, reason: str, answers: tuple[GuardAnswer, ...] = ()) -> Step:
    """Bring the shares back to the weights."""
    done = done.carry_out(to_targets(done.pool, ChangeKind.REBALANCE, now, reason=reason, actor=actor, answers=answers))
    said = f"{done.pool.name}: shares brought back to the weights"
    told = event(EventType.REBALANCED, said, detail={"epoch": done.pool.epoch}, actor=actor)
    return done.with_pool(replace(done.pool, rebalanced_at=now)).tell(told)


def decide(pool: Pool, fleet: Fleet, now: float, *, about: int | None = None) -> Decision | None:
    """What automation would do next (about one node, if asked), or what blocks it, with all reasons; None when nothing is due."""
    waiting = [node for node in failover_pending(pool) if about is None or node.id == about]
    if waiting:
        return decide_failover(pool, fleet, waiting[0], now)
    if about is not None:
        return None
    due = settle(Step(replace(pool, paused=None)), pool, Fleet(), now).decisions
    if not due:
        return None
    answers = guards.ask(pool, fleet, None, now)
    blocking = guards.blocking(answers)
    return due[0] if blocking is None else withheld(due[0], blocking, answers)


def wake_at(pool: Pool, fleet: Fleet, now: float) -> float | None:
    """The earliest instant when time alone changes something; staleness is found by the sweep of the ledger."""
    instants = [instant for node in pool.members for instant in _node_instants(node, pool)]
    instants += [hold.until for hold in (pool.paused, fleet.paused) if hold is not None and hold.until is not None]
    if pool.better_tier_since is not None and not pool.failback_told:
        instants.append(pool.better_tier_since + pool.policy.failback_delay)
    waiting, cooled = bool(failover_pending(pool)), guards.cooldown_until(pool)
    if cooled is not None and (waiting or pool.better_tier_since is not None):
        instants.append(cooled)
    if not waiting and pool.policy.auto_rebalance and pool.rebalanced_at is not None and off_ideal(pool):
        instants.append(pool.rebalanced_at + pool.policy.rebalance_interval)
    return min((instant for instant in instants if instant > now), default=None)


def _node_instants(node: Member, pool: Pool) -> list[float]:
    instants = []
    if (step_at := next_step_at(node, pool)) is not None:
        instants.append(step_at)
    due = rules.next_deadline(node.breaker, node.breaker_policy, held=node.health.status == Health.FAILED)
    if due is not None:
        instants.append(due)
    if (quiet_at := ends_at(node, pool.policy)) is not None:
        instants.append(quiet_at)
    if node.failure is not None:
        instants += [each for each in (node.failure.verify_until, unverified_at(node, pool)) if each is not None]
    return instants if node.breaker.state == State.CLOSED else instants + trial_instants(node, pool)


def busy(pool: Pool) -> bool:
    """Whether the next check of any node may matter to another node: a failover is pending, a receiver or a tier is awaited."""
    return (
        bool(failover_pending(pool))
        or active_tier(pool) != pool.active_tier
        or any(node.failure is not None and node.failure.verify_after is not None for node in pool.members)
    )
