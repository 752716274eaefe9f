"""What users feel of a pool: rules that hold for any pool, and one answer with the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nodes.engine import guards, shares
from nodes.engine.enums import AdminState, Health, State
from nodes.engine.service import FleetView, NodeView, PoolStatus, PoolView, Service, truth
from nodes.engine.types import Breaker, HealthState, Member, Pool

BADNESS = {Service.SERVED: 0, Service.LESS_RESERVE: 1, Service.UNKNOWN: 2, Service.USERS_HIT: 3}

nodes = st.builds(
    NodeView,
    name=st.sampled_from("abcdef"),
    share=st.sampled_from([0, 0, 100, 2_500, 5_000]),
    weight=st.sampled_from([0, 100, 100, 300]),
    admin=st.sampled_from([AdminState.ENABLED] * 5 + list(AdminState)),
    health=st.sampled_from([Health.HEALTHY] * 5 + list(Health)),
    breaker=st.sampled_from([State.CLOSED] * 5 + list(State)),
    stale=st.sampled_from([False, False, False, True]),
    fails=st.integers(0, 4),
    ever_eligible=st.booleans(),
    ramping=st.booleans(),
    since=st.none() | st.floats(1.0, 100.0),
)
pools = st.builds(
    PoolView,
    id=st.just(1),
    name=st.just("api"),
    nodes=st.lists(nodes, max_size=6).map(tuple),
    epoch=st.integers(0, 2),
    low_capacity=st.booleans(),
)


def serving(*names: str, **fields: object) -> PoolView:
    """Healthy nodes with equal shares."""
    share = 10_000 // len(names)
    return PoolView(1, "api", tuple(NodeView(name, share=share) for name in names), epoch=1, **fields)  # type: ignore[arg-type]  # any


def changed(pool: PoolView, name: str, **fields: object) -> PoolView:
    made = tuple(replace(node, **fields) if node.name == name else node for node in pool.nodes)  # type: ignore[arg-type]  # any
    return replace(pool, nodes=made)


def as_member(number: int, node: NodeView) -> Member:
    health = HealthState(node.health, fails=node.fails, stale=node.stale, ever_eligible=node.ever_eligible)
    breaker = Breaker(node.breaker)
    return Member(number, node.name, weight=node.weight, admin=node.admin, health=health, breaker=breaker, share=node.share)


# Any pool -----------------------------------------------------------------------------------------------------------------


@given(pools)
def test_a_share_on_a_node_that_may_not_serve_is_never_served(pool: PoolView) -> None:
    assume(any(node.share and not node.may_serve for node in pool.nodes))
    assert truth(pool).service is not Service.SERVED


@given(pools)
def test_served_means_that_some_node_holds_traffic_and_none_that_holds_some_is_silent(pool: PoolView) -> None:
    if truth(pool).service is Service.SERVED:
        assert any(node.share and node.eligible for node in pool.nodes)
        assert not any(node.share and (node.stale or node.unconfirmed) for node in pool.nodes)


@given(pools, st.integers(0, 2))
def test_a_node_that_fails_below_its_limit_changes_nothing(pool: PoolView, fails: int) -> None:
    calm = replace(pool, nodes=tuple(replace(node, fails=0) for node in pool.nodes))
    suspect = replace(pool, nodes=tuple(replace(node, fails=fails, failure_threshold=3) for node in pool.nodes))
    assert truth(suspect) == truth(calm)


@given(pools, st.data())
def test_losing_another_node_never_makes_it_better(pool: PoolView, data: st.DataObject) -> None:
    """Whether its share stays with it, or has moved to another that is eligible."""
    able = [number for number, node in enumerate(pool.nodes) if node.eligible and node.ever_eligible]
    assume(able)
    lost = data.draw(st.sampled_from(able))
    taker = data.draw(st.sampled_from([number for number in able if number != lost] or [lost]))
    how = data.draw(st.sampled_from([{"health": Health.FAILED}, {"breaker": State.OPEN}, {"stale": True}]))
    after = list(pool.nodes)
    after[lost] = replace(after[lost], **how)  # type: ignore[arg-type]  # one of three
    if taker != lost and data.draw(st.booleans()):
        after[taker] = replace(after[taker], share=after[taker].share + after[lost].share)
        after[lost] = replace(after[lost], share=0)
    before, then = truth(pool), truth(replace(pool, nodes=tuple(after)))
    assert BADNESS[then.service] >= BADNESS[before.service]


@given(st.integers(2, 6), st.data())
def test_once_the_failover_is_completed_no_user_is_hit(count: int, data: st.DataObject) -> None:
    names = "abcdef"[:count]
    lost = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=count - 1))
    left = [name for name in names if name not in lost]
    made = tuple(
        NodeView(name, share=0, health=Health.FAILED) if name in lost else NodeView(name, share=10_000 // len(left))
        for name in names
    )
    known = truth(PoolView(1, "api", made, epoch=3, low_capacity=data.draw(st.booleans())))
    assert (known.service, known.status) == (Service.LESS_RESERVE, PoolStatus.DEGRADED)


@given(pools)
def test_while_the_console_is_blind_nothing_is_claimed(pool: PoolView) -> None:
    assert truth(pool, FleetView(blind="no checker is believed")).service is Service.UNKNOWN


@given(pools)
def test_it_agrees_with_the_engine_on_who_is_eligible_what_is_pending_and_what_is_down(pool: PoolView) -> None:
    members = tuple(as_member(number, node) for number, node in enumerate(pool.nodes))
    engine = Pool(1, "api", members)
    assert [node.eligible for node in pool.nodes] == [shares.eligible(member) for member in members]
    pending = {member.id for member in shares.failover_pending(engine)}
    assert {number for number, node in enumerate(pool.nodes) if node.misdirected} == pending
    if guards.is_down(engine):
        assert (truth(pool).service, truth(pool).status) == (Service.USERS_HIT, PoolStatus.DOWN)


# One pool -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "service", "status"),
    [
        ({}, Service.SERVED, PoolStatus.HEALTHY),
        ({"fails": 2}, Service.SERVED, PoolStatus.HEALTHY),
        ({"health": Health.DEGRADED}, Service.SERVED, PoolStatus.HEALTHY),
        ({"ramping": True}, Service.SERVED, PoolStatus.RECOVERING),
        ({"admin": AdminState.MAINTENANCE, "share": 0}, Service.SERVED, PoolStatus.MAINTENANCE),
        ({"admin": AdminState.DRAINING, "share": 0}, Service.SERVED, PoolStatus.DRAINING),
        ({"admin": AdminState.DISABLED, "share": 0}, Service.SERVED, PoolStatus.HEALTHY),
        ({"admin": AdminState.DRAINING}, Service.LESS_RESERVE, PoolStatus.PENDING),
        ({"health": Health.UNKNOWN, "share": 0, "ever_eligible": False}, Service.SERVED, PoolStatus.HEALTHY),
        ({"stale": True}, Service.LESS_RESERVE, PoolStatus.STALE),
        ({"stale": True, "weight": 0}, Service.LESS_RESERVE, PoolStatus.STALE),
        ({"breaker": State.HALF_OPEN, "share": 100, "weight": 0}, Service.LESS_RESERVE, PoolStatus.RECOVERING),
        ({"fails": 3}, Service.LESS_RESERVE, PoolStatus.DEGRADED),
        ({"health": Health.RECOVERING, "share": 0}, Service.LESS_RESERVE, PoolStatus.RECOVERING),
        ({"breaker": State.HALF_OPEN, "share": 100}, Service.LESS_RESERVE, PoolStatus.RECOVERING),
        ({"breaker": State.OPEN, "share": 0}, Service.LESS_RESERVE, PoolStatus.DEGRADED),
        ({"health": Health.FAILED, "share": 0}, Service.LESS_RESERVE, PoolStatus.DEGRADED),
        ({"health": Health.FAILED, "share": 0, "weight": 0}, Service.SERVED, PoolStatus.HEALTHY),
        ({"health": Health.FAILED}, Service.USERS_HIT, PoolStatus.PENDING),
        ({"health": Health.RECOVERING}, Service.USERS_HIT, PoolStatus.PENDING),
        ({"breaker": State.OPEN}, Service.USERS_HIT, PoolStatus.PENDING),
        ({"admin": AdminState.DISABLED}, Service.USERS_HIT, PoolStatus.PENDING),
    ],
)
def test_what_one_node_of_three_makes_of_its_pool(fields: dict[str, object], service: Service, status: PoolStatus) -> None:
    known = truth(changed(serving("a", "b", "c"), "a", **fields))
    assert (known.service, known.status) == (service, status)


def test_a_pool_that_people_took_out_is_none_of_the_three() -> None:
    for admin, status in (
        (AdminState.MAINTENANCE, PoolStatus.MAINTENANCE),
        (AdminState.DRAINING, PoolStatus.DRAINING),
        (AdminState.DISABLED, PoolStatus.IDLE),
    ):
        known = truth(changed(serving("a"), "a", admin=admin, share=0))
        assert (known.service, known.status, known.in_use) == (Service.UNKNOWN, status, False)


def test_a_pool_in_which_nobody_ever_passed_is_not_in_use_yet() -> None:
    known = truth(changed(replace(serving("a"), epoch=0), "a", share=0, ever_eligible=False, health=Health.FAILED))
    assert (known.service, known.status, known.in_use) == (Service.UNKNOWN, PoolStatus.UNKNOWN, False)


def test_eligible_nodes_without_traffic_serve_nobody() -> None:
    assert truth(changed(serving("a"), "a", share=0)).service is Service.USERS_HIT


def test_most_of_the_traffic_on_silent_nodes_is_unknown_and_so_are_most_nodes_silent() -> None:
    primary = changed(changed(serving("a", "b"), "a", share=10_000, stale=True, observed_at=7.0), "b", share=0)
    assert (truth(primary).service, truth(primary).since) == (Service.UNKNOWN, 7.0)
    most = changed(changed(serving("a", "b", "c"), "a", stale=True, share=0), "b", stale=True, share=0)
    assert truth(most).service is Service.UNKNOWN


def test_users_are_hit_since_the_holder_of_the_traffic_failed() -> None:
    both = changed(
        changed(serving("a", "b"), "a", health=Health.FAILED, share=0, since=10.0), "b", health=Health.FAILED, since=40.0
    )
    assert (truth(both).status, truth(both).since) == (PoolStatus.DOWN, 40.0)


def test_little_capacity_is_less_reserve() -> None:
    assert truth(serving("a", low_capacity=True)).service is Service.LESS_RESERVE
