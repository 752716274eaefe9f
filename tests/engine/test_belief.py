"""Which checkers are believed: each doubt, each way back, and an hour of two checkers that disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engine import belief
from nodes.engine.belief import Checker, Checkers, Doubt, Evidence, Isolation
from nodes.engine.enums import EventType
from nodes.engine.types import Event

GOOD = Evidence(observed=20, asked=20, askable=True)
DOWN = Evidence("canary 192.0.2.1:443 does not answer: timeout", asked=20, asked_failing=20, askable=True)
START = 1_000_000.0


class House:
    """Checkers by hand: each second every living one is judged by what it sees."""

    def __init__(self, *hosts: str) -> None:
        self.now = START
        self.seeing: dict[str, Evidence] = dict.fromkeys(hosts, GOOD)
        self.checkers = Checkers()
        self.told: list[Event] = []
        self.blocked = 0  # seconds
        for host in hosts:
            self.begin(host)

    def begin(self, host: str, sees: Evidence = GOOD) -> None:
        """A host's first runner takes its lease."""
        self._take(belief.take_over(self.checkers, host))
        self.checkers = self.checkers.put(replace(self.checkers.of(host), lives=True))
        self.seeing[host] = sees

    def end(self, host: str) -> None:
        """Its last lease is over."""
        self.checkers = self.checkers.put(replace(self.checkers.of(host), lives=False))
        del self.seeing[host]

    def pass_time(self, seconds: int = 1, **seeing: Evidence) -> House:
        self.seeing |= seeing
        for _ in range(seconds):
            self.now += 1.0
            for host, evidence in self.seeing.items():
                self._take(belief.judge(self.checkers, host, evidence, self.now))
            self.blocked += self.checkers.block is not None
        return self

    def _take(self, judged: belief.Told) -> None:
        self.checkers, events = judged
        self.told += events

    @property
    def types(self) -> list[EventType]:
        return [event.type for event in self.told]


def isolated(evidence: Evidence, checker: Checker | None = None) -> Isolation | None:
    checkers, _ = belief.judge(Checkers((replace(checker or Checker("a"), lives=True),)), "a", evidence, START)
    return checkers.of("a").isolation


# Doubts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "failing", "pools", "doubted"),
    [(9, 5, 2, True), (10, 5, 2, False), (8, 4, 2, False), (8, 5, 1, False), (0, 0, 0, False)],
)
def test_more_than_half_of_what_was_healthy_five_nodes_in_two_pools_speak_against_a_checker(
    observed: int, failing: int, pools: int, doubted: bool
) -> None:
    found = isolated(Evidence(observed=observed, failing=failing, pools=pools))
    assert (found is not None and found.doubt is Doubt.FAILURES) == doubted


def test_one_stall_isolates_nobody_and_the_second_within_a_minute_does() -> None:
    once = belief.with_stall(Checker("a"), START - 50.0)
    assert isolated(GOOD, once) is None
    assert isolated(GOOD, belief.with_stall(once, START - 1.0)) is not None
    assert isolated(GOOD, belief.with_stall(belief.with_stall(Checker("a"), START - 90.0), START - 1.0)) is None


def test_loops_of_one_host_that_stood_still_together_count_once() -> None:
    assert isolated(GOOD, belief.with_stall(belief.with_stall(Checker("a"), START - 3.0), START - 1.0)) is None


def test_five_contradictions_in_a_row_of_two_nodes_speak_against_a_checker() -> None:
    def contradicted(*nodes: int) -> Checker:
        checker = Checker("a")
        for node in nodes:
            checker = belief.with_answer(checker, node, confirmed=node == 0)
        return checker

    assert isolated(GOOD, contradicted(1, 2, 3, 1)) is None
    assert isolated(GOOD, contradicted(1, 1, 1, 1, 1)) is None  # one node that wavers
    assert isolated(GOOD, contradicted(1, 2, 3, 0, 1, 2)) is None  # confirmed once
    found = isolated(GOOD, contradicted(0, 1, 2, 3, 1, 2))
    assert found is not None
    assert found.doubt is Doubt.CONTRADICTED


