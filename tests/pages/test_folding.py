"""Folding a list, how long users were hit, and Markdown of any text: the rules behind an incident's page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.screens.folding import fold
from nodes.screens.impact import Hit, impact
from nodes.screens.post_mortem import as_text

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@given(st.lists(st.sampled_from("abc"), max_size=60))
@settings(deadline=None)
def test_unfolding_gives_the_list_again(keys: list[str]) -> None:
    again: list[str] = []
    for each in fold(keys):
        assert each.start == len(again)
        again += keys[each.start : each.start + each.length] * each.times
    assert again == keys


def test_runs_and_cycles_are_folded_where_they_repeat() -> None:
    assert [(each.length, each.times) for each in fold("aaaaaab")] == [(1, 6), (1, 1)]
    assert [(each.length, each.times) for each in fold("xabcabcabcy")] == [(1, 1), (3, 3), (1, 1)]
    assert [(each.length, each.times) for each in fold("abab" * 10)] == [(2, 20)]
    assert [(each.length, each.times) for each in fold("abc")] == [(1, 1)] * 3


def test_overlapping_hits_count_once_in_time_and_together_in_share() -> None:
    found = impact([Hit(at(0), at(10), 3000), Hit(at(5), at(20), 2500), Hit(at(60), at(61), 4000)], at(100))
    assert (found.seconds, found.share, found.now, found.hits) == (21, 5500, False, 3)


def test_a_share_that_lies_there_still_hits_until_now() -> None:
    found = impact([Hit(at(0), None, 10_000), Hit(at(1), at(2), 5000)], at(30))
    assert (found.seconds, found.share, found.now) == (30, 10_000, True)


def test_nobody_is_hit_by_nothing() -> None:
    found = impact([], at(0))
    assert (found.seconds, found.share, found.now, found.any) == (0, 0, False, False)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 10_000)), max_size=12))
@settings(deadline=None)
def test_the_time_is_that_of_the_union(spans: list[tuple[int, int, int]]) -> None:
    hits = [Hit(at(start), at(start + length), share) for start, length, share in spans]
    seconds = {second for start, length, _ in spans for second in range(start, start + length)}
    assert impact(hits, at(0)).seconds == len(seconds)


@given(st.text(max_size=60))
@settings(deadline=None)
def test_markdown_of_any_text_is_that_text_on_one_line(text: str) -> None:
    escaped = as_text(text)
    assert len(escaped.splitlines()) <= 1
    assert re.search(r"(?<!\\)(?:\\\\)*[<>`*_\[\]|#]", escaped) is None
    plain = re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", escaped)
    assert plain == re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
