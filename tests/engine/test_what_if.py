"""What a command would do, without doing it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodes.engine import commands
from nodes.engine.enums import AdminState, Guard, Health, Mode
from nodes.engine.step import NothingToDo, Refused
from nodes.engine.types import Fleet, HealthState, Hold, Member, Pool
from nodes.engine.what_if import Command, Consequence, what_if

NOW = 1000.0
FLEET = Fleet()


def member(number: int, share: int, **more: object) -> Member:
    healthy = HealthState(Health.HEALTHY, since=1.0, observed_at=NOW, due_interval=10.0, ever_eligible=True)
    return replace(Member(number, f"api-{number}", share=share, health=healthy), **more)  # type: ignore[arg-type]  # its own fields


def pool(*shares: int) -> Pool:
    return Pool(1, "api", tuple(member(number + 1, share) for number, share in enumerate(shares)), epoch=7, rebalanced_at=NOW)


def drain(node: int, override: frozenset[Guard] = frozenset()) -> Command:
    return lambda p, f, now: commands.set_admin(p, f, now, node, AdminState.DRAINING, "maria", override=override)


def seen(made: Pool, command: Command) -> Consequence:
    return what_if(command, made, FLEET, NOW)


def test_a_share_that_goes_to_all_alike() -> None:
    found = seen(pool(3400, 3300, 3300), drain(1))
    assert found.sentence == "Takes 34\xa0% from api-1; api-2 and api-3 get 17\xa0% each."
    assert [(move.name, move.before, move.after) for move in found.moves] == [
        ("api-1", 3400, 0), ("api-2", 3300, 5000), ("api-3", 3300, 5000),
    ]  # fmt: skip  # one move after the other


def test_a_share_that_goes_to_each_differently() -> None:
    assert seen(pool(3000, 6000, 1000), drain(1)).sentence.endswith("api-2 gets 25.71\xa0% and api-3 gets 4.29\xa0%.")


def test_what_many_get_names_some() -> None:
    assert seen(pool(*[1000] * 10), drain(1)).sentence.endswith("and 5 more.")


def test_what_moves_nothing() -> None:
    found = seen(pool(5000, 5000, 0), lambda p, f, now: commands.pause(p, f, now, "maria", "freeze"))
    assert found.sentence == "Moves no traffic now."
    assert not found.moves


def test_a_pool_left_without_traffic() -> None:
    alone = pool(10_000)
    with pytest.raises(Refused, match="No other node is eligible"):
        seen(alone, drain(1))
    found = seen(alone, drain(1, frozenset({Guard.NO_CANDIDATE})))
    assert found.unserved
    assert found.sentence == "Takes 100\xa0% from api-1; nobody gets it: api is left without traffic."
    assert found.overridden == ("no candidate",)


def test_a_guard_that_a_person_overrides_is_named() -> None:
    held = replace(pool(5000, 5000), paused=Hold("freeze", "maria", 1.0))
    assert seen(held, drain(1)).overridden == ("pause",)


def test_nothing_is_done_to_the_pool() -> None:
    before = pool(5000, 5000)
    seen(before, drain(1))
    assert before == pool(5000, 5000)


def test_equal_consequences_have_one_version_whatever_else_changed() -> None:
    before = pool(5000, 5000)
    slow = replace(before.members[1], health=replace(before.members[1].health, fails=1))
    later = replace(before, members=(before.members[0], slow), epoch=9)
    assert seen(before, drain(1)).version == seen(later, drain(1)).version


def forced(made: Pool) -> Pool:
    opened = commands.force_breaker(made, FLEET, NOW, 2, Mode.FORCED_OPEN, "bad", "maria", None)
    return opened.pool


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, members=(member(1, 4000), member(2, 6000), member(3, 0))),
        lambda p: commands.set_admin(p, FLEET, NOW, 2, AdminState.DRAINING, "maria").pool,
        forced,
        lambda p: replace(p, paused=Hold("freeze", "maria", 1.0)),
    ],
    ids=["shares", "a receiver drained", "a receiver forced open", "a guard"],
)
def test_what_changes_the_consequence_changes_the_version(change: object) -> None:
    before = pool(4000, 4000, 2000)
    after = change(before)  # type: ignore[operator]  # one of the functions above
    assert seen(before, drain(1)).version != seen(after, drain(1)).version


def test_a_reason_changes_no_version() -> None:
    made = pool(5000, 5000)
    versions = {
        seen(made, lambda p, f, now, why=why: commands.set_admin(p, f, now, 1, AdminState.DRAINING, "maria", why)).version  # type: ignore[misc]  # a default for the loop's own
        for why in ("", "new kernel")
    }
    assert len(versions) == 1


def test_shares_at_their_weights_are_nothing_to_do() -> None:
    with pytest.raises(NothingToDo, match="at their weights already"):
        seen(pool(5000, 5000), lambda p, f, now: commands.rebalance(p, f, now, "maria"))


def test_the_last_reserve_that_goes_is_told_with_what_the_next_failure_would_mean() -> None:
    found = seen(pool(5000, 5000), drain(1))
    assert (found.loses_reserve, found.hits_users) == (True, False)
    assert found.next_blow == "If api-2 fails next, its 100\xa0% stays on it: no candidate."


def test_what_leaves_reserve_enough_names_no_next_failure() -> None:
    found = seen(pool(3400, 3300, 3300), drain(1))
    assert (found.loses_reserve, found.hits_users, found.next_blow) == (True, False, "")


def test_a_pool_left_without_traffic_hits_its_users() -> None:
    found = seen(pool(10_000), drain(1, frozenset({Guard.NO_CANDIDATE})))
    assert (found.unserved, found.hits_users) == (True, True)


def test_what_moves_nothing_loses_nothing() -> None:
    found = seen(pool(5000, 5000), lambda p, f, now: commands.pause(p, f, now, "maria", "freeze"))
    assert (found.loses_reserve, found.hits_users, found.next_blow) == (False, False, "")