# The way back ---------------------------------------------------------------------------------------------------------


def test_an_isolated_checker_is_told_once_as_a_warning_while_another_is_believed() -> None:
    house = House("a", "b").pass_time(5).pass_time(10, a=DOWN)
    assert house.types == []
    house.pass_time(300)
    assert house.types == [EventType.CHECKER_ISOLATED]
    assert house.blocked == 0
    house.pass_time(10, a=GOOD)
    assert house.types == [EventType.CHECKER_ISOLATED]
    house.pass_time(1)
    assert house.types == [EventType.CHECKER_ISOLATED, EventType.CHECKER_REJOINED]


@pytest.mark.parametrize(
    "sees",
    [
        pytest.param(replace(GOOD, asked_failing=5), id="a quarter of what was healthy fails"),
        pytest.param(replace(GOOD, asked=0), id="nobody was asked though somebody could be"),
        pytest.param(replace(GOOD, canary_trouble="timeout"), id="canaries do not answer"),
    ],
)
def test_ten_seconds_are_earned_by_looking_right_not_by_silence(sees: Evidence) -> None:
    house = House("a", "b").pass_time(1, a=DOWN).pass_time(100, a=sees)
    assert house.checkers.of("a").isolation is not None
    assert house.pass_time(11, a=replace(GOOD, asked_failing=4)).checkers.of("a").isolation is None


def test_a_checker_without_a_node_to_ask_is_back_by_its_canaries() -> None:
    house = House("a").pass_time(1, a=DOWN).pass_time(11, a=Evidence())
    assert house.checkers.of("a").isolation is None


def test_a_break_begins_the_ten_seconds_anew() -> None:
    house = House("a", "b").pass_time(1, a=DOWN).pass_time(9, a=GOOD).pass_time(1, a=DOWN).pass_time(10, a=GOOD)
    assert house.checkers.of("a").isolation is not None
    assert house.pass_time(1).checkers.of("a").isolation is None


def test_a_stall_that_isolated_is_forgotten_once_the_checker_is_back() -> None:
    house = House("a", "b")
    for ago in (20.0, 10.0):
        house.checkers = house.checkers.put(belief.with_stall(house.checkers.of("a"), house.now - ago))
    assert house.pass_time(1).checkers.of("a").isolation is not None
    for _ in range(60):
        house.pass_time(1)
    assert house.checkers.of("a").isolation is None
    assert house.told == []


# Nobody is believed ---------------------------------------------------------------------------------------------------


def test_the_only_checker_blocks_automation_at_once_and_is_critical_after_ten_seconds() -> None:
    house = House("a").pass_time(10, a=DOWN)
    assert (house.types, house.blocked) == ([], 10)
    house.pass_time(1)
    assert house.types == [EventType.NO_CHECKER_BELIEVED]
    house.pass_time(3600)
    assert house.types == [EventType.NO_CHECKER_BELIEVED]
    house.pass_time(11, a=GOOD)
    assert house.types == [EventType.NO_CHECKER_BELIEVED, EventType.CHECKER_BELIEVED]
    assert house.checkers.block is None


def test_a_short_trouble_of_the_only_checker_is_told_to_nobody() -> None:
    house = House("a").pass_time(3, a=DOWN).pass_time(60, a=GOOD)
    assert house.told == []
    assert house.blocked == 13  # three, and the ten that it had to earn


@pytest.mark.parametrize("hosts", [("a",), ("a", "b")])
def test_a_lasting_outage_ends_by_a_person_alone(hosts: tuple[str, ...]) -> None:
    mass = Evidence(observed=100, failing=55, pools=20, asked=100, asked_failing=55, askable=True)
    house = House(*hosts).pass_time(3600, **dict.fromkeys(hosts, mass))
    assert house.types == [EventType.NO_CHECKER_BELIEVED]
    house._take(belief.believe(house.checkers, "a", "olga", house.now))
    assert house.types[1] == EventType.CHECKER_REJOINED
    assert house.told[1].actor == "olga"
    assert house.types[2] == EventType.CHECKER_BELIEVED
    house.pass_time(600)
    assert house.checkers.block is None
    assert house.checkers.of("a").isolation is None


