"""Which silence is told: the widest alone, once, with one end for every way out, and no flapping."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine.enums import EventType
from nodes.engine.silence import FleetSilence, PoolSilence, Told, Watched, of_fleet, of_pool
from nodes.engine.types import Event

INTERVAL = 10.0
STALE_AFTER = 25.0  # s without a verdict
OTHERS_HEARD = 5.0  # s

BEGINS = {EventType.CHECKS_MISSING: EventType.CHECKS_RESUMED, EventType.NODE_STALE: EventType.NODE_STALE_ENDED}


@dataclass
class Fleet:
    """Pools of nodes that answer their checks or do not, swept each second of their time."""

    pools: dict[int, list[int]]
    now: float = 1000.0
    heard: dict[int, float] = field(default_factory=dict)
    mute: set[int] = field(default_factory=set)
    fleet_told: Told = field(default_factory=Told)
    told: dict[int, Told] = field(default_factory=dict)
    events: list[tuple[int | None, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heard = {node: self.now - node % INTERVAL for nodes in self.pools.values() for node in nodes}
        self.told = dict.fromkeys(self.pools, Told())

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            for node, at in self.heard.items():
                if node not in self.mute and self.now - at >= INTERVAL:
                    self.heard[node] = self.now
            self.sweep()

    def sweep(self) -> None:
        watched = [node for nodes in self.pools.values() for node in nodes]
        newest = max((self.heard[node] for node in watched), default=self.now)
        since = self.fleet_told.watched_since
        seen = {node: self._watched(node, newest) for node in watched}
        fleet = FleetSilence(
            now=self.now,
            nodes=len(watched),
            stale=sum(node.stale for node in seen.values()),
            settled=sum(node.has_settled(since, self.now) for node in seen.values()),
            quiet=self.now - newest,
            runners=1,
            longest_life=100.0,
            last_message="",
            told=self.fleet_told,
        )
        self.fleet_told, said = of_fleet(fleet)
        self.events += [(None, each) for each in said]
        for number, nodes in self.pools.items():
            pool = PoolSilence(number, f"pool {number}", {node: seen[node] for node in nodes}, self.told[number])
            self.told[number], said = of_pool(pool, fleet, fleet_told=self.fleet_told.missing)
            self.events += [(number, each) for each in said]

    def _watched(self, node: int, newest: float) -> Watched:
        at = self.heard[node]
        stale = self.now > at + STALE_AFTER
        others, quiet = newest - (at + STALE_AFTER + OTHERS_HEARD), self.now - newest > 60
        return Watched(f"n{node}", stale, stale and (others > 0 or quiet), stale and (others > INTERVAL or quiet), INTERVAL, at, at)

    def types(self) -> list[tuple[int | None, str]]:
        return [(pool, each.type.value) for pool, each in self.events]

    def open(self) -> Counter[tuple[int | None, EventType]]:
        """What has begun and not ended, by the events alone."""
        found: set[tuple[int | None, EventType]] = set()
        for pool, each in self.events:
            if each.type in BEGINS:
                assert (pool, each.type) not in found or each.type is EventType.NODE_STALE, "begun twice"
                found.add((pool, each.type))
            else:
                beginning = next(begun for begun, end in BEGINS.items() if end is each.type)
                assert (pool, beginning) in found, "ended what had not begun"
                found.remove((pool, beginning))
        return Counter(found)


def fleet(pools: int = 2, nodes: int = 4) -> Fleet:
    return Fleet({pool: [pool * 100 + number for number in range(nodes)] for pool in range(1, pools + 1)})


def test_a_hundred_pools_that_fall_silent_at_once_are_one_message() -> None:
    whole = fleet(100)
    whole.mute = set(whole.heard)
    whole.pass_time(180)
    assert whole.types() == [(None, "checks_missing")]


def test_thirty_of_a_hundred_pools_are_thirty_messages() -> None:
    whole = fleet(100)
    whole.mute = {node for node in whole.heard if node < 3100}
    whole.pass_time(180)
    assert sorted(each.type for _, each in whole.events) == ["checks_missing"] * 30
    assert {pool for pool, _ in whole.events} == set(range(1, 31))


def test_single_nodes_are_one_list_a_pool_that_others_join_without_a_new_page() -> None:
    whole = fleet(nodes=6)
    whole.mute = {101}
    whole.pass_time(60)
    whole.mute = {101, 102}
    whole.pass_time(60)
    assert whole.types() == [(1, "node_stale"), (1, "node_stale")]
    assert [each.detail["nodes"] for _, each in whole.events] == [[101], [101, 102]]
    assert "n101" in whole.events[0][1].message
    assert "n101" not in whole.events[1][1].message
    whole.mute = {102}
    whole.pass_time(60)
    assert whole.open() == Counter([(1, EventType.NODE_STALE)])
    whole.mute = set()
    whole.pass_time(60)
    assert whole.types()[2:] == [(1, "node_stale_ended")]


def test_a_wider_silence_takes_the_narrower_in_and_leaves_what_is_silent_still() -> None:
    whole = fleet()
    whole.mute = {101}
    whole.pass_time(60)
    whole.mute = {101, 102, 103}
    whole.pass_time(60)
    whole.mute = set(whole.heard)
    whole.pass_time(100)
    whole.mute = {101}
    whole.pass_time(100)
    assert whole.types() == [
        (1, "node_stale"),
        (1, "checks_missing"),
        (1, "node_stale_ended"),
        (None, "checks_missing"),
        (1, "checks_resumed"),
        (None, "checks_resumed"),
        (1, "node_stale"),
    ]
    assert whole.events[4][1].message == "The silence of pool 1 is part of the fleet's now"


def test_one_odd_verdict_in_ten_minutes_ends_nothing() -> None:
    whole = fleet()
    whole.mute = {101, 200, 201, 202, 203}
    for _ in range(6):
        whole.pass_time(600)
        whole.heard |= dict.fromkeys(whole.mute, whole.now)
    assert sorted(whole.types()) == [(1, "node_stale"), (2, "checks_missing")]


def test_a_clock_that_is_set_back_keeps_no_trouble_open() -> None:
    whole = fleet()
    whole.mute = set(whole.heard)
    whole.pass_time(100)
    whole.mute = set()
    whole.pass_time(5)
    assert whole.fleet_told.watched_since is not None
    whole.now -= 3600.0
    whole.heard = dict.fromkeys(whole.heard, whole.now)
    whole.pass_time(25)
    assert whole.types() == [(None, "checks_missing"), (None, "checks_resumed")]


def test_an_outage_that_ends_within_a_minute_is_no_news() -> None:
    whole = fleet(10)
    for seconds in range(20, 52, 3):
        whole.mute = set(whole.heard)
        whole.pass_time(seconds)
        whole.mute = set()
        whole.pass_time(40)
    assert whole.types() == []


@pytest.mark.parametrize("left", [[], [102, 103, 104, 105, 106]], ids=["pool", "node"])
def test_what_is_watched_no_more_ends_its_silence(left: list[int]) -> None:
    whole = fleet(nodes=7)
    whole.mute = {101}
    whole.pass_time(60)
    whole.pools[1] = left
    whole.pass_time(60)
    assert whole.types() == [(1, "node_stale"), (1, "node_stale_ended")]


def test_a_pool_without_watched_nodes_is_missed_no_more() -> None:
    whole = fleet()
    whole.mute = set(whole.pools[1])
    whole.pass_time(60)
    whole.pools[1] = []
    whole.pass_time(60)
    assert whole.types() == [(1, "checks_missing"), (1, "checks_resumed")]
    assert whole.events[1][1].message == "pool 1 has no node left that checks should watch"


def test_a_fleet_without_nodes_is_missed_no_more() -> None:
    whole = fleet()
    whole.mute = set(whole.heard)
    whole.pass_time(100)
    whole.pools = {1: [], 2: []}
    whole.pass_time(1)
    assert whole.types() == [(None, "checks_missing"), (None, "checks_resumed")]


def test_a_message_names_ten_nodes_and_counts_the_rest() -> None:
    whole = fleet(nodes=40)
    whole.mute = set(range(100, 115))
    whole.pass_time(60)
    assert "n109 and 5 more had" in " ".join(each.message for _, each in whole.events)


SEEN = FleetSilence(
    now=100.0, nodes=4, stale=4, settled=0, quiet=90.0, runners=1, longest_life=100.0, last_message="the resolver is gone"
)


@pytest.mark.parametrize(
    ("found", "patient", "told"),
    [
        (SEEN, True, True),
        (replace(SEEN, quiet=60.0), True, False),
        (replace(SEEN, stale=2), True, False),  # told by pool or node
        (replace(SEEN, stale=1, runners=0, longest_life=None), True, False),  # one may begin
        (replace(SEEN, stale=1, runners=0, longest_life=None), False, True),
        (replace(SEEN, stale=0, runners=0, longest_life=None), False, False),
        (replace(SEEN, longest_life=19.0), True, False),
        (replace(SEEN, longest_life=19.0), False, True),  # runners begin again and again
        (replace(SEEN, longest_life=20.0), True, True),
    ],
)
def test_when_the_fleet_is_missed(found: FleetSilence, patient: bool, told: bool) -> None:
    assert of_fleet(found, patient=patient)[0].missing is told


SILENT = Watched("a", True, True, True, INTERVAL, 1.0, 50.0, "no route")
HEARD = replace(SILENT, stale=False, alone=False, lasting=False)


def test_verdicts_of_one_interval_are_watching_and_fewer_are_not() -> None:
    node = replace(HEARD, observed_at=105.0)
    assert [node.has_settled(100.0, now) for now in (109.9, 110.0)] == [False, True]
    assert not replace(node, observed_at=99.0).has_settled(100.0, 110.0)
    assert not replace(node, stale=True).has_settled(100.0, 110.0)
    assert not node.has_settled(None, 110.0)


def test_nothing_narrower_is_told_before_a_runner_has_lived() -> None:
    pool = PoolSilence(1, "api", {1: SILENT, 2: HEARD, 3: HEARD})
    assert of_pool(pool, replace(SEEN, longest_life=19.0), fleet_told=False) == (Told(), ())
    assert of_pool(pool, replace(SEEN, longest_life=None), fleet_told=False) == (Told(), ())
    assert of_pool(pool, SEEN, fleet_told=False)[0].nodes == {1}


def test_the_newest_check_that_came_to_nothing_says_why() -> None:
    pool = PoolSilence(1, "api", {1: SILENT, 2: replace(SILENT, name="b", asked_at=60.0, trouble="the resolver is gone")})
    [said] = of_pool(pool, SEEN, fleet_told=False)[1]
    assert said.message.endswith("2 of its 2 nodes had a result for too long: the last check of b said: the resolver is gone")
    nobody = PoolSilence(1, "api", {1: replace(SILENT, trouble="")})
    assert of_pool(nobody, SEEN, fleet_told=False)[1][0].message.endswith("no runner asks")


DEEDS = st.sampled_from(["mute", "all", "speak", "none", "odd", "leave", "return"])
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["mute", "all", "speak", "none", "odd", "leave", "return"]),
        st.integers(0, 11),
        st.sampled_from([3, 30, 70]),
    ),
    max_size=12,
)


@given(MOVES)
def test_every_silence_is_told_by_one_trouble_at_the_most_and_each_ends_once(moves: list[tuple[str, int, int]]) -> None:
    whole = fleet(3)
    every = [node for nodes in whole.pools.values() for node in nodes]
    for what, number, seconds in moves:
        node = every[number]
        if what == "odd":
            whole.heard[node] = whole.now
        elif what == "leave":
            whole.pools[node // 100] = [each for each in whole.pools[node // 100] if each != node]
        elif what == "return":
            whole.pools[node // 100] = sorted({*whole.pools[node // 100], node})
            whole.heard[node] = whole.now
        else:
            whole.mute = {"mute": whole.mute | {node}, "all": set(every), "speak": whole.mute - {node}, "none": set()}[what]
        for _ in range(seconds):
            whole.pass_time(1)
            assert all(not (told.missing and told.nodes) for told in whole.told.values())
            assert not whole.fleet_told.missing or set(whole.told.values()) == {Told()}
        begun = {(None, EventType.CHECKS_MISSING)} if whole.fleet_told.missing else set()
        begun |= {(pool, EventType.CHECKS_MISSING) for pool, told in whole.told.items() if told.missing}
        begun |= {(pool, EventType.NODE_STALE) for pool, told in whole.told.items() if told.nodes}
        assert set(whole.open()) == begun
    whole.mute = set()
    whole.pass_time(60)
    assert not whole.open()


@pytest.mark.parametrize("nodes", [2, 4])
def test_when_half_of_them_answer_again_the_rest_is_told_by_itself(nodes: int) -> None:
    whole = fleet(1, nodes)
    whole.mute = set(whole.heard)
    whole.pass_time(120)
    whole.mute = set(sorted(whole.heard)[: nodes // 2])
    whole.pass_time(120)
    assert whole.types() == [(None, "checks_missing"), (None, "checks_resumed"), (1, "node_stale")]


def test_runners_that_begin_again_and_again_do_not_keep_a_pools_silence_from_being_told() -> None:
    node = Watched("a", stale=True, alone=True, lasting=True, interval=INTERVAL, observed_at=0.0, asked_at=0.0)
    begun = FleetSilence(100.0, 2, 1, 0, 1.0, 1, 3.0, "")
    assert of_pool(PoolSilence(1, "api", {1: node}), begun, fleet_told=False) == (Told(), ())
    _, told = of_pool(PoolSilence(1, "api", {1: node}), begun, fleet_told=False, patient=False)
    assert [each.type for each in told] == [EventType.CHECKS_MISSING]
