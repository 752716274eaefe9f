"""What one routing pass makes of the keys: who is rung, what is news, and that every key ends with what is on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.keys import QUIET, Intent, Key, decide
from alerts.rules import Action, Event, Kind, Rule, trouble_of
from nodes.engine.enums import EventType, Severity

CRITICAL = Rule(frozenset({Severity.CRITICAL}), kind=Kind.PAGERDUTY)
BOTH = Rule(frozenset({Severity.WARNING, Severity.CRITICAL}), kind=Kind.SLACK)
ENABLED = {1: Kind.PAGERDUTY, 2: Kind.SLACK}
PAGER, CHAT = 1, 2

MARKED, MOVED, REFUSED = EventType.NODE_MARKED_FAILED, EventType.FAILOVER_STARTED, EventType.FAILOVER_REFUSED
RECOVERED, CLOSED, ACKNOWLEDGED = EventType.RECOVERY_COMPLETED, EventType.INCIDENT_CLOSED, EventType.ACKNOWLEDGED
LOW, LOW_ENDED, DOWN, DOWN_ENDED = (
    EventType.LOW_CAPACITY,
    EventType.LOW_CAPACITY_ENDED,
    EventType.POOL_DOWN,
    EventType.POOL_DOWN_ENDED,
)
_SEVERE = {MARKED: Severity.CRITICAL, REFUSED: Severity.CRITICAL, LOW: Severity.CRITICAL, DOWN: Severity.CRITICAL}


class Console:
    """Routes passes one after the other and keeps the keys as the services do."""

    def __init__(self, *rules: Rule, enabled: dict[int, Kind] = ENABLED) -> None:
        self.rules, self.enabled = rules or (CRITICAL, BOTH), enabled
        self.keys: dict[tuple[int, str], Key] = {}
        self.sent: list[Intent] = []
        self.unacknowledged = 0
        self._number, self.now = 0, 1000.0

    def event(
        self,
        kind: EventType,
        node: int | None = None,
        severity: Severity | None = None,
        *,
        incident: int | None = 7,
        flapping: bool = False,
    ) -> Event:
        self._number += 1
        severe = severity or _SEVERE.get(kind, Severity.INFO)
        return Event(self._number, kind, severe, incident, 1, node, at=self.now, flapping=flapping)

    def route(self, *events: Event, after: float = 1.0) -> list[Intent]:
        """One pass; returns what it sends."""
        self.now += after
        incidents = {event.incident for event in events} - {None}
        troubles = {trouble_of(event) for event in events}
        known = [
            key for key in self.keys.values() if key.incident in incidents or (not key.resolved and troubles & key.troubles.keys())
        ]
        decided = decide(events, self.rules, self.enabled, known)
        self.keys |= {(key.destination, key.key): key for key in decided.keys}
        self.sent += decided.intents
        self.unacknowledged += len(decided.unacknowledged)
        return list(decided.intents)

    def fail(self, node: int, severity: Severity = Severity.CRITICAL, *, flapping: bool = False) -> list[Intent]:
        """A node is marked and its share moves, in one pass."""
        return self.route(self.event(MARKED, node, severity, flapping=flapping), self.event(MOVED, node, flapping=flapping))

    def happen(self, kind: EventType, node: int | None = None, *, after: float = 1.0, incident: int | None = 7) -> list[Intent]:
        self.now += after
        return self.route(self.event(kind, node, incident=incident))

    def at(self, destination: int) -> list[tuple[str, str, int]]:
        return [(each.action.value, each.key, each.sequence) for each in self.sent if each.destination == destination]


def brief(intents: Iterable[Intent], destination: int = PAGER) -> list[str]:
    return [f"{each.action} {each.key}" for each in intents if each.destination == destination]


def test_all_that_begins_in_one_pass_is_one_message_by_the_first_key() -> None:
    console = Console()
    sent = console.route(*(console.event(kind, node) for node in range(1, 6) for kind in (MARKED, REFUSED)), console.event(DOWN))
    assert brief(sent) == ["trigger incident/7"]
    assert len(sent[0].events) == 11


def test_a_further_node_is_news_by_the_first_key_and_wakes_nobody_again() -> None:
    console = Console()
    console.fail(1)
    assert console.fail(2)[0] == Intent(PAGER, Action.TRIGGER, "incident/7", 2, Severity.CRITICAL, (3, 4), 1000.0)


def test_a_pool_that_goes_down_later_rings_by_a_further_key() -> None:
    """Three nodes fail one after the other; the pager's last word must not be that all is moved to the second."""
    console = Console()
    console.fail(1)
    console.fail(2)
    sent = console.route(console.event(MARKED, 3), console.event(REFUSED, 3), console.event(DOWN))
    assert brief(sent) == ["trigger incident/7/2"]
    assert len(sent[0].events) == 3


def test_a_further_key_ends_with_its_own_trouble_and_the_first_with_the_incident() -> None:
    console = Console()
    console.fail(1)
    console.happen(DOWN)
    assert brief(console.happen(DOWN_ENDED)) == ["resolve incident/7/2"]
    console.happen(RECOVERED, 1)
    assert brief(console.happen(CLOSED)) == ["resolve incident/7"]


