"""What a person does to a pool.  Each act gives the step it leads to, or raises `Refused` with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nodes.engine import breaker as rules
from nodes.engine import guards
from nodes.engine.apply_checks import observe
from nodes.engine.course import Course, Refused, member_of
from nodes.engine.decide import decide_failover
from nodes.engine.enums import AdminState, ChangeKind, EventType, Guard, Mode, Severity, Strategy
from nodes.engine.pool_step import begin, climb, moved, put_right, settle
from nodes.engine.record import Step
from nodes.engine.recovery import give_back
from nodes.engine.shares import active_tier, awaiting_share, failover_pending, off_ideal, receivers
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
    course = begin(pool, now)
    member = course.member(node)
    if member.admin == state:
        raise Refused(f"{member.name} is {state} already.")
    detail = {"before": member.admin.value, "after": state.value, "reason": reason}
    changed = replace(member, admin=state)
    if member.admin == AdminState.DISABLED:
        changed = replace(changed, health=HealthState(since=now, ever_eligible=member.health.ever_eligible))
    changed, fell_due = observe(changed, None, now, 0.0)  # a breaker that waited for the old health waits no longer
    course.events += fell_due
    course.set(changed)
    if state != AdminState.ENABLED:
        _move_out(course, fleet, changed, now, actor, f"{actor} set {member.name} to {state}{_because(reason)}", override)
    said = f"{actor} set {member.name} from {member.admin} to {state}{_because(reason)}"
    course.tell(Event(EventType.ADMIN_STATE_CHANGED, Severity.INFO, said, node, detail, actor=actor))
    if changed in awaiting_share(course.pool):
        give_back(course, changed, now, actor=actor, reason=f"{actor} enabled {member.name}{_because(reason)}")
    return settle(course, pool, fleet, now)


def _move_out(course: Course, fleet: Fleet, node: Member, now: float, actor: str, reason: str, override: guards.Override) -> None:
    """Move a person's node out, whatever holds automation; with nobody to take over only if that is overridden by name."""
    if node.share == 0:
        return
    allowed = (frozenset(Guard) - {Guard.NO_CANDIDATE}) | override
    decision = decide_failover(course.pool, fleet, node, now, kind=ChangeKind.MANUAL, actor=actor, reason=reason, override=allowed)
    if decision.refused_by is not None:
        raise Refused(
            f"No other node is able to take {node.share / 100:g} % of {course.pool.name} from {node.name}: "
            "bring another node back first, or override “no candidate” to leave the pool without traffic."
        )
    course.decided(decision)


def remove(
    pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "", *, override: guards.Override = guards.NONE
) -> Step:
    """Take a node out of the pool for good."""
    course = begin(pool, now)
    member = course.member(node)
    leaving = replace(member, admin=AdminState.DISABLED)
    course.set(leaving)
    _move_out(course, fleet, leaving, now, actor, f"{actor} removed {member.name}{_because(reason)}", override)
    course.pool = replace(course.pool, members=tuple(each for each in course.pool.members if each.id != node))
    said = f"{actor} removed {member.name} from {pool.name}{_because(reason)}"
    course.tell(Event(EventType.NODE_REMOVED, Severity.INFO, said, node, {"reason": reason}, actor=actor))
    return settle(course, pool, fleet, now)


def _change_breaker(
    pool: Pool, fleet: Fleet, now: float, node: int, changed: Callable[[Member], Member], event: Callable[[Member], Event]
) -> Step:
    course = begin(pool, now)
    member = changed(course.member(node))
    course.set(member)
    course.tell(event(member))
    return settle(course, pool, fleet, now)


def force_breaker(
    pool: Pool, fleet: Fleet, now: float, node: int, mode: Mode, reason: str, owner: str, until: float | None
) -> Step:
    """Put the breaker in a person's mode, for good or until an instant."""
    member = member_of(pool, node)
    if mode == Mode.AUTO:
        raise Refused("Automatic is no forced mode; release the breaker instead.")
    if until is not None and until <= now:
        raise Refused("The expiry is in the past; choose a later one, or none.")
    if mode == Mode.FORCED_OPEN and member.share and not receivers(pool, without=node):
        raise Refused(f"No other node is able to take the traffic of {member.name}; bring another one back first.")
    words = mode.replace("_", " ")

    def event(changed: Member) -> Event:
        detail = {"mode": mode.value, "reason": reason, "until": until}
        said = f"{owner} set the breaker of {changed.name} to {words}{_because(reason)}"
        return Event(EventType.BREAKER_FORCED, Severity.INFO, said, node, detail, actor=owner)

    def forced(each: Member) -> Member:
        return replace(each, breaker=rules.force(each.breaker, mode, reason, owner, until, now))

    return _change_breaker(pool, fleet, now, node, forced, event)


