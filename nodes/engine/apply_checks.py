"""A batch of observations, and time itself, applied to each node's health and breaker, with the events that follow."""

from __future__ import annotations

from dataclasses import replace

from nodes.engine import breaker as rules
from nodes.engine import health as healths
from nodes.engine.breaker import Change, Permit, Shift
from nodes.engine.enums import AdminState, EventType, Health, Mode, Origin, Outcome, PageOn, State, Verdict
from nodes.engine.event_meaning import Stakes
from nodes.engine.event_types import event
from nodes.engine.types import Breaker, Event, Fleet, HealthState, Member, Observation

REOPENINGS_TOLD = 10  # the first trial and reopening are told, then every tenth

_ALONE = Fleet()


def observe(
    node: Member,
    observation: Observation | None,
    now: float,
    jitter: float,
    fleet: Fleet = _ALONE,
    page_on: PageOn = PageOn.EVERY_FAILURE,
) -> tuple[Member, list[Event]]:
    """One node after its observation (or None: time alone), and what happened to it."""
    if node.admin == AdminState.DISABLED:
        observation = None  # a check that was under way when a person switched the node off
    seen, changes = _apply(node, observation, now, jitter)
    if observation is not None and observation.verdict == Verdict.FAIL:
        if _is_decisive(node, seen, changes) and _is_withheld(node, seen, observation, fleet):
            seen, changes = _count_only(node, seen, now, jitter)
        seen = replace(seen, health=_ask_another(seen, observation, now, fleet))
    if seen is node:
        return node, []  # most nodes of a pool at most steps
    events = [each for each in _health_events(node, seen, observation) if _is_told(node, each)]
    return seen, events + breaker_events(node, seen, changes, page_on)


def _apply(node: Member, observation: Observation | None, now: float, jitter: float) -> tuple[Member, tuple[Change, ...]]:
    health = node.health if observation is None else healths.observe(node.health, node.health_policy, observation, now)
    if health is node.health and not health.stale and healths.stale(health, node.health_policy, node.admin, now):
        health = replace(health, stale=True)
    held = health.status == Health.FAILED
    breaker, changes = rules.tick(node.breaker, node.breaker_policy, now, jitter=jitter, held=held)
    if observation is not None:
        breaker, more = _feed(breaker, node, observation, now, jitter)
        changes += more
    if health is node.health and breaker is node.breaker:
        return node, changes
    return replace(node, health=health, breaker=breaker), changes


# Who saw a failure ----------------------------------------------------------------------------------------------------


def _is_decisive(before: Member, after: Member, changes: tuple[Change, ...]) -> bool:
    """Whether a failing check marks the node, or opens its breaker."""
    marks = after.health.status == Health.FAILED and before.health.status not in (Health.FAILED, Health.RECOVERING)
    return marks or any(change.shift is Shift.OPENED for change in changes)


def _is_withheld(before: Member, after: Member, observation: Observation, fleet: Fleet) -> bool:
    """Whether the failure only counts: no checker is believed, or another one is to see it first and still has time to."""
    if before.health.status == Health.FAILED:
        return False
    if fleet.isolated is not None:
        return True
    until = before.health.confirm_until
    return fleet.believed > 1 and len(after.health.seen_by) < 2 and (until is None or observation.started_at < until)


def _count_only(before: Member, after: Member, now: float, jitter: float) -> tuple[Member, tuple[Change, ...]]:
    """The failing check is counted, and marks nobody."""
    breaker, changes = rules.tick(before.breaker, before.breaker_policy, now, jitter=jitter, held=False)
    was = before.health
    health = replace(after.health, status=was.status, since=was.since, alternating=was.alternating)
    return replace(before, health=health, breaker=breaker), changes


def _ask_another(node: Member, observation: Observation, now: float, fleet: Fleet) -> HealthState:
    """The health after a failing check; until when the next check is left to another checker, if it would be decisive."""
    health, policy = node.health, node.health_policy
    alone = fleet.believed > 1 and fleet.isolated is None and len(health.seen_by) < 2 and health.status != Health.FAILED
    threshold = node.breaker_policy.failure_threshold
    nearly_open = threshold is not None and node.breaker.state == State.CLOSED and node.breaker.failures >= threshold - 1
    if not alone or not (health.fails >= policy.failure_threshold - 1 or nearly_open):
        return health if health.confirm_until is None else replace(health, confirm_until=None)
    if health.confirm_until is not None:
        return health
    asked_at = now if health.fails >= policy.failure_threshold else observation.started_at + healths.fast_interval(policy)
    return replace(health, confirm_until=asked_at + healths.confirmation(policy))


