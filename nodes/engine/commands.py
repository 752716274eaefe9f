"""What a person orders for a pool.  Each command gives the step that it leads to, or raises `Refused` with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nodes.engine import breaker as rules
from nodes.engine import guards
from nodes.engine.apply_checks import observe
from nodes.engine.decide import decide_failover
from nodes.engine.enums import AdminState, ChangeKind, EventType, Guard, Mode, Strategy
from nodes.engine.event_types import event
from nodes.engine.failure_lifecycle import abandon
from nodes.engine.pool_step import begin, climb, move_share, put_right, settle
from nodes.engine.recovery import give_back
from nodes.engine.shares import active_tier, awaiting_share, failover_pending, off_ideal, receivers
from nodes.engine.step import NothingToDo, Refused, Step, member_of
from nodes.engine.troubles import leave, let_checks_heal, waits_for_calls
from nodes.engine.types import Event, Fleet, HealthState, Hold, Member, Pool


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def set_admin(
    pool: Pool,
    fleet: Fleet,
    now: float,
    node: int,
    state: AdminState,
    actor: str,
    reason: str = "",
    *,
    override: guards.Override = guards.NONE,
) -> Step:
    """Enable, drain, disable a node or put it in maintenance; what it holds moves at once."""
    step = begin(pool, fleet, now)
    member = step.member(node)
    if member.admin == state:
        raise Refused(f"{member.name} is {state} already.")
    changed = replace(member, admin=state, enabled_by=actor if state == AdminState.ENABLED else "")
    if member.admin == AdminState.DISABLED:
        changed = replace(changed, health=HealthState(since=now, ever_eligible=member.health.ever_eligible))
    # A breaker that waited for the old health waits no longer.
    changed, fell_due = observe(changed, None, now, 0.0, page_on=pool.policy.page_on)
    step = step.put(changed).tell(*fell_due)
    if state != AdminState.ENABLED:
        step = _move_out(step, fleet, changed, now, actor, f"{actor} set {member.name} to {state}{_because(reason)}", override)
    said = f"{actor} set {member.name} from {member.admin} to {state}{_because(reason)}"
    detail = {"before": member.admin.value, "after": state.value, "reason": reason}
    step = step.tell(event(EventType.ADMIN_STATE_CHANGED, said, node, detail, actor=actor))
    if changed in awaiting_share(step.pool):
        enabled = f"{actor} enabled {member.name}{_because(reason)}"
        step = give_back(step, changed, now, actor=actor, reason=enabled)  # before its first pass `give_shares` does it
    return settle(step, pool, fleet, now)


def _move_out(step: Step, fleet: Fleet, node: Member, now: float, actor: str, reason: str, override: guards.Override) -> Step:
    """Move a person's node out, whatever holds automation; with nobody to take over only if that is overridden by name."""
    if node.share == 0:
        return step
    allowed = (frozenset(Guard) - {Guard.NO_CANDIDATE}) | override
    decision = decide_failover(step.pool, fleet, node, now, kind=ChangeKind.MANUAL, actor=actor, reason=reason, override=allowed)
    if decision.refused_by is not None:
        raise Refused(
            f"No other node is eligible to take {node.share / 100:g} % of {step.pool.name} from {node.name}: "
            "bring another node back first, or override “no candidate” to leave the pool without traffic."
        )
    return step.carry_out(decision)


def remove(
    pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "", *, override: guards.Override = guards.NONE
) -> Step:
    """Take a node out of the pool for good; what lasted of it ends."""
    step = begin(pool, fleet, now)
    member = step.member(node)
    leaving = replace(member, admin=AdminState.DISABLED)
    step = _move_out(step.put(leaving), fleet, leaving, now, actor, f"{actor} removed {member.name}{_because(reason)}", override)
    said = f"{actor} removed {member.name} from {pool.name}{_because(reason)}"
    step = step.tell(event(EventType.NODE_REMOVED, said, node, {"reason": reason}, actor=actor))
    leaving = step.member(node)
    if leaving.failure is not None:
        step = abandon(step, leaving, "it was removed", now)
    step = leave(step, step.member(node))
    left = tuple(each for each in step.pool.members if each.id != node)
    return settle(step.with_pool(replace(step.pool, members=left)), pool, fleet, now)