def test_the_first_key_lasts_as_long_as_what_began_with_it() -> None:
    console = Console()
    console.route(console.event(MARKED, 1), console.event(LOW))
    assert brief(console.happen(CLOSED)) == []
    assert brief(console.happen(LOW_ENDED, incident=None)) == ["resolve incident/7"]


def test_a_rise_to_critical_opens_a_further_key_where_the_warning_was_told() -> None:
    console = Console()
    assert brief(console.fail(1, Severity.WARNING)) == []
    sent = console.fail(2)
    assert (brief(sent), brief(sent, CHAT)) == (["trigger incident/7"], ["trigger incident/7/2"])
    console.happen(RECOVERED, 2)
    assert console.at(CHAT)[-1] == ("resolve", "incident/7/2", 1)


def test_what_begins_again_within_ten_minutes_is_news_and_after_that_rings() -> None:
    console = Console()
    console.fail(1)
    console.happen(DOWN)
    console.happen(DOWN_ENDED)
    assert brief(console.happen(DOWN, after=QUIET - 10)) == ["trigger incident/7"]
    console.happen(DOWN_ENDED)
    assert brief(console.happen(DOWN, after=QUIET)) == ["trigger incident/7/3"]


def test_in_an_acknowledged_incident_a_share_that_a_further_node_loses_rings_and_unacknowledges() -> None:
    console = Console()
    console.fail(1)
    assert brief(console.happen(ACKNOWLEDGED)) == ["acknowledge incident/7"]
    assert brief(console.fail(2)) == ["trigger incident/7/2"]
    assert console.unacknowledged == 1
    assert brief(console.happen(ACKNOWLEDGED)) == ["acknowledge incident/7", "acknowledge incident/7/2"]
    assert console.at(PAGER)[-2:] == [("acknowledge", "incident/7", 2), ("acknowledge", "incident/7/2", 1)]


def test_so_does_a_share_that_is_stuck_on_a_further_node() -> None:
    console = Console()
    console.fail(1)
    console.happen(ACKNOWLEDGED)
    sent = console.route(console.event(MARKED, 2), console.event(REFUSED, 2))
    assert brief(sent) == ["trigger incident/7/2"]


def test_a_flapping_incident_rings_once() -> None:
    console = Console()
    console.fail(1, flapping=True)
    console.happen(ACKNOWLEDGED)
    for _ in range(5):
        console.happen(RECOVERED, 1, after=60)
        console.fail(1, flapping=True)
    assert {key for _, key, _ in console.at(PAGER)} == {"incident/7"}
    assert console.unacknowledged == 0


def test_what_begins_outside_an_incident_keeps_its_own_key_when_one_opens() -> None:
    console = Console()
    assert brief(console.happen(LOW, incident=None)) == ["trigger pool/1/low_capacity/1"]
    console.fail(1)
    assert brief(console.happen(LOW_ENDED)) == ["resolve pool/1/low_capacity/1"]
    console.happen(CLOSED)
    assert console.at(PAGER)[-1] == ("resolve", "incident/7", 1)


def test_a_wait_holds_the_first_message_back_and_a_rule_without_one_does_not() -> None:
    patient = replace(BOTH, wait=30.0)
    console = Console(patient)
    (first,) = console.fail(1, Severity.WARNING)
    assert first.not_before == console.now - 1.0 + 30.0
    hurried = Console(patient, Rule(frozenset({Severity.CRITICAL}), kind=Kind.SLACK))
    hurried.fail(1, Severity.WARNING)
    (rise,) = hurried.fail(2)
    assert rise.not_before < hurried.now


def test_every_destination_gets_its_end_even_when_no_rule_is_left() -> None:
    console = Console()
    console.fail(1)
    console.rules, console.enabled = (), {}
    assert brief(console.happen(CLOSED)) == ["resolve incident/7"]
    assert console.at(CHAT)[-1][0] == "resolve"


def test_what_rings_while_a_destination_is_off_waits_for_it_and_nothing_else_begins_there() -> None:
    console = Console()
    console.fail(1)
    console.enabled = {CHAT: Kind.SLACK}
    assert brief(console.happen(DOWN)) == ["trigger incident/7/2"]
    flapping = console.route(console.event(MARKED, 2, incident=8, flapping=True), console.event(DOWN_ENDED))
    assert (brief(flapping), brief(flapping, CHAT)) == (["resolve incident/7/2"], ["trigger incident/8", "resolve incident/7/2"])


def test_an_acknowledgement_goes_to_the_pager_once_and_not_to_the_chat() -> None:
    console = Console()
    console.fail(1)
    console.happen(ACKNOWLEDGED)
    console.happen(ACKNOWLEDGED)
    assert [action for action, _, _ in console.at(PAGER)] == ["trigger", "acknowledge"]
    assert [action for action, _, _ in console.at(CHAT)] == ["trigger"]


