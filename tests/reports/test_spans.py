"""The arithmetic of time: nothing is measured twice, nothing is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nodes.reports.spans import Span, divide, intersection, length, subtract, union

INSTANTS = st.integers(0, 60)
SPANS = st.lists(st.tuples(INSTANTS, INSTANTS).map(lambda pair: (float(min(pair)), float(max(pair)))), max_size=8)


def seconds(spans: list[Span]) -> set[int]:
    """The whole seconds that the spans cover: the slow and plain way."""
    return {second for start, end in spans for second in range(int(start), int(end))}


@given(SPANS)
def test_a_union_is_the_same_time_in_order_and_without_touching(spans: list[Span]) -> None:
    found = union(spans)
    assert seconds(found) == seconds(spans)
    assert all(left[1] < right[0] for left, right in pairwise(found))
    assert length(found) == len(seconds(spans))


@given(SPANS, SPANS)
def test_intersection_and_difference_are_those_of_sets(left: list[Span], right: list[Span]) -> None:
    one, other = union(left), union(right)
    assert seconds(intersection(one, other)) == seconds(left) & seconds(right)
    assert seconds(subtract(one, other)) == seconds(left) - seconds(right)
    assert length(intersection(one, other)) + length(subtract(one, other)) == length(one)


@given(life=SPANS, excluded=SPANS, failing=SPANS, silent=SPANS)
def test_up_down_unmonitored_and_excluded_make_up_a_life(
    life: list[Span], excluded: list[Span], failing: list[Span], silent: list[Span]
) -> None:
    parts = divide(life, excluded=excluded, failing=failing, silent=silent)
    up = subtract(parts.measured, parts.down)
    assert length(up) + length(parts.down) + length(parts.unmonitored) + length(parts.excluded) == len(seconds(life))
    assert seconds(up) | seconds(parts.down) | seconds(parts.unmonitored) | seconds(parts.excluded) == seconds(life)
    assert seconds(parts.down) == (seconds(failing) & seconds(life)) - seconds(excluded)
    assert seconds(up).isdisjoint(seconds(failing) | seconds(excluded) | seconds(silent))


def test_spans_that_touch_are_one() -> None:
    assert union([(2, 3), (1, 2), (5, 5)]) == [(1, 3)]
