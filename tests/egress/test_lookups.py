"""Lookups wait in lines: what hangs, is dead, or was named by a node takes no turn from what is asked for by people."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from nodes.egress import lookups
from nodes.egress.lookups import BusyError, Found, Lookup, Lookups, Standing
from tests.product import eventually

SOON = 10.0  # s
FOUND = (ip_address("192.0.2.1"),)


class Resolver:
    """Answers at once, but names that end in `.dead` when they are let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._free = threading.Semaphore(0)

    def __call__(self, name: str) -> Found:
        self.asked.append(name)
        if name.endswith(".dead"):
            self._free.acquire()
        return FOUND

    def let_go(self, number: int = 1) -> None:
        self._free.release(number)


@contextmanager
def asking() -> Iterator[tuple[Lookups, Resolver]]:
    resolver = Resolver()
    try:
        yield Lookups(resolver, lambda _: None), resolver
    finally:
        resolver.let_go(10_000)


def ask_all(asked: Lookups, names: list[str], standing: Standing) -> list[Lookup]:
    return [asked.ask(name, standing) for name in names]


def test_dead_zones_take_no_turn_from_a_name_that_failed_as_well() -> None:
    with asking() as (asked, resolver):
        ask_all(asked, [f"{number}.zone-{zone}.dead" for zone in range(4) for number in range(20)], Standing.DOUBTFUL)
        well = asked.ask("api.good.example", Standing.DOUBTFUL)
        assert len(resolver.asked) <= lookups.DOUBTFUL
        for turn in range(lookups.DOUBTFUL):
            resolver.let_go()
            eventually(lambda turn=turn: len(resolver.asked) > lookups.DOUBTFUL + turn, SOON, "the next one is asked")  # type: ignore[misc]  # bound now
            if "api.good.example" in resolver.asked:
                break
        assert turn <= 4  # as many as there are zones before it
        assert well.wait_here(SOON) == FOUND


def test_names_that_nodes_tell_take_none_from_those_of_people() -> None:
    with asking() as (asked, _):
        with pytest.raises(BusyError):
            ask_all(asked, [f"{number}.told.dead" for number in range(1000)], Standing.TOLD)
        for standing in (Standing.ANSWERED, Standing.NEW, Standing.DOUBTFUL):
            assert asked.ask(f"{standing.name}.good.example", standing).wait_here(SOON) == FOUND


def test_a_told_name_for_which_nobody_waits_is_not_asked() -> None:
    with asking() as (asked, resolver):
        under_way = lookups.DOUBTFUL_PER_ZONE
        gone = ask_all(asked, [f"{number}.told.dead" for number in range(under_way + 10)], Standing.TOLD)
        resolver.let_go(under_way)
        assert isinstance(gone[under_way].wait_here(SOON), BusyError)
        eventually(lambda: len(resolver.asked) == under_way + 1, SOON, "the newest one is asked")
        assert resolver.asked[-1] == gone[-1].name