def test_nothing_is_sent_about_an_incident_that_is_over() -> None:
    console = Console()
    console.fail(1)
    console.happen(CLOSED)
    assert console.fail(3) == []


def test_each_lasting_trouble_outside_incidents_has_a_key_of_its_own_that_its_end_resolves() -> None:
    console = Console()
    high, over = EventType.HIGH_LOAD, EventType.HIGH_LOAD_ENDED
    for node in (4, 5):
        console.route(console.event(high, node, Severity.WARNING, incident=None))
    console.route(console.event(over, 4, incident=None))
    assert console.at(CHAT) == [
        ("trigger", "node/4/high_load/1", 1),
        ("trigger", "node/5/high_load/2", 1),
        ("resolve", "node/4/high_load/1", 1),
    ]


def test_what_lasts_and_comes_again_gets_another_key() -> None:
    console = Console()
    isolated, over = EventType.NO_CHECKER_BELIEVED, EventType.CHECKER_BELIEVED
    for kind, severity in ((isolated, Severity.CRITICAL), (over, None)) * 2:
        event = console.event(kind, None, severity, incident=None)
        console.route(replace(event, pool=None))
    assert [key for _, key, _ in console.at(PAGER)] == ["fleet/no_checker_believed/1"] * 2 + ["fleet/no_checker_believed/3"] * 2


def test_what_does_not_last_is_a_plain_message_and_a_destination_is_not_told_of_itself() -> None:
    console = Console()
    given_up = console.event(EventType.EVENT_GIVEN_UP, None, Severity.CRITICAL, incident=None)
    assert [each.action for each in console.route(given_up)] == [Action.INFO, Action.INFO]
    failing = console.event(EventType.DESTINATION_FAILING, None, Severity.CRITICAL, incident=None)
    (told,) = console.route(replace(failing, destination=PAGER, pool=None))
    assert (told.destination, told.key) == (CHAT, "destination/1/destination_failing/2")


# Any history ----------------------------------------------------------------------------------------------------------

_STEPS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from([MARKED, MOVED, REFUSED, RECOVERED, ACKNOWLEDGED, LOW, LOW_ENDED, DOWN, DOWN_ENDED]),
            st.integers(1, 3),
            st.sampled_from([Severity.WARNING, Severity.CRITICAL]),
            st.sampled_from([None, 1, 2]),
        ),
        max_size=5,
    ),
    max_size=12,
)


def routed(history: list[list[tuple[EventType, int, Severity, int | None]]], pause: float) -> Console:
    console = Console()
    for batch in history:
        events = []
        for kind, node, severity, incident in batch:
            of_node = kind in (MARKED, MOVED, REFUSED, RECOVERED)
            events.append(
                console.event(
                    kind,
                    node if of_node else None,
                    severity if kind in _SEVERE else Severity.INFO,
                    incident=(incident or 1) if of_node or kind is ACKNOWLEDGED else incident,
                )
            )
        console.route(*events, after=pause)
    return console


@given(_STEPS, st.sampled_from([1.0, 700.0]))
@settings(max_examples=400, deadline=None)
def test_any_history_uses_no_key_again_and_says_one_thing_of_an_incident_and_pass(
    history: list[list[tuple[EventType, int, Severity, int | None]]], pause: float
) -> None:
    console = routed(history, pause)
    named = [(each.destination, each.key, each.action, each.sequence) for each in console.sent]
    assert len(set(named)) == len(named)
    for destination, key in {(each.destination, each.key) for each in console.sent}:
        actions = [each.action for each in console.sent if (each.destination, each.key) == (destination, key)]
        assert actions[0] in (Action.TRIGGER, Action.INFO)
        assert Action.RESOLVE not in actions[:-1]
        triggers = [
            each.sequence
            for each in console.sent
            if (each.destination, each.key, each.action) == (destination, key, Action.TRIGGER)
        ]
        assert triggers == list(range(1, len(triggers) + 1))


@given(_STEPS)
@settings(max_examples=200, deadline=None)
def test_when_all_is_over_every_key_is_resolved(history: list[list[tuple[EventType, int, Severity, int | None]]]) -> None:
    console = routed(history, 1.0)
    for incident in (1, 2):
        console.happen(CLOSED, incident=incident)
    for kind in (LOW_ENDED, DOWN_ENDED):
        console.happen(kind, incident=None)
    assert [key.key for key in console.keys.values() if not key.resolved] == []


@given(_STEPS)
@settings(max_examples=200, deadline=None)
def test_no_pass_triggers_two_keys_of_one_incident(history: list[list[tuple[EventType, int, Severity, int | None]]]) -> None:
    console = Console()
    for batch in history:
        events = [
            console.event(kind, node, severity if kind in _SEVERE else Severity.INFO, incident=1)
            for kind, node, severity, _ in batch
        ]
        sent = console.route(*events)
        for destination in ENABLED:
            assert len([each for each in sent if each.action is Action.TRIGGER and each.destination == destination]) <= 1
