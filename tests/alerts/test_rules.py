"""Who is notified of what: one alert per incident and destination, every trigger gets its resolve."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import rules
from alerts.rules import Action, AlertState, Event, Intent, Kind, Rule
from nodes.engine.enums import EventType, Severity

CRITICAL = Rule(frozenset({Severity.CRITICAL}), kind=Kind.PAGERDUTY)
WARNING = Rule(frozenset({Severity.WARNING, Severity.CRITICAL}), kind=Kind.SLACK)
ENABLED = {1: Kind.PAGERDUTY, 2: Kind.SLACK}
PAGER, CHAT = 1, 2

MARKED, MOVED = EventType.NODE_MARKED_FAILED, EventType.FAILOVER_STARTED


def events(*seen: tuple[EventType, Severity, int], incident: int | None = 7) -> list[Event]:
    return [Event(number, kind, severity, incident, 1, node) for number, (kind, severity, node) in enumerate(seen, start=100)]


def closing(number: int = 999, incident: int = 7) -> Event:
    return Event(number, EventType.INCIDENT_CLOSED, Severity.INFO, incident, 1)


def run(
    history: list[Event], *, in_force: tuple[Rule, ...] = (CRITICAL, WARNING), enabled: dict[int, Kind] = ENABLED
) -> list[Intent]:
    """The intents of a whole history; the alerts are kept as the services keep them."""
    alerts: dict[tuple[str, int], AlertState] = {}
    intents: list[Intent] = []
    for event in history:
        subject = rules.subject(event)
        known = {
            alert.destination: alert
            for (about, _), alert in alerts.items()
            if about == subject and (event.incident is not None or not alert.resolved)
        }
        for intent in rules.decide(event, in_force, enabled, known.values()):
            intents.append(intent)
            if intent.action is not Action.INFO:
                kind = ENABLED[intent.destination]
                alerts[subject, intent.destination] = rules.state_after(known.get(intent.destination), intent, event, kind)
    return intents


def actions(intents: list[Intent], destination: int) -> list[str]:
    return [each.action.value for each in intents if each.destination == destination]


def test_ten_failing_checks_are_one_alert() -> None:
    checks = [(EventType.HEALTH_CHECK_FAILED, Severity.INFO, 1)] * 10
    intents = run(events(*checks[:3], (MARKED, Severity.CRITICAL, 1), (MOVED, Severity.INFO, 1), *checks[3:]))
    assert actions(intents, PAGER) == ["trigger"]
    assert actions(intents, CHAT) == ["trigger"]


def test_five_nodes_that_nobody_can_replace_are_one_alert() -> None:
    marks = [(MARKED, Severity.CRITICAL, node) for node in range(1, 6)]
    refusals = [(EventType.FAILOVER_REFUSED, Severity.CRITICAL, node) for node in range(1, 6)]
    assert actions(run(events(*marks, *refusals)), PAGER) == ["trigger"]


def test_a_share_lost_by_a_further_node_triggers_the_same_key_again() -> None:
    intents = run(
        events((MARKED, Severity.CRITICAL, 1), (MOVED, Severity.INFO, 1), (MARKED, Severity.CRITICAL, 2), (MOVED, Severity.INFO, 2))
    )
    sent = [each for each in intents if each.destination == PAGER]
    assert [each.sequence for each in sent] == [1, 2]
    assert {each.key for each in sent} == {"incident/7"}


def test_a_rise_in_severity_triggers_again_and_notifies_further_destinations() -> None:
    intents = run(events((MARKED, Severity.WARNING, 1), (EventType.FAILOVER_FAILED, Severity.CRITICAL, 1)))
    assert [each.severity for each in intents if each.destination == CHAT] == [Severity.WARNING, Severity.CRITICAL]
    assert actions(intents, PAGER) == ["trigger"]


def test_every_destination_of_an_alert_gets_its_end_even_when_no_rule_is_left() -> None:
    opened = AlertState(PAGER, Kind.PAGERDUTY, "incident/7", Severity.CRITICAL, triggers=2)
    assert rules.decide(closing(), (), {}, [opened]) == (Intent(PAGER, Action.RESOLVE, "incident/7", 1, Severity.CRITICAL),)


def test_an_incident_without_an_alert_ends_silently() -> None:
    assert run([*events((MARKED, Severity.WARNING, 1)), closing()], in_force=(CRITICAL,)) == []


def test_an_acknowledgement_goes_to_the_pager_once_and_not_to_the_chat() -> None:
    acknowledged = (EventType.ACKNOWLEDGED, Severity.INFO, 0)
    intents = run(events((MARKED, Severity.CRITICAL, 1), acknowledged, acknowledged))
    assert actions(intents, PAGER) == ["trigger", "acknowledge"]
    assert actions(intents, CHAT) == ["trigger"]


def test_nothing_is_sent_about_an_incident_that_is_over() -> None:
    intents = run([*events((MARKED, Severity.CRITICAL, 1)), closing(), *events((MOVED, Severity.INFO, 3))])
    assert actions(intents, PAGER) == ["trigger", "resolve"]


def test_an_isolated_checker_opens_and_ends_and_comes_again_under_another_key() -> None:
    isolated = [Event(n, EventType.CHECKER_ISOLATED, Severity.CRITICAL) for n in (1, 3)]
    over = [Event(n, EventType.CHECKER_REJOINED, Severity.INFO) for n in (2, 4)]
    intents = [each for each in run([isolated[0], over[0], isolated[1], over[1]]) if each.destination == PAGER]
    assert [(each.action.value, each.key) for each in intents] == [
        ("trigger", "checker_isolated/1"),
        ("resolve", "checker_isolated/1"),
        ("trigger", "checker_isolated/3"),
        ("resolve", "checker_isolated/3"),
    ]


def test_a_warning_outside_incidents_is_a_plain_message_and_info_is_nothing() -> None:
    intents = run(
        events((EventType.CONFIG_CHANGED, Severity.WARNING, 0), (EventType.AUTOMATION_PAUSED, Severity.INFO, 0), incident=None)
    )
    assert [(each.destination, each.action, each.key) for each in intents] == [(CHAT, Action.INFO, "event/100")]


def test_a_rule_selects_by_type_pool_tag_and_named_destinations() -> None:
    event = Event(1, MARKED, Severity.CRITICAL, 7, 1, 1, tags=frozenset({"eu"}))
    every = frozenset({Severity.CRITICAL})
    enabled = {1: Kind.SLACK, 2: Kind.SLACK}

    def notified(rule: Rule) -> list[int]:
        return [each.destination for each in rules.decide(event, (rule,), enabled, ())]

    assert notified(Rule(every, kind=Kind.SLACK)) == [1, 2]
    assert notified(Rule(every, destinations=frozenset({2, 9}), kind=Kind.SLACK)) == [2]
    assert notified(Rule(every, types=frozenset({EventType.FAILOVER_FAILED}), kind=Kind.SLACK)) == []
    assert notified(Rule(every, pool=2, kind=Kind.SLACK)) == []
    assert notified(Rule(every, tag="us", kind=Kind.SLACK)) == []
    assert notified(Rule(every, types=frozenset({MARKED}), pool=1, tag="eu", kind=Kind.SLACK)) == [1, 2]


def test_two_rules_that_match_notify_a_destination_once() -> None:
    assert actions(run(events((MARKED, Severity.CRITICAL, 1)), in_force=(CRITICAL, CRITICAL)), PAGER) == ["trigger"]


_IN_INCIDENT = st.builds(
    Event,
    number=st.integers(1, 1000),
    type=st.sampled_from([MARKED, MOVED, EventType.FAILOVER_REFUSED, EventType.ACKNOWLEDGED, EventType.HEALTH_CHECK_FAILED]),
    severity=st.sampled_from(Severity),
    incident=st.integers(1, 3),
    pool=st.just(1),
    node=st.integers(1, 4),
)
_ENDS = st.builds(closing, number=st.integers(1, 1000), incident=st.integers(1, 3))


@given(st.lists(st.one_of(_IN_INCIDENT, _ENDS), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_history_keeps_one_key_and_never_ends_what_it_did_not_begin(history: list[Event]) -> None:
    intents = run(history)
    assert len({(each.destination, each.key, each.action, each.sequence) for each in intents}) == len(intents)
    for destination in ENABLED:
        for incident in (1, 2, 3):
            sent = [each.action for each in intents if each.destination == destination and each.key == f"incident/{incident}"]
            assert sent == [] or sent[0] is Action.TRIGGER
            assert sent.count(Action.RESOLVE) <= 1
            assert Action.RESOLVE not in sent[:-1]


@given(st.lists(_IN_INCIDENT, max_size=30))
@settings(max_examples=200, deadline=None)
def test_when_every_incident_has_ended_every_alert_is_resolved(history: list[Event]) -> None:
    intents = run([*history, *(closing(2000 + n, n) for n in (1, 2, 3))])
    begun = {(each.destination, each.key) for each in intents if each.action is Action.TRIGGER}
    ended = {(each.destination, each.key) for each in intents if each.action is Action.RESOLVE}
    assert begun == ended


def test_single_checks_and_edits_are_not_alertable() -> None:
    assert not rules.is_alertable(Event(1, EventType.HEALTH_CHECK_FAILED, Severity.INFO, 7, 1, 1))
    assert not rules.is_alertable(Event(1, EventType.CONFIG_CHANGED, Severity.INFO))


def test_the_high_load_of_each_node_is_an_alert_of_its_own_that_its_end_resolves() -> None:
    high = [Event(number, EventType.HIGH_LOAD, Severity.WARNING, None, 1, node) for number, node in ((1, 4), (2, 5))]
    over = Event(3, EventType.HIGH_LOAD_ENDED, Severity.INFO, None, 1, 4)
    intents = [each for each in run([*high, over]) if each.destination == CHAT]
    assert [(each.action.value, each.key) for each in intents] == [
        ("trigger", "high_load/node/4/1"),
        ("trigger", "high_load/node/5/2"),
        ("resolve", "high_load/node/4/1"),
    ]
