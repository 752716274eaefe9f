"""The titles of incidents say what is true after each step."""

from __future__ import annotations

import pytest

from nodes.engine import headline
from nodes.engine.commands import fail_over, pause
from nodes.engine.enums import AdminState
from nodes.engine.types import PoolPolicy
from tests.engine.pooling import Driver, make_pool


def title(driver: Driver) -> str:
    return headline.of_pool(driver.pool)


def test_it_follows_three_nodes_that_fail_one_after_the_other_and_come_back() -> None:
    driver = Driver().up()
    titles = []
    for batch in ("A=f", "B=f", "C=f", "B=p"):
        driver.batch(batch, repeat=True)
        titles.append(title(driver))
    assert titles == [
        "api: 1 of 3 nodes down, all traffic on B and C",
        "api: 2 of 3 nodes down, all traffic on C",
        "api: 3 of 3 nodes down, all traffic still on C, which is down: no other node can take it",
        "api: 2 of 3 nodes down, all traffic on B",
    ]


def test_it_names_the_guard_that_keeps_traffic_on_a_node_that_is_down() -> None:
    driver = Driver().up()
    driver.take(pause(driver.pool, driver.fleet, driver.now, "ann", "a test"))
    driver.batch("A=f", repeat=True)
    assert title(driver) == "api: 1 of 3 nodes down, 33 % still on A, which is down: blocked by pause"


def test_nodes_in_maintenance_are_not_of_how_many() -> None:
    driver = Driver().up()
    driver.change("C", admin=AdminState.MAINTENANCE)
    driver.batch("A=f")
    assert title(driver).startswith("api: 1 of 2 nodes down")


def test_many_nodes_are_counted() -> None:
    driver = Driver(make_pool(6)).up()
    driver.batch("A=f")
    assert title(driver) == "api: 1 of 6 nodes down, all traffic on 5 nodes"


def test_once_over_it_says_for_how_long_and_where_the_traffic_is() -> None:
    driver = Driver().up()
    driver.batch("A=f B=f", repeat=True)
    driver.batch("A=p B=p", repeat=True)
    assert headline.of_pool_over(driver.pool, ["A", "B"], 190) == "api: A and B were down for 3 min; traffic is at its weights"
    driver.take(fail_over(driver.pool, driver.fleet, driver.now, 2, "ann"))
    assert headline.of_pool_over(driver.pool, ["A"], 9) == "api: A was down for 9 s; traffic is at its weights"


def test_once_over_a_slow_start_is_told_as_what_it_is() -> None:
    driver = Driver(make_pool(policy=PoolPolicy(slow_start=60.0))).up()
    driver.batch("", wait=600)
    driver.batch("A=f", repeat=True)
    driver.batch("A=p", repeat=True)
    assert headline.of_pool_over(driver.pool, ["A"], 9) == "api: A was down for 9 s; shares come back in steps over 1 min"


def test_that_of_a_flapping_node_counts_its_failures() -> None:
    driver = Driver().up()
    titles = []
    for batch, wait in (("A=f", 1), ("A=p", 100), ("A=f", 200), ("A=p", 100), ("A=f", 500)):
        driver.batch(batch, wait=wait, repeat=True)
        if driver.node("A").flapping is not None:
            titles.append(headline.of_flapping(driver.pool, driver.node("A")))
    assert titles == [
        "api: A is flapping: failed 2 times in 5 min, down now, all traffic on B and C",
        "api: A is flapping: failed 2 times in 5 min, up now",
        "api: A is flapping: failed 3 times in 15 min, down now, all traffic on B and C",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3_599, "60 min"), (3_600, "1 h"), (7_500, "2 h 5 min"), (100_800, "1 d 4 h")],
)
def test_a_span_in_words(seconds: float, words: str) -> None:
    assert headline.span(seconds) == words