def _change_breaker(
    pool: Pool, fleet: Fleet, now: float, node: int, changed: Callable[[Member], Member], told: Callable[[Member], Event]
) -> Step:
    """What the node may serve again it gets by that act, whatever the guards."""
    step = begin(pool, fleet, now)
    member = changed(step.member(node))
    step = step.put(member).tell(happened := told(member))
    if member in awaiting_share(step.pool):
        step = give_back(step, member, now, actor=happened.actor, reason=happened.message)
    return settle(step, pool, fleet, now)


def force_breaker(
    pool: Pool,
    fleet: Fleet,
    now: float,
    node: int,
    mode: Mode,
    reason: str,
    owner: str,
    until: float | None,
    *,
    override: guards.Override = guards.NONE,
) -> Step:
    """Put the breaker in a person's mode, for good or until an instant; what a node that is forced open holds moves at once."""
    if mode == Mode.AUTO:
        raise Refused("Automatic is no forced mode; release the breaker instead.")
    if until is not None and until <= now:
        raise Refused("The expiry is in the past; choose a later one, or none.")
    step = begin(pool, fleet, now)
    member = step.member(node)
    forced = replace(member, breaker=rules.force(member.breaker, mode, reason, owner, until, now))
    step = step.put(forced)
    said = f"{owner} set the breaker of {member.name} to {mode.replace('_', ' ')}{_because(reason)}"
    if mode == Mode.FORCED_OPEN:
        step = _move_out(step, fleet, forced, now, owner, said, override)
    detail = {"mode": mode.value, "reason": reason, "until": until}
    step = step.tell(event(EventType.BREAKER_FORCED, said, node, detail, actor=owner))
    return settle(step, pool, fleet, now)


def release_breaker(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "") -> Step:
    """Give the breaker back to its own counts."""
    if member_of(pool, node).breaker.mode == Mode.AUTO:
        raise Refused("This breaker is automatic already.")

    def told(member: Member) -> Event:
        said = f"{actor} released the breaker of {member.name}{_because(reason)}: it is automatic and {member.breaker.state}"
        return event(EventType.BREAKER_FORCED, said, node, {"mode": Mode.AUTO.value, "reason": reason}, actor=actor)

    return _change_breaker(
        pool, fleet, now, node, lambda each: replace(each, breaker=rules.force(each.breaker, Mode.AUTO, "", "", None, now)), told
    )


def reset_breaker(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "") -> Step:
    """Close the breaker and forget its counts; statistics stay."""

    def told(member: Member) -> Event:
        said = f"{actor} reset the breaker of {member.name}{_because(reason)}"
        return event(EventType.BREAKER_CLOSED, said, node, {"reason": reason}, actor=actor)

    return _change_breaker(pool, fleet, now, node, lambda each: replace(each, breaker=rules.reset(each.breaker, now)[0]), told)


def heal_unreported(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "") -> Step:
    """Let checks count as trials of a half-open breaker that waits for calls."""
    step = begin(pool, fleet, now)
    member = step.member(node)
    if not waits_for_calls(member) or (member.trial is not None and member.trial.by_checks):
        raise Refused(f"The breaker of {member.name} does not wait for calls alone; reload the page.")
    return settle(let_checks_heal(step, member, f"by {actor}{_because(reason)}", actor), pool, fleet, now)


def fail_over(
    pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "", *, override: guards.Override = guards.NONE
) -> Step:
    """Move an eligible node's share away now: it is drained until somebody fails back."""
    member = member_of(pool, node)
    if not member.share:
        raise Refused(f"{member.name} holds no share of {pool.name}; there is nothing to move.")
    if member.failure is not None and member in failover_pending(pool) and receivers(pool, without=node):
        return _push_failover(pool, fleet, now, node, actor, reason)
    return set_admin(pool, fleet, now, node, AdminState.DRAINING, actor, reason or "fail over now", override=override)