def breaker_events(before: Member, after: Member, changes: tuple[Change, ...], page_on: PageOn) -> list[Event]:
    """What the changes of a node's breaker are told as."""
    events = (_breaker_event(after, before.breaker.first_opened_at, change, page_on) for change in changes)
    return [each for each in events if each is not None and _is_told(before, each)]


def _is_told(node: Member, happened: Event) -> bool:
    """A node in maintenance is checked and says nothing, but for a person's mode that ran out."""
    return node.admin != AdminState.MAINTENANCE or happened.type == EventType.BREAKER_FORCED


def _feed(
    breaker: Breaker, node: Member, observation: Observation, now: float, jitter: float
) -> tuple[Breaker, tuple[Change, ...]]:
    """Let a check count as a call: while closed always, half-open when it began after that and a permit is free.

    What calls opened, only calls heal: a node that answers its checks may fail its users all the same.
    """
    if observation.verdict == Verdict.UNKNOWN or breaker.mode == Mode.FORCED_OPEN or breaker.state == State.OPEN:
        return breaker, ()
    by_calls = breaker.opened_by == Origin.CALLS and not (node.trial is not None and node.trial.by_checks)
    if breaker.state == State.HALF_OPEN and (by_calls or observation.started_at < (breaker.stats.last_change or 0.0)):
        return breaker, ()
    asked, permit = rules.acquire(breaker, node.breaker_policy, now, jitter=jitter)
    if not isinstance(permit, Permit):
        return breaker, ()
    outcome = Outcome.FAILURE if observation.verdict == Verdict.FAIL else Outcome.SUCCESS
    return rules.report(
        asked, node.breaker_policy, permit, outcome, now, jitter=jitter, origin=Origin.CHECKS, duration=observation.latency
    )


def _health_events(before: Member, after: Member, observation: Observation | None) -> list[Event]:
    events: list[Event] = []
    old, new = before.health, after.health
    threshold = after.health_policy.failure_threshold
    if new.fails > old.fails and new.fails <= threshold and old.status not in (Health.FAILED, Health.RECOVERING):
        detail = {"count": new.fails, "threshold": threshold, "message": observation.message if observation else ""}
        said = f"{after.name} failed a check ({new.fails}/{threshold}): {detail['message'] or 'no answer'}"
        if new.fails == threshold and new.confirm_until is not None:
            said += "; another checker is asked before it counts"
        events.append(event(EventType.HEALTH_CHECK_FAILED, said, after.id, detail))
    if new.alternating and not old.alternating:
        failed = healths.failed_of_last(new.results)
        said = f"{after.name} is degraded: {failed} of its last {healths.RESULTS} results failed"
        events.append(event(EventType.NODE_DEGRADED, said, after.id, {"failed": failed, "results": healths.RESULTS}))
    elif (old.status, new.status) == (Health.HEALTHY, Health.DEGRADED):
        why = observation.message if observation and observation.message else "a check warned"
        events.append(event(EventType.NODE_DEGRADED, f"{after.name} is degraded: {why}", after.id))
    return events


def _breaker_event(node: Member, first_opened_at: float | None, change: Change, page_on: PageOn) -> Event | None:
    name, breaker = node.name, node.breaker
    detail = {"wait": round(breaker.wait, 3), "reopened": change.reopened, "first_opened_at": breaker.first_opened_at}
    match change.shift:
        case Shift.MODE_ENDED:
            said = f"{name}: the breaker's mode {change.mode.replace('_', ' ')} expired, it is automatic again"
            return event(EventType.BREAKER_FORCED, said, node.id, {"mode": Mode.AUTO.value})
        case Shift.REOPENED:
            if change.reopened % REOPENINGS_TOLD != 1:
                return None
            said = f"{name}: a trial {change.trial}, the breaker opened again (time {change.reopened}) for {breaker.wait:.0f} s"
            return event(EventType.BREAKER_REOPENED, said, node.id, detail)
        case Shift.OPENED:
            said = f"{name}: {breaker.opened_by} opened the breaker ({breaker.opened_why}) for {breaker.wait:.0f} s at least"
            begins = node.failure is None and breaker.mode == Mode.AUTO
            stakes = Stakes(node.share, node.health.ever_eligible, begins, page_on)
            return event(EventType.BREAKER_OPENED, said, node.id, detail | {"opened_by": breaker.opened_by}, stakes=stakes)
        case Shift.HALF_OPENED:
            if change.reopened % REOPENINGS_TOLD:
                return None
            return event(EventType.BREAKER_HALF_OPENED, f"{name}: the breaker lets a trial through", node.id)
        case Shift.CLOSED:
            took = change.at - (first_opened_at if first_opened_at is not None else change.at)
            return event(EventType.BREAKER_CLOSED, f"{name}: the breaker closed after {took:.0f} s", node.id)
