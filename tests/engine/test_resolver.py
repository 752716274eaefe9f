"""A resolver that is away is told once, graver once it silences a pool, and has one end for every way out."""

from __future__ import annotations

from dataclasses import replace

from nodes.engine import belief
from nodes.engine.belief import Checker, Checkers, Evidence
from nodes.engine.resolver import SeenOfResolver, judge_resolver
from nodes.engine.types import Event

AWAY = SeenOfResolver("our resolver did not answer for a.example in time")
GRAVE = replace(AWAY, silent=(3, 4), pools=("checkout",))
ANSWERS = SeenOfResolver(answers=True)
UNASKED = SeenOfResolver()


class House:
    """Two checkers; one is told what it sees of its resolver each five seconds."""

    def __init__(self) -> None:
        self.checkers = Checkers((Checker("a", lives=True), Checker("b", lives=True)))
        self.now = 1000.0
        self.told: list[Event] = []

    def see(self, seen: SeenOfResolver, seconds: int, host: str = "a") -> list[tuple[str, str]]:
        before = len(self.told)
        for _ in range(seconds // 5):
            self.now += 5.0
            self.checkers, events = judge_resolver(self.checkers, host, seen, self.now)
            self.told += events
        return [(each.type.value, each.severity.value) for each in self.told[before:]]


DOWN, DOWN_GRAVELY, BACK = ("resolver_down", "warning"), ("resolver_down", "critical"), ("resolver_answers", "info")


def test_one_that_is_away_is_told_once_and_its_end_too() -> None:
    house = House()
    assert house.see(ANSWERS, 60) == []
    assert house.see(AWAY, 5) == []
    assert house.see(AWAY, 600) == [DOWN]
    assert house.told[0].message == (
        "The resolver of a is away: our resolver did not answer for a.example in time. Nodes are asked at their last addresses"
    )
    assert house.see(ANSWERS, 10) == []
    assert house.see(ANSWERS, 5) == [BACK]
    assert house.told[1].message == "The resolver of a answers again"
    assert [each.detail["checker"] for each in house.told] == ["a", "a"]


def test_one_that_wavers_is_one_message() -> None:
    house = House()
    house.see(AWAY, 10)
    for _ in range(20):
        house.see(ANSWERS, 5)
        house.see(AWAY, 5)
    assert len(house.told) == 1
    assert house.see(UNASKED, 60) == []


def test_it_is_critical_once_most_nodes_of_a_pool_are_silent() -> None:
    house = House()
    assert house.see(AWAY, 30) == [DOWN]
    assert house.see(GRAVE, 60) == [DOWN_GRAVELY]
    assert house.told[1].message.endswith("; most nodes of checkout have none and are not watched")
    assert house.told[1].detail["nodes"] == [3, 4]
    assert house.see(AWAY, 60) == []
    assert house.see(ANSWERS, 60) == [BACK]
    assert house.see(GRAVE, 60) == [DOWN_GRAVELY]


def test_one_that_nobody_asks_any_more_ends() -> None:
    house = House()
    house.see(AWAY, 30)
    assert house.see(UNASKED, 115) == []
    assert house.see(UNASKED, 15) == [BACK]
    assert house.told[-1].message == "The resolver of a is asked no more"


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    house = House()
    house.see(AWAY, 30)
    house.see(ANSWERS, 5)
    house.now -= 3600.0
    assert house.see(ANSWERS, 20) == [BACK]


def test_it_ends_with_the_last_runner_of_its_host() -> None:
    house = House()
    house.see(AWAY, 30)
    house.checkers = house.checkers.put(replace(house.checkers.of("a"), lives=False))
    house.checkers, events = belief.judge(house.checkers, "b", Evidence(), house.now)
    assert [each.message for each in events] == ["The resolver of a is asked no more: its last runner is gone"]
    assert not house.checkers.of("a").resolver.told