def _push_failover(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str) -> Step:
    """The failover that a guard holds back, by a person who overrides it; the node comes back by itself when it has recovered."""
    step = begin(pool, fleet, now)
    override = frozenset(Guard) - {Guard.NO_CANDIDATE}
    member = step.member(node)
    said = f"{actor} failed {member.name} over{_because(reason)}"
    decision = decide_failover(step.pool, fleet, member, now, actor=actor, reason=said, override=override)
    if decision.refused_by is not None:
        raise Refused(f"No other node is eligible to take the traffic of {member.name}; bring another one back first.")
    return settle(move_share(step, member, decision, now), pool, fleet, now)


def fail_back(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "") -> Step:
    """Enable a drained node again, or bring traffic back to this node's better tier."""
    member = member_of(pool, node)
    if member.admin == AdminState.DRAINING:
        return set_admin(pool, fleet, now, node, AdminState.ENABLED, actor, reason or "fail back")
    tier = active_tier(pool)
    if pool.strategy == Strategy.ACTIVE_PASSIVE and tier is not None and member.priority < tier:
        return _climb_to(pool, fleet, now, member, actor)
    raise Refused(f"{member.name} is neither drained nor in a better tier than the one that serves; there is nothing to fail back.")


def _climb_to(pool: Pool, fleet: Fleet, now: float, member: Member, actor: str) -> Step:
    step = begin(pool, fleet, now)
    if active_tier(replace(step.pool, active_tier=member.priority)) != member.priority:
        raise Refused(f"No node of tier {member.priority} is eligible; wait until one has recovered.")
    return settle(climb(step, member.priority, now, actor=actor), pool, fleet, now)


def rebalance(pool: Pool, fleet: Fleet, now: float, actor: str) -> Step:
    """Bring the shares back to the weights by hand."""
    step = begin(pool, fleet, now)
    if not receivers(step.pool):
        raise Refused(f"No node of {pool.name} is eligible; there is nobody to give a share to.")
    if not off_ideal(step.pool):
        raise NothingToDo(f"The shares of {pool.name} are at their weights already.")
    return settle(put_right(step, now, actor=actor, reason=f"{actor} asked for it"), pool, fleet, now)


def pause(pool: Pool, fleet: Fleet, now: float, actor: str, reason: str, until: float | None = None) -> Step:
    """Hold this pool's automation back."""
    if guards.in_force(pool.paused, now) is not None:
        raise Refused(f"The automation of {pool.name} is paused already.")
    if until is not None and until <= now:
        raise Refused("The end of the pause is in the past; choose a later one, or none.")
    step = begin(pool, fleet, now)
    said = f"{actor} paused the automation of {pool.name}{_because(reason)}"
    told = event(EventType.AUTOMATION_PAUSED, said, detail={"reason": reason, "until": until}, actor=actor)
    step = step.with_pool(replace(step.pool, paused=Hold(reason, actor, now, until))).tell(told)
    return settle(step, pool, fleet, now)


def resume(pool: Pool, fleet: Fleet, now: float, actor: str) -> Step:
    """Let this pool's automation act again; what waited happens at once."""
    if pool.paused is None:
        raise Refused(f"The automation of {pool.name} is not paused.")
    said = f"{actor} resumed the automation of {pool.name}"
    step = begin(replace(pool, paused=None), fleet, now).tell(event(EventType.AUTOMATION_RESUMED, said, actor=actor))
    return settle(step, pool, fleet, now)


def acknowledge(pool: Pool, fleet: Fleet, now: float, actor: str, note: str, flapping: int | None = None) -> Step:
    """Somebody is at the pool's incident, or at that of its flapping node: lifts the cool-down."""
    name = next((node.name for node in pool.members if node.id == flapping), "a removed node")
    about = f"the incident of {pool.name}" if flapping is None else f"the flapping of {name} in {pool.name}"
    said = f"{actor} acknowledged {about}{_because(note)}"
    step = begin(replace(pool, cooldown_lifted_at=now), fleet, now)
    step = step.tell(event(EventType.ACKNOWLEDGED, said, flapping, detail={"note": note}, actor=actor))
    return settle(step, pool, fleet, now)
