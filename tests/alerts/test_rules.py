"""Which events are told, to whom and how soon."""

from __future__ import annotations

from alerts import rules
from alerts.rules import Event, Kind, Rule
from nodes.engine.enums import EventType, Severity

MARKED = EventType.NODE_MARKED_FAILED
CRITICAL = frozenset({Severity.CRITICAL})


def test_a_rule_selects_by_type_pool_tag_and_named_destinations() -> None:
    event = Event(1, MARKED, Severity.CRITICAL, 7, 1, 1, tags=frozenset({"eu"}))
    enabled = {1: Kind.SLACK, 2: Kind.SLACK}

    def notified(rule: Rule) -> list[int]:
        return sorted(rules.selected(event, (rule,), enabled))

    assert notified(Rule(CRITICAL, kind=Kind.SLACK)) == [1, 2]
    assert notified(Rule(CRITICAL, destinations=frozenset({2, 9}), kind=Kind.SLACK)) == [2]
    assert notified(Rule(CRITICAL, types=frozenset({EventType.FAILOVER_FAILED}), kind=Kind.SLACK)) == []
    assert notified(Rule(CRITICAL, pool=2, kind=Kind.SLACK)) == []
    assert notified(Rule(CRITICAL, tag="us", kind=Kind.SLACK)) == []
    assert notified(Rule(CRITICAL, types=frozenset({MARKED}), pool=1, tag="eu", kind=Kind.SLACK)) == [1, 2]


def test_of_two_rules_the_shorter_wait_counts() -> None:
    event = Event(1, MARKED, Severity.CRITICAL, 7, 1, 1)
    waits = [Rule(CRITICAL, kind=Kind.SLACK, wait=wait) for wait in (60.0, 10.0)]
    assert rules.selected(event, waits, {1: Kind.SLACK}) == {1: 10.0}
    assert rules.selected(event, reversed(waits), {1: Kind.SLACK}) == {1: 10.0}


def test_single_checks_and_edits_are_not_alertable() -> None:
    assert not rules.is_alertable(Event(1, EventType.HEALTH_CHECK_FAILED, Severity.INFO, 7, 1, 1))
    assert not rules.is_alertable(Event(1, EventType.CONFIG_CHANGED, Severity.INFO))


def test_a_long_name_of_a_host_fits_into_a_key_and_is_never_that_of_another() -> None:
    def named(host: str) -> str:
        return rules.trouble_of(Event(1, EventType.CHECKER_ISOLATED, Severity.WARNING, checker=host))

    long = "a" * 250
    assert named("one") == "checker/one/checker_isolated"
    assert named(long + "b") != named(long + "c")
    assert len(named(long)) <= 100
