"""Comparing two looks at a page."""

from __future__ import annotations

from dataclasses import replace

from nodes.screens.fragments import Fragment, by_id, difference, outermost

OUTER = Fragment("pool", "pool.html", "pool", "pool", children=("a", "b"))
A = Fragment("a", "node.html", "node", ("healthy", 12), urgent="healthy")
B = Fragment("b", "node.html", "node", ("healthy", 15), urgent="healthy")
PAGE = by_id(OUTER, A, B)


def ids(fragments: tuple[Fragment, ...] | list[Fragment]) -> list[str]:
    return [fragment.id for fragment in fragments]


def test_equal_pages_need_nothing() -> None:
    assert difference(PAGE, dict(PAGE)).sent == ()


def test_a_changed_fragment_is_sent_alone() -> None:
    assert ids(difference(PAGE, {**PAGE, "b": replace(B, subject=("failed", 0), urgent="failed")}).sent) == ["b"]


def test_fragments_that_come_go_or_change_places_bring_what_holds_them() -> None:
    fewer = by_id(replace(OUTER, children=("a",)), A)
    assert ids(difference(PAGE, fewer).sent) == ["pool"]
    assert ids(difference(fewer, PAGE).sent) == ["pool"]
    turned = by_id(replace(OUTER, children=("b", "a")), A, replace(B, subject=("failed", 0)))
    assert ids(difference(PAGE, turned).sent) == ["pool"]


def test_what_may_wait_is_neither_sent_nor_forgotten() -> None:
    later = {**PAGE, "a": replace(A, subject=("healthy", 99))}
    early = difference(PAGE, later, urgent_only=True)
    assert early.sent == ()
    assert ids(difference(early.shown, later).sent) == ["a"]


def test_an_urgent_change_does_not_wait() -> None:
    failed = {**PAGE, "a": replace(A, subject=("failed", 99), urgent="failed")}
    assert ids(difference(PAGE, failed, urgent_only=True).sent) == ["a"]


def test_the_whole_page_is_what_lies_inside_nothing() -> None:
    assert ids(outermost(PAGE)) == ["pool"]
    assert ids(difference({}, PAGE).sent) == ["pool"]