def test_what_a_person_overruled_counts_again_once_it_was_gone() -> None:
    house = House("a").pass_time(20, a=DOWN)
    house._take(belief.believe(house.checkers, "a", "olga", house.now))
    assert house.pass_time(60).checkers.of("a").isolation is None
    assert house.pass_time(1, a=GOOD).pass_time(1, a=DOWN).checkers.of("a").isolation is not None


def test_a_person_overrules_all_that_speaks_against_a_checker_at_that_moment() -> None:
    both = replace(DOWN, observed=9, failing=9, pools=3)
    house = House("a").pass_time(20, a=both)
    house._take(belief.believe(house.checkers, "a", "olga", house.now))
    assert house.pass_time(60).checkers.block is None
    assert house.pass_time(1, a=replace(both, canary_trouble="")).checkers.block is None
    assert house.pass_time(1, a=both).checkers.block is not None


def test_a_checker_that_is_not_isolated_needs_no_belief() -> None:
    house = House("a")
    assert belief.believe(house.checkers, "a", "olga", house.now) == (house.checkers, ())


def test_when_the_other_one_dies_an_isolated_checker_works_on_with_automation_blocked() -> None:
    house = House("a", "b").pass_time(30, a=DOWN)
    house.end("b")
    house.pass_time(11)
    assert house.types == [EventType.CHECKER_ISOLATED, EventType.NO_CHECKER_BELIEVED]
    assert house.checkers.block is not None
    house.begin("b")
    house.pass_time(1)
    assert house.types[2:] == [EventType.CHECKER_BELIEVED]


# Hosts that come and go -----------------------------------------------------------------------------------------------


def test_the_last_checkers_isolation_outlives_every_lease_and_the_next_host_must_earn_it() -> None:
    house = House("a").pass_time(60, a=DOWN)
    house.end("a")
    assert house.checkers.block is not None
    house.begin("c", DOWN)
    house.pass_time(60)
    assert house.types == [EventType.NO_CHECKER_BELIEVED]
    assert house.checkers.block is not None
    house.pass_time(11, c=GOOD)
    assert house.types == [EventType.NO_CHECKER_BELIEVED, EventType.CHECKER_BELIEVED]


def test_a_restart_of_everything_tells_nothing_again() -> None:
    house = House("a", "b").pass_time(60, a=DOWN, b=DOWN)
    for _ in range(5):
        house.end("a")
        house.end("b")
        house.now += 30.0
        house.begin("b", DOWN)
        house.begin("a", DOWN)
        house.pass_time(60)
    assert house.types == [EventType.NO_CHECKER_BELIEVED]


def test_with_another_believed_an_isolation_ends_with_the_last_runner_of_its_host() -> None:
    house = House("a", "b").pass_time(30, a=DOWN)
    house.end("a")
    house.pass_time(1)
    assert house.types == [EventType.CHECKER_ISOLATED, EventType.CHECKER_REJOINED]
    house.begin("a")
    assert house.pass_time(60).types == [EventType.CHECKER_ISOLATED, EventType.CHECKER_REJOINED]


def test_a_new_term_of_a_believed_host_takes_nothing_over() -> None:
    house = House("a", "b").pass_time(30, b=DOWN)
    house.end("b")
    house._take(belief.take_over(house.checkers, "a"))
    assert house.checkers.of("a").isolation is None


# An hour --------------------------------------------------------------------------------------------------------------


def test_one_that_is_cut_off_and_back_ten_times_in_an_hour_tells_two_things_each_time_and_nobody_is_paged() -> None:
    house = House("a", "b")
    for _ in range(10):
        house.pass_time(240, a=GOOD).pass_time(120, a=DOWN)
    house.pass_time(60, a=GOOD)
    assert house.types == [EventType.CHECKER_ISOLATED, EventType.CHECKER_REJOINED] * 10
    assert {event.severity.value for event in house.told} == {"warning", "info"}
    assert house.blocked == 0


