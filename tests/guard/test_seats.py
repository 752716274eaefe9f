"""Seats: never more than there are, in order, none lost, whatever comes and goes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover_console.guard.seats import FullError, GreedyError, Seats

PATIENCE = 30.0  # s, far above what any of these tests takes


async def sit(seats: Seats, address: str) -> asyncio.Task[None]:
    """Somebody who asks for a seat, and has asked when this returns."""
    asking = asyncio.ensure_future(seats.take(address))
    await asyncio.sleep(0)
    return asking


async def test_who_comes_first_is_served_first() -> None:
    seats, order = Seats(at_once=1, waiting=4, patience=PATIENCE), []

    async def serve(name: str) -> None:
        await seats.take(name)
        order.append(name)
        seats.leave(name)

    await seats.take("first")
    waiting = [asyncio.ensure_future(serve(name)) for name in ("b", "c", "d")]
    await asyncio.sleep(0)
    seats.leave("first")
    await asyncio.gather(*waiting)
    assert (order, seats.taken) == (["b", "c", "d"], 0)


async def test_beyond_the_places_to_wait_is_refused_at_once() -> None:
    seats = Seats(at_once=1, waiting=1, patience=PATIENCE)
    await seats.take("a")
    waiting = await sit(seats, "b")
    with pytest.raises(FullError):
        await seats.take("c")
    waiting.cancel()


async def test_one_address_takes_no_more_than_half() -> None:
    seats = Seats(at_once=4, waiting=4, patience=PATIENCE)
    greedy = [await sit(seats, "greedy") for _ in range(4)]
    with pytest.raises(GreedyError):
        await seats.take("greedy")
    assert [each.done() for each in greedy] == [True, True, True, False]
    await seats.take("other")  # the last seat is no one's alone
    seats.leave("greedy")
    await greedy[3]
    assert seats.taken == 4


async def test_a_free_seat_goes_to_whoever_has_the_fewest() -> None:
    seats = Seats(at_once=2, waiting=6, patience=PATIENCE)
    for _ in range(2):
        await seats.take("greedy")
    greedy = [await sit(seats, "greedy") for _ in range(2)]
    other = await sit(seats, "other")
    seats.leave("greedy")
    await other
    assert not any(each.done() for each in greedy)
    seats.leave("other")
    await greedy[0]
    seats.leave("greedy")
    await greedy[1]


async def test_who_waited_too_long_is_refused_and_keeps_no_place() -> None:
    seats = Seats(at_once=1, waiting=1, patience=0.01)
    await seats.take("a")
    with pytest.raises(FullError):
        await seats.take("b")
    next_one = await sit(seats, "c")
    seats.leave("a")
    await next_one
    assert seats.taken == 1


@given(st.lists(st.tuples(st.sampled_from(["take", "leave", "give up"]), st.integers(0, 3)), max_size=60))
def test_no_seat_is_taken_twice_and_none_is_lost(acts: list[tuple[str, int]]) -> None:
    asyncio.run(replay(acts))


async def replay(acts: list[tuple[str, int]]) -> None:
    seats, people = Seats(at_once=3, waiting=4, patience=PATIENCE), list[tuple[str, asyncio.Task[None]]]()
    for act, number in acts:
        mine = f"192.0.2.{number}"
        if act == "take":
            people.append((mine, await sit(seats, mine)))
        elif act == "leave":
            for person in [each for each in people if seated(each[1])][:1]:
                people.remove(person)
                seats.leave(person[0])
        elif people:
            people[number % len(people)][1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sum(seated(asking) for _, asking in people) == seats.taken <= 3
        people = [each for each in people if not each[1].done() or seated(each[1])]
    for address, asking in people:
        asking.cancel()
        await asyncio.wait([asking])
        if seated(asking):
            seats.leave(address)
    assert seats.taken == 0
    for number in range(3):  # all seats are there for whoever comes next
        await seats.take(str(number))


def seated(asking: asyncio.Task[None]) -> bool:
    return asking.done() and not asking.cancelled() and asking.exception() is None
