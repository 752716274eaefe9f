"""Who is told what: one page per incident and destination, every beginning gets its end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import rules
from alerts.rules import Action, Happening, Kind, Rule, Telling, Told
from nodes.engine.enums import EventType, Severity

CRITICAL = Rule(frozenset({Severity.CRITICAL}), kind=Kind.PAGERDUTY)
WARNING = Rule(frozenset({Severity.WARNING, Severity.CRITICAL}), kind=Kind.SLACK)
PLACES = {1: Kind.PAGERDUTY, 2: Kind.SLACK}
PAGER, CHAT = 1, 2

MARKED, MOVED = EventType.NODE_MARKED_FAILED, EventType.FAILOVER_STARTED


def events(*told: tuple[EventType, Severity, int], incident: int | None = 7) -> list[Happening]:
    return [Happening(number, kind, severity, incident, 1, node) for number, (kind, severity, node) in enumerate(told, start=100)]


def closing(number: int = 999, incident: int = 7) -> Happening:
    return Happening(number, EventType.INCIDENT_CLOSED, Severity.INFO, incident, 1)


def run(
    history: list[Happening], *, book: tuple[Rule, ...] = (CRITICAL, WARNING), places: dict[int, Kind] = PLACES
) -> list[Telling]:
    """Tell a whole history, keeping the pages as the services do."""
    pages: dict[tuple[str, int], Told] = {}
    said: list[Telling] = []
    for happening in history:
        subject = rules.subject(happening)
        told = [
            page for (about, _), page in pages.items() if about == subject and (happening.incident is not None or not page.resolved)
        ]
        known = {page.destination: page for page in told}
        for telling in rules.tell(happening, book, places, told):
            said.append(telling)
            if telling.action is not Action.INFO:
                kind = PLACES[telling.destination]
                pages[subject, telling.destination] = rules.remember(known.get(telling.destination), telling, happening, kind)
    return said


def actions(said: list[Telling], place: int) -> list[str]:
    return [each.action.value for each in said if each.destination == place]


def test_ten_failing_checks_are_one_page() -> None:
    checks = [(EventType.HEALTH_CHECK_FAILED, Severity.INFO, 1)] * 10
    said = run(events(*checks[:3], (MARKED, Severity.CRITICAL, 1), (MOVED, Severity.INFO, 1), *checks[3:]))
    assert actions(said, PAGER) == ["trigger"]
    assert actions(said, CHAT) == ["trigger"]


def test_five_nodes_that_nobody_can_replace_are_one_page() -> None:
    marks = [(MARKED, Severity.CRITICAL, node) for node in range(1, 6)]
    refusals = [(EventType.FAILOVER_REFUSED, Severity.CRITICAL, node) for node in range(1, 6)]
    assert actions(run(events(*marks, *refusals)), PAGER) == ["trigger"]


def test_a_share_lost_by_a_further_node_triggers_the_same_key_again() -> None:
    said = run(
        events((MARKED, Severity.CRITICAL, 1), (MOVED, Severity.INFO, 1), (MARKED, Severity.CRITICAL, 2), (MOVED, Severity.INFO, 2))
    )
    told = [each for each in said if each.destination == PAGER]
    assert [each.sequence for each in told] == [1, 2]
    assert {each.key for each in told} == {"incident/7"}


def test_a_rise_in_severity_triggers_again_and_pages_who_was_not_told() -> None:
    said = run(events((MARKED, Severity.WARNING, 1), (EventType.FAILOVER_FAILED, Severity.CRITICAL, 1)))
    assert [each.severity for each in said if each.destination == CHAT] == [Severity.WARNING, Severity.CRITICAL]
    assert actions(said, PAGER) == ["trigger"]


def test_the_end_is_told_wherever_the_beginning_was_even_when_no_rule_is_left() -> None:
    opened = Told(PAGER, Kind.PAGERDUTY, "incident/7", Severity.CRITICAL, triggers=2)
    assert rules.tell(closing(), (), {}, [opened]) == (Telling(PAGER, Action.RESOLVE, "incident/7", 1, Severity.CRITICAL),)


def test_an_incident_of_which_nobody_was_told_ends_silently() -> None:
    assert run([*events((MARKED, Severity.WARNING, 1)), closing()], book=(CRITICAL,)) == []


def test_an_acknowledgement_goes_to_the_pager_once_and_not_to_the_chat() -> None:
    acknowledged = (EventType.ACKNOWLEDGED, Severity.INFO, 0)
    said = run(events((MARKED, Severity.CRITICAL, 1), acknowledged, acknowledged))
    assert actions(said, PAGER) == ["trigger", "acknowledge"]
    assert actions(said, CHAT) == ["trigger"]


def test_nothing_is_told_of_an_incident_that_is_over() -> None:
    said = run([*events((MARKED, Severity.CRITICAL, 1)), closing(), *events((MOVED, Severity.INFO, 3))])
    assert actions(said, PAGER) == ["trigger", "resolve"]


def test_an_isolated_checker_opens_and_ends_and_comes_again_under_another_key() -> None:
    isolated = [Happening(n, EventType.CHECKER_ISOLATED, Severity.CRITICAL) for n in (1, 3)]
    well = [Happening(n, EventType.CHECKER_REJOINED, Severity.INFO) for n in (2, 4)]
    said = [each for each in run([isolated[0], well[0], isolated[1], well[1]]) if each.destination == PAGER]
    assert [(each.action.value, each.key) for each in said] == [
        ("trigger", "checker_isolated/1"),
        ("resolve", "checker_isolated/1"),
        ("trigger", "checker_isolated/3"),
        ("resolve", "checker_isolated/3"),
    ]


def test_a_warning_outside_incidents_is_a_plain_message_and_info_is_nothing() -> None:
    said = run(
        events((EventType.CONFIG_CHANGED, Severity.WARNING, 0), (EventType.AUTOMATION_PAUSED, Severity.INFO, 0), incident=None)
    )
    assert [(each.destination, each.action, each.key) for each in said] == [(CHAT, Action.INFO, "event/100")]


def test_a_rule_selects_by_type_pool_tag_and_named_destinations() -> None:
    happening = Happening(1, MARKED, Severity.CRITICAL, 7, 1, 1, tags=frozenset({"eu"}))
    every = frozenset({Severity.CRITICAL})
    places = {1: Kind.SLACK, 2: Kind.SLACK}

    def told(rule: Rule) -> list[int]:
        return [each.destination for each in rules.tell(happening, (rule,), places, ())]

    assert told(Rule(every, kind=Kind.SLACK)) == [1, 2]
    assert told(Rule(every, destinations=frozenset({2, 9}), kind=Kind.SLACK)) == [2]
    assert told(Rule(every, types=frozenset({EventType.FAILOVER_FAILED}), kind=Kind.SLACK)) == []
    assert told(Rule(every, pool=2, kind=Kind.SLACK)) == []
    assert told(Rule(every, tag="us", kind=Kind.SLACK)) == []
    assert told(Rule(every, types=frozenset({MARKED}), pool=1, tag="eu", kind=Kind.SLACK)) == [1, 2]


def test_two_rules_that_match_tell_a_destination_once() -> None:
    assert actions(run(events((MARKED, Severity.CRITICAL, 1)), book=(CRITICAL, CRITICAL)), PAGER) == ["trigger"]


_IN_INCIDENT = st.builds(
    Happening,
    event=st.integers(1, 1000),
    type=st.sampled_from([MARKED, MOVED, EventType.FAILOVER_REFUSED, EventType.ACKNOWLEDGED, EventType.HEALTH_CHECK_FAILED]),
    severity=st.sampled_from(Severity),
    incident=st.integers(1, 3),
    pool=st.just(1),
    node=st.integers(1, 4),
)
_ENDS = st.builds(closing, number=st.integers(1, 1000), incident=st.integers(1, 3))


@given(st.lists(st.one_of(_IN_INCIDENT, _ENDS), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_history_keeps_one_key_and_never_ends_what_it_did_not_begin(history: list[Happening]) -> None:
    said = run(history)
    assert len({(each.destination, each.key, each.action, each.sequence) for each in said}) == len(said)
    for place in PLACES:
        for incident in (1, 2, 3):
            told = [each.action for each in said if each.destination == place and each.key == f"incident/{incident}"]
            assert told == [] or told[0] is Action.TRIGGER
            assert told.count(Action.RESOLVE) <= 1
            assert Action.RESOLVE not in told[:-1]


@given(st.lists(_IN_INCIDENT, max_size=30))
@settings(max_examples=200, deadline=None)
def test_when_every_incident_has_ended_every_page_is_resolved(history: list[Happening]) -> None:
    said = run([*history, *(closing(2000 + n, n) for n in (1, 2, 3))])
    begun = {(each.destination, each.key) for each in said if each.action is Action.TRIGGER}
    ended = {(each.destination, each.key) for each in said if each.action is Action.RESOLVE}
    assert begun == ended


def test_most_events_are_dropped_without_another_look() -> None:
    assert not rules.is_alertable(Happening(1, EventType.HEALTH_CHECK_FAILED, Severity.INFO, 7, 1, 1))
    assert not rules.is_alertable(Happening(1, EventType.CONFIG_CHANGED, Severity.INFO))


def test_the_high_load_of_each_node_is_a_page_of_its_own_that_its_end_resolves() -> None:
    high = [Happening(number, EventType.HIGH_LOAD, Severity.WARNING, None, 1, node) for number, node in ((1, 4), (2, 5))]
    over = Happening(3, EventType.HIGH_LOAD_ENDED, Severity.INFO, None, 1, 4)
    said = [each for each in run([*high, over]) if each.destination == CHAT]
    assert [(each.action.value, each.key) for each in said] == [
        ("trigger", "high_load/node/4/1"),
        ("trigger", "high_load/node/5/2"),
        ("resolve", "high_load/node/4/1"),
    ]
