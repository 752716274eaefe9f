"""What one routing pass makes of the keys at each destination: a receiver that knows keys rings once for each new one.

An incident's first key carries all that begins in the pass that opened it.  A rise to critical, `pool_down`, `low_capacity`, and in
an acknowledged incident a share that a further node loses or cannot lose, open a further key when they begin in a later pass, and
the acknowledgement no longer holds: a repeated trigger of an open key wakes nobody.  What began again within `QUIET` of its end in
the same incident, or in a flapping one, is news.  News (what makes the last message untrue) goes to the lowest open key.  What
lasts outside incidents has a key of its own, kept if an incident opens later.  A key ends with the troubles on it, and is never
used again; each action of a key has its own rising sequence.  All that one pass says by one key is one message, and of one incident
it says it by one key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerts.rules import Action, Event, Kind, Rule, concerns, incident_trouble, is_alertable, is_failure, selected, trouble_of
from nodes.engine.enums import EventType, Severity
from nodes.engine.event_types import TABLE, TroubleType, rank, worst

QUIET = 600.0  # s after the end of a trouble in which its return wakes nobody
ACKNOWLEDGING = frozenset({Kind.PAGERDUTY, Kind.WEBHOOK})  # a chat channel is not notified of it

_OF_CAPACITY = frozenset({TroubleType.POOL_DOWN, TroubleType.LOW_CAPACITY})
_LOSSES = frozenset({EventType.FAILOVER_STARTED, EventType.FAILOVER_REFUSED})  # a share lost, or stuck on a node that is down


@dataclass(frozen=True, slots=True)
class Key:
    """What one destination was told by one key.  `troubles`: those on it, each with the instant of its end or None."""

    destination: int
    kind: Kind
    key: str
    severity: Severity
    incident: int | None = None
    number: int = 1  # among the keys of its incident
    troubles: Mapping[str, float | None] = field(default_factory=dict)
    nodes: frozenset[int] = frozenset()  # whose loss of a share was told
    triggers: int = 0
    acknowledgements: int = 0
    resolves: int = 0
    acknowledged: bool = False
    resolved: bool = False
    not_before: float = 0.0  # s; its first message waits until then

    def lasts(self, trouble: str) -> bool:
        """Whether this trouble is on the key and has not ended."""
        return not self.resolved and trouble in self.troubles and self.troubles[trouble] is None


@dataclass(frozen=True, slots=True)
class Intent:
    """One message to one destination about these events, the gravest named first; (key, action, sequence) is unique there."""

    destination: int
    action: Action
    key: str
    sequence: int
    severity: Severity
    events: tuple[int, ...]
    not_before: float = 0.0  # s


@dataclass(frozen=True, slots=True)
class Decided:
    """What to send, the keys as they are once that is written, and the incidents whose acknowledgement no longer holds."""

    intents: tuple[Intent, ...] = ()
    keys: tuple[Key, ...] = ()
    unacknowledged: frozenset[int] = frozenset()


def decide(events: Sequence[Event], rules: Sequence[Rule], enabled: Mapping[int, Kind], keys: Iterable[Key]) -> Decided:
    """One pass over events of one pool or trouble, in order.  `keys`: those of their incidents, and open ones of their troubles."""
    desks: dict[int, _Desk] = {}
    for key in keys:
        desks.setdefault(key.destination, _Desk(key.destination, key.kind)).keys[key.key] = key
    for event in events:
        if not is_alertable(event):
            continue
        # Where one is off for a while, or leaves, nothing begins; but what rings in an incident that it was told of waits for it.
        reachable = {**{desk.destination: desk.kind for desk in desks.values()}, **enabled}
        waits = selected(event, rules, reachable)
        for destination in waits.keys() - desks.keys():
            desks[destination] = _Desk(destination, enabled[destination])
        concerned = concerns(event, rules, reachable)
        for destination in sorted(desks):
            desk = desks[destination]
            begins = destination in enabled or desk.is_told_of(event.incident)
            desk.take(event, waits.get(destination) if begins else None, concerned=destination in concerned)
    ordered = [desks[destination] for destination in sorted(desks)]
    return Decided(
        intents=tuple(intent for desk in ordered for intent in desk.intents()),
        keys=tuple(key for desk in ordered for key in desk.changed()),
        unacknowledged=frozenset().union(*(desk.unacknowledged for desk in ordered)),
    )


@dataclass
class _Desk:
    """One destination in one pass: its keys as they become, and what is said by each."""

    destination: int
    kind: Kind
    keys: dict[str, Key] = field(default_factory=dict)
    unacknowledged: set[int] = field(default_factory=set)
    _opened: dict[int, str] = field(default_factory=dict)  # incident -> its key that was opened in this pass
    _new: set[str] = field(default_factory=set)  # keys opened in this pass
    _touched: dict[str, None] = field(default_factory=dict)  # keys that changed, in order
    _told: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    _acknowledged: dict[str, Event] = field(default_factory=dict)
    _ended: dict[str, Event] = field(default_factory=dict)
    _plain: list[Event] = field(default_factory=list)

    def take(self, event: Event, wait: float | None, *, concerned: bool) -> None:
        """One event; `wait` is that of the rules that bring it here, None when none does.

        `concerned`: some rule brings events of its pool and node here.
        """
        if event.type is EventType.ACKNOWLEDGED:
            self._acknowledge(event)
        elif TABLE[event.type].ends is not None:
            self._end(event)
        elif event.incident is not None:
            self._in_incident(event, event.incident, wait, concerned)
        elif wait is not None:
            self._outside(event, wait)

    def is_told_of(self, incident: int | None) -> bool:
        """Whether a key of this incident is open here."""
        return any(not key.resolved for key in self._of(incident))

    def changed(self) -> list[Key]:
        """The keys that this pass opened or changed."""
        return [self.keys[name] for name in self._touched]

    def intents(self) -> list[Intent]:
        """What is said by each key: at most one message of each action."""
        found = [self._intent(Action.INFO, f"event/{event.number}", 1, event.severity, [event]) for event in self._plain]
        ends = []
        for name in list(self._touched):
            key = self.keys[name]
            told = self._told.get(name, [])
            if told and (name in self._new or name not in self._ended):
                key = replace(key, triggers=key.triggers + 1)
                gravest = max(told, key=lambda event: rank(event.severity))
                severity = gravest.severity if rank(gravest.severity) > rank(key.severity) else key.severity
                others = [event for event in told if event is not gravest]
                found.append(self._intent(Action.TRIGGER, name, key.triggers, severity, [gravest, *others], key.not_before))
            if name in self._acknowledged and self.kind in ACKNOWLEDGING:
                key = replace(key, acknowledgements=key.acknowledgements + 1)
                found.append(self._intent(Action.ACKNOWLEDGE, name, key.acknowledgements, key.severity, [self._acknowledged[name]]))
            if name in self._ended and not self._is_said_by_another(key):
                key = replace(key, resolves=key.resolves + 1)
                ends.append(self._intent(Action.RESOLVE, name, key.resolves, key.severity, [self._ended[name]]))
            self.keys[name] = key
        return found + sorted(ends, key=lambda end: -self.keys[end.key].number)  # an incident's first key ends last

    def _is_said_by_another(self, key: Key) -> bool:
        """A chat, which knows no keys, is told once that an incident is over."""
        ended = [each.number for each in self._of(key.incident) if each.key in self._ended]
        return self.kind not in ACKNOWLEDGING and key.incident is not None and key.number > min(ended)

    def _intent(
        self, action: Action, key: str, sequence: int, severity: Severity, events: list[Event], not_before: float = 0.0
    ) -> Intent:
        return Intent(self.destination, action, key, sequence, severity, tuple(event.number for event in events), not_before)

    def _put(self, key: Key) -> None:
        self.keys[key.key] = key
        self._touched[key.key] = None

    # Acknowledgements and ends

    def _acknowledge(self, event: Event) -> None:
        for key in self._of(event.incident):
            if not key.resolved and not key.acknowledged:
                self._put(replace(key, acknowledged=True))
                self._acknowledged[key.key] = event

    def _end(self, event: Event) -> None:
        """Mark what ended; a key on which nothing lasts any more is resolved."""
        trouble = trouble_of(event)
        whole = TABLE[event.type].ends is TroubleType.INCIDENT
        for key in list(self.keys.values()):
            over = {
                name
                for name, ended in key.troubles.items()
                if ended is None and (name == trouble or (whole and key.incident == event.incident and is_failure(name)))
            }
            if key.resolved or not over:
                continue
            troubles = {**key.troubles, **dict.fromkeys(over, event.at)}
            resolved = all(ended is not None for ended in troubles.values())
            self._put(replace(key, troubles=troubles, resolved=resolved))
            if resolved:
                self._ended[key.key] = event

    # Beginnings and news

    def _in_incident(self, event: Event, incident: int, wait: float | None, concerned: bool) -> None:
        own = self._of(incident)
        still_open = [key for key in own if not key.resolved]
        if not own:
            if wait is not None:
                self._open(event, incident_trouble(incident), 1, {incident_trouble(incident): None}, wait)
        elif not still_open or any(key.lasts(trouble_of(event)) and key.incident is None for key in self.keys.values()):
            return  # it is over, or told by a key of its own
        elif opened := self._opened.get(incident):
            rings = self._may_ring(event, own, wait, concerned)
            self._tell(self.keys[opened], event, wait, also_on_it=self.keys[opened].number == 1 or rings)
        elif self._may_ring(event, own, wait, concerned):
            self._ring(event, incident, own, wait or 0.0)
        elif self._is_news(event, own):
            self._tell(still_open[0], event, wait, also_on_it=True)

    def _outside(self, event: Event, wait: float) -> None:
        trouble = trouble_of(event)
        if not trouble:
            self._plain.append(event)
            return
        lasting = next((key for key in self.keys.values() if key.lasts(trouble)), None)
        if lasting is None:
            self._open(event, f"{trouble}/{event.number}", 1, {}, wait)
        elif rank(event.severity) > rank(lasting.severity):
            self._put(replace(lasting, severity=event.severity))
            self._tell(self.keys[lasting.key], event, wait, also_on_it=False)

    def _of(self, incident: int | None) -> list[Key]:
        """The keys of an incident, in the order of their numbers."""
        own = [key for key in self.keys.values() if incident is not None and key.incident == incident]
        return sorted(own, key=lambda key: key.number)

    def _may_ring(self, event: Event, own: list[Key], wait: float | None, concerned: bool) -> bool:
        """Whether the event opens a further key of its incident."""
        if self._is_again(event, own):
            return False
        told = frozenset().union(*(key.nodes for key in own))
        still_open = [key for key in own if not key.resolved]
        lost = event.type in _LOSSES and event.node is not None and event.node not in told
        if lost and concerned and any(key.acknowledged for key in still_open):
            return True
        rises = event.severity is Severity.CRITICAL and all(key.severity is not Severity.CRITICAL for key in still_open)
        return wait is not None and (rises or TABLE[event.type].begins in _OF_CAPACITY)

    @staticmethod
    def _is_again(event: Event, own: list[Key]) -> bool:
        """Whether its trouble ended before in this incident, lately, or at any time where a node flaps."""
        ends = [key.troubles.get(trouble_of(event)) for key in own]
        of_flapping_node = event.flapping and is_failure(trouble_of(event))
        return of_flapping_node or any(ended is not None and (event.flapping or 0 <= event.at - ended < QUIET) for ended in ends)

    @staticmethod
    def _is_news(event: Event, own: list[Key]) -> bool:
        row = TABLE[event.type]
        if event.type is EventType.FAILOVER_STARTED:
            return all(event.node not in key.nodes for key in own)
        if row.begins is not None:
            return event.severity is not Severity.INFO and not any(key.lasts(trouble_of(event)) for key in own)
        return event.severity is not Severity.INFO

    def _ring(self, event: Event, incident: int, own: list[Key], wait: float) -> None:
        """A further key; what this pass has said so far of the incident is said by it."""
        number = own[-1].number + 1
        name = f"{incident_trouble(incident)}/{number}"
        before = [told for key in own for told in self._told.pop(key.key, [])]
        self._open(event, name, number, {}, wait)
        gravest = worst(event.severity, *(each.severity for each in before), *(key.severity for key in own))
        self._put(replace(self.keys[name], severity=gravest))
        self._told[name] = [*before, event]
        for key in own:
            if not key.resolved and key.acknowledged:
                self._put(replace(key, acknowledged=False))
                self._acknowledged.pop(key.key, None)
                self.unacknowledged.add(incident)

    def _open(self, event: Event, name: str, number: int, troubles: Mapping[str, float | None], wait: float) -> None:
        key = Key(self.destination, self.kind, name, event.severity, event.incident, number, troubles, not_before=event.at + wait)
        self._new.add(name)
        if event.incident is not None:
            self._opened[event.incident] = name
        self._put(key)
        self._tell(key, event, wait, also_on_it=True)

    def _tell(self, key: Key, event: Event, wait: float | None, *, also_on_it: bool) -> None:
        """Say it by this key; `also_on_it`: its trouble is one of the key's from now on."""
        trouble = trouble_of(event)
        if also_on_it and trouble:
            key = replace(key, troubles={**key.troubles, trouble: None})
        if key.key in self._new and rank(event.severity) > rank(key.severity):
            key = replace(key, severity=event.severity)
        if event.node is not None and event.type in _LOSSES:
            key = replace(key, nodes=key.nodes | {event.node})
        if wait is not None:
            key = replace(key, not_before=min(key.not_before, event.at + wait))
        self._put(key)
        self._told[key.key].append(event)
