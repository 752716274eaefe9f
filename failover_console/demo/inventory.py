"""The demo in the inventory: three pools, nine nodes, two destinations; all tagged, so that one click removes them again."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerts.models import Destination, Kind
from alerts.services import destinations
from failover_console.demo.layout import CHECK_PATH, HOST, MODEL_KEY, NODES, OFFSET, ROUTING_KEY, SLACK_PATH, TAG, receiver_port
from nodes import operations
from nodes.engine.enums import Guard
from nodes.models import ApiToken, BreakerPolicy, Check, FailoverPolicy, Node, Pool, Scope, Strategy

ACTOR = "demo"
CALLERS = "Demo traffic"
DESTINATIONS = ("Demo Slack", "Demo PagerDuty")
_INTERVALS = {
    "interval": 4.0,
    "fast_interval": 1.0,
    "down_interval": 2.0,
    "check_timeout": 1.5,
    "degraded_latency": 0.5,
    "failback_delay": 15.0,
}


def installed() -> bool:
    """Whether the demo is in the inventory."""
    return Node.objects.filter(tags__contains=[TAG], removed_at=None).exists()


def base_port() -> int:
    """The demo's first port, beside the console's."""
    return settings.PORT + OFFSET


@transaction.atomic
def add() -> None:
    """Add pools, nodes, checks, policies and destinations; what exists stays as it is."""
    if installed():
        return
    breaker, _ = BreakerPolicy.objects.get_or_create(name="Demo breaker", defaults={"timeout": 8.0})
    failover, _ = FailoverPolicy.objects.get_or_create(name="Demo failover", defaults=_INTERVALS)
    strategies = {"db": Strategy.ACTIVE_PASSIVE}
    pools: dict[str, Pool] = {}
    for each in NODES:
        if each.pool not in pools:
            pools[each.pool] = Pool.objects.create(
                name=each.pool,
                slug=each.pool,
                strategy=strategies.get(each.pool, Strategy.WEIGHTED),
                breaker_policy=breaker,
                failover_policy=failover,
            )
        node = Node.objects.create(
            pool=pools[each.pool], name=each.name, address=HOST, port=each.port(base_port()), weight=each.weight,
            priority=each.priority, zone=each.zone, tags=[TAG, each.pool],
        )  # fmt: skip  # what it is on one line, where it stands on the next
        headers = f"Authorization: Bearer {MODEL_KEY}" if each.pool == "models" else ""
        Check.objects.create(node=node, path=CHECK_PATH, headers=headers)
    for pool in pools.values():
        operations.configuration_saved(pool, actor=ACTOR, before={}, after={})
    _destinations()


def _destinations() -> None:
    receiver = f"http://{HOST}:{receiver_port(base_port())}"
    Destination.objects.create(name=DESTINATIONS[0], kind=Kind.SLACK, address=f"{receiver}{SLACK_PATH}")
    Destination.objects.create(name=DESTINATIONS[1], kind=Kind.PAGERDUTY, key=ROUTING_KEY, base_url=receiver)


def traffic_token() -> str:
    """A new token for the demo's callers; the one of an earlier start is deleted."""
    ApiToken.objects.filter(name=CALLERS).delete()
    token = ApiToken(name=CALLERS, scopes=[Scope.SHARES, Scope.OUTCOMES])
    issued = token.issue()
    token.save()
    return issued


def remove(actor: str = ACTOR) -> None:
    """Take the demo out; its history stays."""
    pools = Pool.objects.filter(nodes__tags__contains=[TAG], removed_at=None).distinct()
    for pool in list(pools):
        if pool.nodes.filter(removed_at=None).exclude(tags__contains=[TAG]).exists():
            for node in pool.nodes.filter(removed_at=None, tags__contains=[TAG]):
                operations.remove_node(node.pk, actor=actor, reason="demo removed", override=frozenset(Guard))
        else:
            operations.remove_pool(pool.pk, actor=actor)
    ApiToken.objects.filter(name=CALLERS).delete()
    for destination in Destination.objects.filter(name__in=DESTINATIONS, removed_at=None):
        destinations.remove(destination.pk, timezone.now())
