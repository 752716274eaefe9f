"""What is kept is read once for all who ask for it meanwhile, and holds up nobody who asks for something else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from nodes.series.kept import Kept

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LASTS = timedelta(seconds=10)
PATIENCE = 10  # s


class Slow:
    """Reads "slow" when it is told to go on; counts its readings."""

    def __init__(self) -> None:
        self.begun, self.go_on = Event(), Event()
        self.readings: list[str] = []

    def __call__(self, key: str, now: datetime) -> str:
        self.readings.append(key)
        if key == "slow":
            self.begun.set()
            assert self.go_on.wait(PATIENCE)
        return f"{key} at {now:%S}"


def test_a_slow_reading_holds_up_no_other_key_and_is_done_once_for_all_who_wait() -> None:
    read = Slow()
    kept = Kept(LASTS, read)
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(kept, "slow", NOW) for _ in range(3)]
        assert read.begun.wait(PATIENCE)
        assert threads.submit(kept, "other", NOW).result(PATIENCE) == "other at 00"
        read.go_on.set()
        assert [each.result(PATIENCE) for each in waiting] == ["slow at 00"] * 3
    assert sorted(read.readings) == ["other", "slow"]


def test_it_is_read_anew_after_its_time_and_for_an_earlier_instant() -> None:
    kept = Kept(LASTS, Slow())
    assert [kept("a", NOW + timedelta(seconds=each)) for each in (5, 14, 15, 3)] == ["a at 05", "a at 05", "a at 15", "a at 03"]


def test_a_reading_that_fails_is_tried_again() -> None:
    readings = iter([ValueError("no database"), "there"])

    def read(_key: str, _now: datetime) -> str:
        found = next(readings)
        if isinstance(found, ValueError):
            raise found
        return found

    kept = Kept(LASTS, read)
    with pytest.raises(ValueError, match="no database"):
        kept("a", NOW)
    assert kept("a", NOW) == "there"


def test_what_was_read_first_goes_first() -> None:
    read = Slow()
    kept = Kept(LASTS, read)
    for number in range(65):
        kept(f"{number}", NOW)
    assert [kept("1", NOW), kept("0", NOW), len(read.readings)] == ["1 at 00", "0 at 00", 66]
