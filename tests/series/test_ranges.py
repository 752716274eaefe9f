"""Ranges are words of the URL, with buckets that begin where roll-ups begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nodes.rollups.resolutions import EPOCH
from nodes.series import Range

NOW = datetime(2026, 3, 29, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize("asked", ["", None, "2h", "24H", "1y ", "x" * 5_000])
def test_a_word_that_is_none_is_the_default(asked: str | None) -> None:
    assert Range.asked(asked) == Range.DAY
    assert Range.asked(asked, Range.WEEK) == Range.WEEK


@pytest.mark.parametrize("each", Range)
def test_each_range_is_found_by_its_word(each: Range) -> None:
    assert Range.asked(str(each), Range.DAY if each != Range.DAY else Range.WEEK) is each
    assert "\N{NO-BREAK SPACE}" in each.words


@pytest.mark.parametrize("each", Range)
@pytest.mark.parametrize("now", [NOW, NOW.replace(minute=0, second=0, hour=0)])
def test_a_window_holds_the_present_in_its_last_whole_bucket(each: Range, now: datetime) -> None:
    start, end, buckets = each.window(now)
    assert end - start == each.length == buckets * each.bucket
    assert end - each.bucket <= now < end
    assert (start - EPOCH) % each.bucket == timedelta()
    assert 60 <= buckets <= 365
