"""The rules and destinations in force: as values, without what this version cannot read.  Reads only."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

from alerts import rules
from alerts.models import Destination, Installation, Rule
from alerts.rules import Kind
from alerts.services.unreadable import of_destination, of_rule
from nodes.engine.enums import EventType, Severity

_KINDS = frozenset(Kind)
_SEVERITIES = frozenset(Severity)
_TYPES = frozenset(EventType)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """What decides about the events of one pass."""

    rules: tuple[rules.Rule, ...]
    kinds: dict[int, Kind]  # of every destination, also of one that gets resolves alone
    enabled: dict[int, Kind]  # of those that get what begins
    prefix: str  # of every key of this console

    def of_critical_rules(self) -> frozenset[int]:
        """The destinations, enabled or not, that some rule for critical events notifies."""
        loud = [rule for rule in self.rules if Severity.CRITICAL in rule.severities]
        return frozenset().union(*(rules.destinations_of(rule, self.kinds) for rule in loud))

    def of_any_rule(self) -> frozenset[int]:
        """The enabled destinations that some rule notifies."""
        return frozenset().union(*(rules.destinations_of(rule, self.enabled) for rule in self.rules))


def load() -> InForce:
    """As they are now."""
    every = list(Destination.objects.filter(removed_at=None))
    enabled_rules = list(Rule.objects.filter(enabled=True).prefetch_related("destinations"))
    for trouble in (*map(of_destination, every), *map(of_rule, enabled_rules)):
        _say(trouble)
    kinds = {each.pk: Kind(each.kind) for each in every if each.kind in _KINDS}
    return InForce(
        rules=tuple(_rule(row) for row in enabled_rules if _matches_something(row)),
        kinds=kinds,
        enabled={each.pk: kinds[each.pk] for each in every if each.enabled and each.leaving_at is None and each.pk in kinds},
        prefix=Installation.prefix(),
    )


@lru_cache(maxsize=256)
def _say(trouble: str) -> None:
    """Log what cannot be read, once a process; the page of the destinations shows it as well."""
    if trouble:
        _log.error("%s", trouble)


def _matches_something(row: Rule) -> bool:
    """A rule of nothing but unknown severities or types matches nothing, it does not match everything."""
    return bool(_SEVERITIES & set(row.severities)) and (not row.event_types or bool(_TYPES & set(row.event_types)))


def _rule(row: Rule) -> rules.Rule:
    """The stored rule; severities, types and a kind that this version does not know are left out."""
    return rules.Rule(
        severities=frozenset(Severity(each) for each in row.severities if each in _SEVERITIES),
        types=frozenset(EventType(each) for each in row.event_types if each in _TYPES),
        pool=row.pool_id,
        tag=row.tag,
        destinations=frozenset(each.pk for each in row.destinations.all()),
        kind=Kind(row.destination_kind) if row.destination_kind in _KINDS else None,
        wait=float(row.wait),
    )