def test_both_blind_is_one_critical_message_however_they_waver() -> None:
    house = House("a", "b").pass_time(20, a=DOWN, b=DOWN)
    for _ in range(60):
        house.pass_time(5, a=GOOD).pass_time(5, a=DOWN, b=GOOD).pass_time(5, b=DOWN)
    assert house.types == [EventType.NO_CHECKER_BELIEVED]


def test_a_clock_that_was_set_back_delays_no_way_back() -> None:
    house = House("a", "b").pass_time(30, a=DOWN).pass_time(5, a=GOOD)
    house.now -= 3600.0
    assert house.pass_time(12).checkers.of("a").isolation is None


# Late checks ----------------------------------------------------------------------------------------------------------


def test_late_checks_are_one_message_while_they_waver_and_end_after_a_minute_on_time() -> None:
    house = House("a", "b")

    def report(lateness: float, seconds: int) -> None:
        for _ in range(seconds // 5):
            house.now += 5.0
            house._take(belief.judge_lateness(house.checkers, "a", lateness, house.now))
            house._take(belief.judge_lateness(house.checkers, "b", 0.01, house.now))

    report(1.5, 5)
    assert house.types == []
    report(1.5, 5)
    for _ in range(20):
        report(0.1, 30)
        report(1.5, 30)
    assert house.types == [EventType.CHECKS_LATE]
    assert house.told[0].detail["checker"] == "a"
    report(0.1, 65)
    assert house.types == [EventType.CHECKS_LATE, EventType.CHECKS_ON_TIME]


def test_late_checks_end_with_the_last_runner_of_their_host() -> None:
    house = House("a", "b")
    house.checkers = house.checkers.put(replace(house.checkers.of("a"), late=True))
    house.end("a")
    assert house.pass_time(1).types == [EventType.CHECKS_ON_TIME]


# Whatever happens -----------------------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["good", "down", "mass", "silent", "begin", "end", "believe", "stall", "back"]),
        st.integers(1, 20),
    ),
    max_size=40,
)
SEES = {
    "good": GOOD, "down": DOWN, "silent": Evidence(askable=True),
    "mass": Evidence(observed=100, failing=90, pools=9, asked=100, asked_failing=90, askable=True),
}  # fmt: skip  # a table
BEGIN_AND_END = [
    (EventType.CHECKER_ISOLATED, EventType.CHECKER_REJOINED),
    (EventType.NO_CHECKER_BELIEVED, EventType.CHECKER_BELIEVED),
]


@given(MOVES)
def test_whatever_checkers_see_and_however_they_come_and_go(moves: list[tuple[str, str, int]]) -> None:
    house = House("a")
    for host, move, seconds in moves:
        if move in SEES and host in house.seeing:
            house.seeing[host] = SEES[move]
        elif move == "begin" and host not in house.seeing:
            house.begin(host)
        elif move == "end" and host in house.seeing:
            house.end(host)
        elif move == "believe":
            house._take(belief.believe(house.checkers, host, "olga", house.now))
        elif move == "stall":
            house.checkers = house.checkers.put(belief.with_stall(house.checkers.of(host), house.now))
        elif move == "back":
            house.now -= 90.0
        before = house.checkers
        house.pass_time(seconds)
        assert (house.checkers.block is None) == (
            bool(house.checkers.believed) or not any(each.isolation for each in house.checkers.all)
        )
        if not house.seeing:
            assert house.checkers == before  # nobody lives, nothing changes
    _each_beginning_has_one_end(house)


def _each_beginning_has_one_end(house: House) -> None:
    open_: set[object] = set()
    for event in house.told:
        for begins, ends in BEGIN_AND_END:
            about = (begins, event.detail.get("checker") if begins is EventType.CHECKER_ISOLATED else None)
            if event.type is begins:
                assert about not in open_
                open_.add(about)
            elif event.type is ends and event.actor == "engine":
                assert about in open_
                open_.discard(about)
            elif event.type is ends:
                open_.discard(about)
    told = {(EventType.CHECKER_ISOLATED, each.host) for each in house.checkers.all if each.isolation and each.isolation.told}
    assert open_ == told | ({(EventType.NO_CHECKER_BELIEVED, None)} if house.checkers.nobody_told else set())