def release_breaker(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "") -> Step:
    """Give the breaker back to its own counts."""
    if member_of(pool, node).breaker.mode == Mode.AUTO:
        raise Refused("This breaker is automatic already.")

    def event(member: Member) -> Event:
        said = f"{actor} released the breaker of {member.name}{_because(reason)}: it is automatic and {member.breaker.state}"
        return Event(EventType.BREAKER_FORCED, Severity.INFO, said, node, {"mode": Mode.AUTO.value, "reason": reason}, actor=actor)

    return _change_breaker(
        pool, fleet, now, node, lambda each: replace(each, breaker=rules.force(each.breaker, Mode.AUTO, "", "", None, now)), event
    )


def reset_breaker(pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "") -> Step:
    """Close the breaker and forget its counts; statistics stay."""

    def event(member: Member) -> Event:
        said = f"{actor} reset the breaker of {member.name}{_because(reason)}"
        return Event(EventType.BREAKER_CLOSED, Severity.INFO, said, node, {"reason": reason}, actor=actor)

    return _change_breaker(pool, fleet, now, node, lambda each: replace(each, breaker=rules.reset(each.breaker, now)[0]), event)


def fail_over(
    pool: Pool, fleet: Fleet, now: float, node: int, actor: str, reason: str = "", *, override: guards.Override = guards.NONE
) -> Step:
    """Move an eligible node's share away now: it is drained until somebody fails back."""
    member = member_of(pool, node)
    if not member.share:
        raise Refused(f"{member.name} holds no share of {pool.name}; there is nothing to move.")
    if member.failure is not None and member in failover_pending(pool):
        return _push_failover(pool, fleet, now, member, actor, reason)
    return set_admin(pool, fleet, now, node, AdminState.DRAINING, actor, reason or "fail over now", override=override)


def _push_failover(pool: Pool, fleet: Fleet, now: float, member: Member, actor: str, reason: str) -> Step:
    """The failover that a guard holds back, by a person who overrides it; the node comes back by itself when it has recovered."""
    course = begin(pool, now)
    override = frozenset(Guard) - {Guard.NO_CANDIDATE}
    said = f"{actor} failed {member.name} over{_because(reason)}"
    member = course.member(member.id)
    decision = decide_failover(course.pool, fleet, member, now, actor=actor, reason=said, override=override)
    if decision.refused_by is not None:
        raise Refused(f"No other node is able to take the traffic of {member.name}; bring another one back first.")
    moved(course, member, decision, now)
    return settle(course, pool, fleet, now)


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
    course = begin(pool, now)
    raised = replace(course.pool, active_tier=member.priority)
    if active_tier(raised) != member.priority:
        raise Refused(f"No node of tier {member.priority} is eligible; wait until one has recovered.")
    climb(course, member.priority, now, actor=actor)
    return settle(course, pool, fleet, now)


def rebalance(pool: Pool, fleet: Fleet, now: float, actor: str) -> Step:
    """Bring the shares back to the weights by hand."""
    course = begin(pool, now)
    if not receivers(course.pool):
        raise Refused(f"No node of {pool.name} is eligible; there is nobody to give a share to.")
    if not off_ideal(course.pool):
        raise Refused(f"The shares of {pool.name} are at their weights already.")
    put_right(course, now, actor=actor, reason=f"{actor} asked for it")
    return settle(course, pool, fleet, now)


def pause(pool: Pool, fleet: Fleet, now: float, actor: str, reason: str, until: float | None = None) -> Step:
    """Hold this pool's automation back."""
    if guards.in_force(pool.paused, now) is not None:
        raise Refused(f"The automation of {pool.name} is paused already.")
    if until is not None and until <= now:
        raise Refused("The end of the pause is in the past; choose a later one, or none.")
    course = begin(pool, now)
    course.pool = replace(course.pool, paused=Hold(reason, actor, now, until))
    said = f"{actor} paused the automation of {pool.name}{_because(reason)}"
    course.tell(Event(EventType.AUTOMATION_PAUSED, Severity.INFO, said, detail={"reason": reason, "until": until}, actor=actor))
    return settle(course, pool, fleet, now)


def resume(pool: Pool, fleet: Fleet, now: float, actor: str) -> Step:
    """Let this pool's automation act again; what waited happens at once."""
    if pool.paused is None:
        raise Refused(f"The automation of {pool.name} is not paused.")
    course = begin(replace(pool, paused=None), now)
    course.tell(Event(EventType.AUTOMATION_RESUMED, Severity.INFO, f"{actor} resumed the automation of {pool.name}", actor=actor))
    return settle(course, pool, fleet, now)


def acknowledge(pool: Pool, fleet: Fleet, now: float, actor: str, note: str) -> Step:
    """Somebody is at it: lifts the cool-down."""
    course = begin(replace(pool, cooldown_lifted_at=now), now)
    said = f"{actor} acknowledged the incident of {pool.name}{_because(note)}"
    course.tell(Event(EventType.ACKNOWLEDGED, Severity.INFO, said, detail={"note": note}, actor=actor))
    return settle(course, pool, fleet, now)
