"""The life of a failure as a table: every entry does what its words say, and what has no entry is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine import failure_lifecycle as lifecycle
from nodes.engine.enums import EventType, Guard
from nodes.engine.event_types import TABLE, TroubleType
from nodes.engine.failure_lifecycle import RULES, Cause, NoRuleError, Signal, Stage, apply, stage_of
from nodes.engine.types import Failure

NEW = Failure(first_bad_at=90.0, marked_at=100.0, cause="health")
CAUSE = Cause(110.0, guard=Guard.PANIC, receivers=(2, 3), until=130.0)
AFTER = {
    Signal.SHARE_MOVED: Stage.MOVED, Signal.REFUSED: Stage.REFUSED, Signal.RECEIVERS_FEWER: Stage.MOVED,
    Signal.VERIFIED: Stage.SETTLED, Signal.UNVERIFIED: Stage.SETTLED,
}  # fmt: skip  # signal beside stage


def at(stage: Stage) -> Failure:
    """A failure that has come so far."""
    way = {Stage.MARKED: (), Stage.REFUSED: (Signal.REFUSED,), Stage.MOVED: (Signal.SHARE_MOVED,)}
    failure: Failure | None = NEW
    for signal in way.get(stage, (Signal.SHARE_MOVED, Signal.VERIFIED)):
        assert failure is not None
        failure, _ = apply(failure, signal, CAUSE)
    assert failure is not None
    return failure


@pytest.mark.parametrize("stage", Stage)
def test_each_stage_is_reached(stage: Stage) -> None:
    assert stage_of(at(stage)) is stage


@pytest.mark.parametrize(("stage", "signal"), RULES, ids=str)
def test_each_entry_leads_where_its_signal_says(stage: Stage, signal: Signal) -> None:
    before = at(stage)
    after, tells = apply(before, signal, CAUSE)
    if signal in (Signal.ELIGIBLE, Signal.UNWATCHED):
        assert after is None
        assert [kind for kind in tells if TABLE[kind].ends is TroubleType.FAILURE] == [tells[-1]]
        assert (EventType.FAILOVER_COMPLETED in tells) == (stage is Stage.MOVED)
        return
    assert after is not None
    waits = stage is Stage.MOVED and signal is Signal.REFUSED  # the receivers of an earlier move are still awaited
    assert stage_of(after) is (stage if waits else AFTER.get(signal, stage))
    assert all(TABLE[kind].updates is TroubleType.FAILURE for kind in tells)
    assert (after.first_bad_at, after.marked_at, after.cause) == (before.first_bad_at, before.marked_at, before.cause)


@pytest.mark.parametrize(("stage", "signal"), [(s, g) for s in Stage for g in Signal if (s, g) not in RULES], ids=str)
def test_an_absent_entry_is_an_error_that_names_both(stage: Stage, signal: Signal) -> None:
    with pytest.raises(NoRuleError, match=f"A failure that is {stage} knows no {signal}"):
        apply(at(stage), signal, CAUSE)


def test_only_a_move_awaits_receivers_and_only_they_can_verify() -> None:
    awaited = {stage for stage, signal in RULES if signal in (Signal.VERIFIED, Signal.UNVERIFIED, Signal.RECEIVERS_FEWER)}
    assert awaited == {Stage.MOVED}


def test_a_move_forgets_the_refusal_and_a_refusal_keeps_its_guard() -> None:
    refused, _ = apply(NEW, Signal.REFUSED, CAUSE)
    assert refused is not None
    assert (refused.refused_by, refused.had_share) == (Guard.PANIC, True)
    moved, tells = apply(refused, Signal.SHARE_MOVED, CAUSE)
    assert moved is not None
    assert (moved.refused_by, moved.moved_at, moved.receivers, moved.verify_until) == (None, 110.0, (2, 3), 130.0)
    assert tells == (EventType.FAILOVER_STARTED,)


@given(st.lists(st.sampled_from(Signal), max_size=12))
def test_whatever_comes_a_failure_ends_once_and_only_by_eligible_or_unwatched(signals: list[Signal]) -> None:
    failure: Failure | None = NEW
    told: list[EventType] = []
    for signal in signals:
        if failure is None:
            break
        if (stage_of(failure), signal) not in RULES:
            continue
        failure, tells = apply(failure, signal, CAUSE)
        told += tells
        assert (failure is None) == (signal in (Signal.ELIGIBLE, Signal.UNWATCHED))
    assert sum(TABLE[kind].ends is TroubleType.FAILURE for kind in told) == (failure is None)


def test_the_table_can_be_printed() -> None:
    lines = lifecycle.rule_table().splitlines()
    assert len(lines) == len(RULES)
    assert "moved    verified         nobody is awaited any more; tells failover_completed" in lines
