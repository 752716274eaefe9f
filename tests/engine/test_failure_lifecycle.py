"""The life of a failure as a table: every entry does what its words say, and what has no entry is an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
LATER = Cause(140.0, guard=Guard.COOLDOWN, receivers=(3,), until=150.0)
ENDS = (Signal.ELIGIBLE, Signal.UNWATCHED)
_NOBODY: dict[str, Any] = {"verify_after": None, "verify_until": None, "receivers": ()}
CHANGES: dict[Signal, dict[str, Any]] = {
    Signal.SHARE_MOVED: {
        "had_share": True, "moved_at": 140.0, "verify_after": 140.0, "verify_until": 150.0, "receivers": (3,), "refused_by": None,
    },
    Signal.REFUSED: {"refused_by": Guard.COOLDOWN, "had_share": True},
    Signal.REFUSED_AGAIN: {"refused_by": Guard.COOLDOWN},
    Signal.RECEIVERS_FEWER: {"receivers": (3,)},
    Signal.VERIFIED: _NOBODY | {"verified": True},
    Signal.LEFT_UNVERIFIED: {"unverified_told": True},
    Signal.UNVERIFIED: _NOBODY,
    Signal.ATTEMPT_BEGAN: {"recovering": True},
    Signal.ATTEMPT_FAILED: {"recovering": False},
}  # fmt: skip  # what a move sets, in one line
TELLS: dict[Signal, tuple[EventType, ...]] = {
    Signal.SHARE_MOVED: (EventType.FAILOVER_STARTED,),
    Signal.REFUSED: (EventType.FAILOVER_REFUSED,),
    Signal.REFUSED_AGAIN: (),
    Signal.LEFT_UNVERIFIED: (EventType.FAILOVER_UNVERIFIED,),
    Signal.RECEIVERS_FEWER: (),
    Signal.VERIFIED: (EventType.FAILOVER_COMPLETED,),
    Signal.UNVERIFIED: (EventType.FAILOVER_FAILED,),
    Signal.ATTEMPT_BEGAN: (EventType.RECOVERY_STARTED,),
    Signal.ATTEMPT_FAILED: (EventType.RECOVERY_FAILED,),
    Signal.ELIGIBLE: (EventType.RECOVERY_COMPLETED,),
    Signal.UNWATCHED: (EventType.FAILURE_ENDED,),
}
AFTER = {
    Signal.SHARE_MOVED: Stage.MOVED, Signal.REFUSED: Stage.REFUSED, Signal.REFUSED_AGAIN: Stage.REFUSED,
    Signal.RECEIVERS_FEWER: Stage.MOVED,
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
def test_each_entry_changes_just_what_its_words_say_and_tells_it(stage: Stage, signal: Signal) -> None:
    before = replace(at(stage), recovering=signal is Signal.ATTEMPT_FAILED)
    after, tells = apply(before, signal, LATER)
    awaiting = stage is Stage.MOVED and signal in ENDS
    assert tells == ((EventType.FAILOVER_COMPLETED,) if awaiting else ()) + TELLS[signal]
    if signal in ENDS:
        assert after is None
        return
    told = {"told_guards": (*before.told_guards, Guard.COOLDOWN)} if signal is Signal.REFUSED else {}
    assert after == replace(before, **CHANGES[signal], **told)
    assert after != before
    # The receivers of an earlier move are still awaited.
    waits = stage is Stage.MOVED and signal in (Signal.REFUSED, Signal.REFUSED_AGAIN)
    assert stage_of(after) is (stage if waits else AFTER.get(signal, stage))


def test_what_is_told_on_the_way_goes_on_with_the_failure_and_what_is_told_last_ends_it() -> None:
    for (_, signal), entry in RULES.items():
        ended = [TABLE[kind].ends is TroubleType.FAILURE for kind in entry.tells]
        assert ended == [False] * (len(entry.tells) - 1) + [signal in ENDS][: len(entry.tells)]
        assert all(TABLE[kind].updates is TroubleType.FAILURE for kind, ends in zip(entry.tells, ended, strict=True) if not ends)


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
    assert "moved    verified         a receiver serves, nobody is awaited any more; tells failover_completed" in lines
