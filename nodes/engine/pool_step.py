"""What a batch of checks, or time alone, leads to in one pool.

All healths and breakers take the batch first.  Then, in this order: failures are marked, failures end, earlier failovers are
verified, shares leave who may not serve, shares go back to who may again, tiers and weights are put right.  Each part looks
at what is, not at what changed, so that a restart between any two batches comes to the same end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nodes.engine import breaker as rules
from nodes.engine import guards
from nodes.engine.apply_checks import observe, quiet_health
from nodes.engine.course import Course
from nodes.engine.decide import decide_failover, to_targets, withheld
from nodes.engine.enums import AdminState, ChangeKind, EventType, Failback, Guard, Health, Mode, Severity, State, Strategy, Verdict
from nodes.engine.failure_lifecycle import end_failures, mark_failures, verify
from nodes.engine.record import Decision, GuardAnswer, Step
from nodes.engine.recovery import end_ramps, give_shares, next_step_at, withdraw
from nodes.engine.shares import active_tier, eligible, failover_pending, off_ideal
from nodes.engine.types import Event, Fleet, Member, Observation, Pool
from nodes.engine.window import windowed

NOTHING: Mapping[int, Observation] = {}


def step(pool: Pool, fleet: Fleet, now: float, *, observations: Mapping[int, Observation] = NOTHING, jitter: float = 0.0) -> Step:
    """Apply a batch, or with none of it let time do its work."""
    return settle(begin(pool, now, observations, jitter), pool, fleet, now, observations)


def begin(pool: Pool, now: float, observations: Mapping[int, Observation] = NOTHING, jitter: float = 0.0) -> Course:
    """The pool as of now: what was seen and what fell due meanwhile, before anything is decided on it."""
    course = Course(pool)
    _observe_all(course, observations, now, jitter)
    _end_pause(course, now)
    return course


def settle(course: Course, before: Pool, fleet: Fleet, now: float, observations: Mapping[int, Observation] = NOTHING) -> Step:
    """Let automation do all that is due after what changed."""
    mark_failures(course, before, observations, now)
    ended = end_failures(course, now)
    verify(course, observations, now)
    _take_shares(course, fleet, now)
    give_shares(course, fleet, ended, now)
    end_ramps(course)
    _climb(course, fleet, now)
    _rebalance(course, fleet, now)
    _watch_capacity(course)
    return Step(course.pool, tuple(course.events), tuple(course.decisions), wake_at(course.pool, fleet, now))


def _observe_all(course: Course, observations: Mapping[int, Observation], now: float, jitter: float) -> None:
    members = []
    for node in course.pool.members:
        seen, events = observe(node, observations.get(node.id), now, jitter)
        members.append(seen)
        course.events += events
    if tuple(members) != course.pool.members:
        course.pool = replace(course.pool, members=tuple(members))


def _end_pause(course: Course, now: float) -> None:
    pause = course.pool.paused
    if pause is not None and guards.in_force(pause, now) is None:
        course.pool = replace(course.pool, paused=None)
        course.tell(Event(EventType.AUTOMATION_RESUMED, Severity.INFO, f"{course.pool.name}: the pause by {pause.owner} expired"))


def _take_shares(course: Course, fleet: Fleet, now: float) -> None:
    """Failovers, one node after the other."""
    for waiting in failover_pending(course.pool):
        node = course.member(waiting.id)
        if withdraw(course, fleet, node, now):
            continue
        forced = node.breaker.mode == Mode.FORCED_OPEN and node.failure is None
        kind = ChangeKind.MANUAL if forced else ChangeKind.FAILOVER
        override = frozenset(Guard) - {Guard.NO_CANDIDATE} if forced else guards.NONE
        actor = node.breaker.mode_owner or "engine" if forced else "engine"
        reason = f"{node.name}: its breaker is forced open" if forced else ""
        decision = decide_failover(course.pool, fleet, node, now, kind=kind, actor=actor, reason=reason, override=override)
        if decision.refused_by is None:
            moved(course, node, decision, now)
        elif node.failure is not None and node.failure.refused_by != decision.refused_by:
            _refused(course, node, decision)


def moved(course: Course, node: Member, decision: Decision, now: float) -> None:
    course.decided(decision)
    takers = tuple(each.node for each in decision.considered if each.after > each.before)
    names = ", ".join(each.name for each in decision.considered if each.after > each.before)
    detail = {"epoch": course.pool.epoch, "share": node.share, "receivers": list(takers)}
    said = f"{node.share / 100:g} % of {course.pool.name} moved from {node.name} to {names}"
    if decision.kind == ChangeKind.MANUAL:
        course.tell(Event(EventType.REBALANCED, Severity.INFO, said, node.id, detail, actor=decision.actor))
        return
    if decision.actor == "engine":
        course.pool = replace(course.pool, last_failover_at=now)
    if node.failure is not None:
        until = now + 2 * max(course.member(taker).health_policy.interval for taker in takers)
        failure = replace(
            node.failure, had_share=True, moved_at=now, verify_after=now, verify_until=until, receivers=takers, refused_by=None
        )
        course.set(replace(course.member(node.id), failure=failure))
    course.tell(Event(EventType.FAILOVER_STARTED, Severity.INFO, said, node.id, detail, actor=decision.actor))


def _refused(course: Course, node: Member, decision: Decision) -> None:
    assert node.failure is not None  # asked by the caller
    assert decision.refused_by is not None  # as above
    course.decided(decision)
    holder = next(answer for answer in decision.guards if answer.holds and not answer.overridden)
    loud = decision.refused_by in (Guard.PANIC, Guard.NO_CANDIDATE)
    said = f"Failover of {node.name} held back by {decision.refused_by.replace('_', ' ')}: {holder.reason}"
    detail = {"guard": decision.refused_by.value, "holder": holder.reason, "lifts_at": decision.lifts_at, "share": node.share}
    course.tell(Event(EventType.FAILOVER_REFUSED, Severity.CRITICAL if loud else Severity.WARNING, said, node.id, detail))
    course.set(replace(course.member(node.id), failure=replace(node.failure, refused_by=decision.refused_by, had_share=True)))


def _climb(course: Course, fleet: Fleet, now: float) -> None:
    """Failback: traffic returns to a better tier once that was eligible without a break for the delay."""
    pool = course.pool
    better = _better_tier(pool)
    if better is None:
        if pool.better_tier_since is not None or pool.failback_told:
            course.pool = replace(pool, better_tier_since=None, failback_told=False)
        return
    since = pool.better_tier_since if pool.better_tier_since is not None else now
    course.pool = pool = replace(pool, better_tier_since=since)
    if now < since + pool.policy.failback_delay:
        return
    if pool.policy.failback == Failback.MANUAL:
        if not pool.failback_told:
            course.pool = replace(pool, failback_told=True)
            said = f"{pool.name}: tier {better} is eligible again; fail back when you are ready"
            course.tell(Event(EventType.FAILBACK_DUE, Severity.INFO, said, detail={"tier": better}))
        return
    answers = guards.ask(pool, fleet, None, now)
    if guards.holder(answers) is None:
        climb(course, better, now, actor="engine", answers=answers)


def climb(course: Course, tier: int, now: float, *, actor: str, answers: tuple[GuardAnswer, ...] = ()) -> None:
    """Give all traffic to this tier by weight."""
    course.pool = replace(course.pool, active_tier=tier, better_tier_since=None, failback_told=False)
    decision = to_targets(
        course.pool,
        ChangeKind.FAILBACK,
        now,
        reason=f"tier {tier} is eligible again and serves first",
        actor=actor,
        answers=answers,
    )
    course.decided(decision)
    said = f"{course.pool.name}: traffic returned to tier {tier}"
    course.tell(Event(EventType.REBALANCED, Severity.INFO, said, detail={"epoch": course.pool.epoch, "tier": tier}, actor=actor))


def _better_tier(pool: Pool) -> int | None:
    if pool.strategy != Strategy.ACTIVE_PASSIVE or pool.active_tier is None:
        return None
    tiers = [node.priority for node in pool.members if eligible(node) and node.weight > 0 and node.priority < pool.active_tier]
    return min(tiers, default=None)


def _rebalance(course: Course, fleet: Fleet, now: float) -> None:
    pool = course.pool
    if pool.rebalanced_at is None:
        course.pool = pool = replace(pool, rebalanced_at=now)
    due = pool.policy.auto_rebalance and now >= (pool.rebalanced_at or 0.0) + pool.policy.rebalance_interval
    if not due or failover_pending(pool) or not off_ideal(pool):
        return
    answers = guards.ask(pool, fleet, None, now)
    if guards.holder(answers) is None:
        put_right(course, now, actor="engine", reason="shares were off their weights", answers=answers)


def put_right(course: Course, now: float, *, actor: str, reason: str, answers: tuple[GuardAnswer, ...] = ()) -> None:
    """Bring the shares back to the weights."""
    course.decided(to_targets(course.pool, ChangeKind.REBALANCE, now, reason=reason, actor=actor, answers=answers))
    course.pool = replace(course.pool, rebalanced_at=now)
    said = f"{course.pool.name}: shares brought back to the weights"
    course.tell(Event(EventType.REBALANCED, Severity.INFO, said, detail={"epoch": course.pool.epoch}, actor=actor))


def _watch_capacity(course: Course) -> None:
    low = guards.low_capacity(course.pool)
    if (low is not None) == course.pool.low_capacity:
        return
    course.pool = replace(course.pool, low_capacity=low is not None)
    if low is None:
        said = f"{course.pool.name}: at least half of the weight is eligible again"
        course.tell(Event(EventType.LOW_CAPACITY, Severity.INFO, said, detail={"over": True}))
        return
    left, whole = low
    said = f"{course.pool.name}: only {left} of {whole} weight is eligible"
    course.tell(Event(EventType.LOW_CAPACITY, Severity.WARNING, said, detail={"eligible": left, "enabled": whole}))


def decide(pool: Pool, fleet: Fleet, now: float, *, about: int | None = None) -> Decision | None:
    """What automation would do next (about one node, if asked), or is held from, with all reasons; None when nothing is due."""
    waiting = [node for node in failover_pending(pool) if about is None or node.id == about]
    if waiting:
        return decide_failover(pool, fleet, waiting[0], now)
    if about is not None:
        return None
    due = settle(Course(replace(pool, paused=None)), pool, Fleet(), now).decisions
    if not due:
        return None
    answers = guards.ask(pool, fleet, None, now)
    held = guards.holder(answers)
    return due[0] if held is None else withheld(due[0], held, answers)


def wake_at(pool: Pool, fleet: Fleet, now: float) -> float | None:
    """The earliest instant when time alone changes something; staleness is swept for by whoever keeps the rows."""
    instants = [instant for node in pool.members for instant in _node_instants(node, pool)]
    instants += [hold.until for hold in (pool.paused, fleet.paused) if hold is not None and hold.until is not None]
    if pool.better_tier_since is not None and not pool.failback_told:
        instants.append(pool.better_tier_since + pool.policy.failback_delay)
    waiting = bool(failover_pending(pool))
    if waiting and pool.last_failover_at is not None and pool.policy.cooldown:
        instants.append(pool.last_failover_at + pool.policy.cooldown)
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
    if node.failure is not None and node.failure.verify_until is not None:
        instants.append(node.failure.verify_until)
    return instants


def busy(pool: Pool) -> bool:
    """Whether the next check of any node may matter to another node: a failover is pending, a receiver or a tier is awaited."""
    return (
        bool(failover_pending(pool))
        or active_tier(pool) != pool.active_tier
        or any(node.failure is not None and node.failure.verify_after is not None for node in pool.members)
    )


def quiet(pool: Pool, node: Member, observation: Observation) -> bool:
    """Whether applying this observation certainly changes no state, no share and no event: the short way is open."""
    breaker = node.breaker
    return (
        observation.verdict == Verdict.PASS
        and quiet_health(node.health)
        and node.admin == AdminState.ENABLED
        and node.failure is None
        and breaker.state == State.CLOSED
        and breaker.mode == Mode.AUTO
        and not breaker.failures
        and not windowed(node.breaker_policy)
        and not busy(pool)
    )
