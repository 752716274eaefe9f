"""The life of a failure: marked, moved, verified, recovering, ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nodes.engine.breaker import effective
from nodes.engine.course import Course
from nodes.engine.decide import run_of
from nodes.engine.enums import AdminState, EventType, Health, Mode, Severity, State, Verdict
from nodes.engine.shares import first_bad, recovered
from nodes.engine.types import Event, Failure, Member, Observation, Pool

_WATCHED = (AdminState.ENABLED, AdminState.DRAINING)


def mark_failures(course: Course, before: Pool, observations: Mapping[int, Observation], now: float) -> None:
    """Begin the failures of nodes that are failed or whose breaker opened, by first bad check, then id; follow their attempts."""
    known = {node.id: node for node in before.members}
    for node in sorted(course.pool.members, key=lambda each: (first_bad(each), each.id)):
        if node.failure is not None:
            _follow(course, node, known.get(node.id, node), observations.get(node.id))
        elif node.admin in _WATCHED and (cause := _cause(node)):
            _begin(course, node, cause, observations.get(node.id), now)


def _cause(node: Member) -> str:
    if node.health.status == Health.FAILED:
        return "health"
    opened = effective(node.breaker) == State.OPEN and node.breaker.mode != Mode.FORCED_OPEN
    return "breaker" if opened else ""


def _begin(course: Course, node: Member, cause: str, observation: Observation | None, now: float) -> None:
    first_bad_at = node.health.first_bad_at if node.health.first_bad_at is not None else now
    course.set(replace(node, failure=Failure(min(first_bad_at, now), now, cause, had_share=node.share > 0)))
    if cause == "health":
        _tell_marked(course, node, observation)


def _tell_marked(course: Course, node: Member, observation: Observation | None) -> None:
    message = observation.message if observation is not None and observation.message else "no answer"
    said = f"{node.name} failed {run_of(node.health.fails)}: {message}"
    grave = node.share > 0 and node.health.ever_eligible
    detail = {"count": node.health.fails, "message": message, "share": node.share}
    course.tell(Event(EventType.NODE_MARKED_FAILED, Severity.CRITICAL if grave else Severity.WARNING, said, node.id, detail))


def _follow(course: Course, node: Member, before: Member, observation: Observation | None) -> None:
    """Attempts to recover: begun by the first good check or by a trial, undone by a bad one."""
    failure = node.failure
    assert failure is not None  # asked by the caller
    left_failed = before.health.status == Health.FAILED != node.health.status
    began = left_failed or _turned(before.breaker.state, node.breaker.state, State.HALF_OPEN)
    failed = _turned(before.health.status, node.health.status, Health.FAILED)
    if failure.recovering and (failed or node.breaker.reopened > before.breaker.reopened):
        course.set(replace(node, failure=replace(failure, recovering=False)))
        course.tell(Event(EventType.RECOVERY_FAILED, Severity.INFO, f"{node.name} failed again while recovering", node.id))
    elif failed and before.health.status != Health.RECOVERING:
        _tell_marked(course, node, observation)  # its breaker had opened before its health gave up
    elif began and not failure.recovering and not recovered(node):
        _start_recovery(course, node)


def _start_recovery(course: Course, node: Member) -> None:
    assert node.failure is not None  # asked by the caller
    course.set(replace(node, failure=replace(node.failure, recovering=True)))
    need = node.health_policy.recovery_threshold
    said = f"{node.name} is recovering ({node.health.passes}/{need})" if node.health.passes else f"{node.name} is recovering"
    course.tell(Event(EventType.RECOVERY_STARTED, Severity.INFO, said, node.id, {"count": node.health.passes, "threshold": need}))


def _turned(before: str, after: str, to: str) -> bool:
    return before != after == to


def end_failures(course: Course, now: float) -> dict[int, Event]:
    """End the failures of nodes that are eligible again or no longer watched; node -> the event to tell once its share is back."""
    ended: dict[int, Event] = {}
    for node in course.pool.members:
        failure = node.failure
        if failure is None:
            continue
        if node.admin not in _WATCHED:
            _close_verification(course, node, failure, now)
            course.set(replace(node, failure=None))
        elif recovered(node):
            if not failure.recovering:
                _start_recovery(course, node)
            _close_verification(course, node, failure, now)
            course.set(replace(node, failure=None))
            took = now - failure.marked_at
            said = f"{node.name} recovered after {took:.0f} s"
            detail = {"seconds": round(took, 3), "first_bad_at": failure.first_bad_at}
            ended[node.id] = Event(EventType.RECOVERY_COMPLETED, Severity.INFO, said, node.id, detail)
    return ended


def _close_verification(course: Course, node: Member, failure: Failure, now: float) -> None:
    if failure.verify_until is not None:
        said = f"Failover of {node.name} ended before a receiver was checked: the node no longer counts as failing"
        course.tell(Event(EventType.FAILOVER_COMPLETED, Severity.INFO, said, node.id, {"seconds": _since(failure, now)}))


def verify(course: Course, observations: Mapping[int, Observation], now: float) -> None:
    """Complete when a receiver passed a check begun after the shares moved; failed when all failed theirs or time ran out."""
    for node in course.pool.members:
        failure = node.failure
        if failure is None or failure.verify_after is None or failure.verify_until is None:
            continue
        fresh = {
            receiver: observations[receiver]
            for receiver in failure.receivers
            if receiver in observations and observations[receiver].started_at >= failure.verify_after
        }
        passed = [receiver for receiver, seen in fresh.items() if seen.verdict in (Verdict.PASS, Verdict.WARN)]
        left = tuple(r for r in failure.receivers if r not in fresh or fresh[r].verdict == Verdict.UNKNOWN)
        if passed:
            names = {each.id: each.name for each in course.pool.members}
            said = f"Failover of {node.name} completed: {names[passed[0]]} answers and holds its traffic"
            _end_verification(
                course,
                node,
                failure,
                Event(EventType.FAILOVER_COMPLETED, Severity.INFO, said, node.id, {"seconds": _since(failure, now)}),
            )
        elif not left or now >= failure.verify_until:
            why = "every receiver failed its check" if not left else "no receiver passed a check in time"
            said = f"Failover of {node.name} failed: {why}"
            _end_verification(
                course,
                node,
                failure,
                Event(EventType.FAILOVER_FAILED, Severity.CRITICAL, said, node.id, {"seconds": _since(failure, now)}),
            )
        elif left != failure.receivers:
            course.set(replace(node, failure=replace(failure, receivers=left)))


def _end_verification(course: Course, node: Member, failure: Failure, event: Event) -> None:
    course.set(replace(node, failure=replace(failure, verify_after=None, verify_until=None, receivers=())))
    course.tell(event)


def _since(failure: Failure, now: float) -> float:
    return round(now - (failure.moved_at or failure.marked_at), 3)
