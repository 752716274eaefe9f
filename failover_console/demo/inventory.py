"""The demo in the inventory: three pools, nine nodes, two destinations; all tagged, so that one click removes them again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from alerts.models import Destination, Kind
from alerts.services import destinations
from failover_console.demo.identity import PREFIX, identity
from failover_console.demo.layout import CHECK_PATH, HOST, MODEL_KEY, NODES, ROUTING_KEY, SLACK_PATH, TAG
from failover_console.demo.ports import RECEIVER, choose
from nodes import operations
from nodes.access_changes import account_changed
from nodes.engine.enums import Guard
from nodes.models import ApiToken, BreakerPolicy, Check, FailoverPolicy, Node, Pool, Scope, Strategy
from nodes.models.encrypted import EncryptedTextUnreadableError

ACTOR = "demo"
_LOCK = 0x0DE31  # advisory lock of the transaction that adds the demo
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
    return _nodes().exists()


def ports() -> dict[str, int]:
    """Name of a node -> the port that the inventory has for it."""
    return dict(_nodes().filter(address=HOST).values_list("name", "port"))


def leads_to(ours: Mapping[str, int]) -> bool:
    """Whether a node of the demo is at one of these ports."""
    return _nodes().filter(address=HOST, port__in=ours.values()).exists()


def _nodes() -> QuerySet[Node]:
    return Node.objects.filter(tags__contains=[TAG], removed_at=None)


@transaction.atomic
def add() -> None:
    """Add pools, nodes, checks, policies and destinations; what exists stays as it is.

    Locks: one console at a time adds it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    if installed():
        return
    chosen = choose(settings.DATA_DIR)
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
            pool=pools[each.pool], name=each.name, address=HOST, port=chosen[each.name], weight=each.weight,
            priority=each.priority, zone=each.zone, tags=[TAG, each.pool],
        )  # fmt: skip  # what it is on one line, where it stands on the next
        headers = f"Authorization: Bearer {MODEL_KEY}" if each.pool == "models" else ""
        Check.objects.create(node=node, path=CHECK_PATH, headers=headers, body_contains=identity())
    for pool in pools.values():
        operations.configuration_saved(pool, actor=ACTOR, before={}, after={})
    _add_destinations(_address(chosen[RECEIVER]))


def _address(port: int) -> str:
    return f"http://{HOST}:{port}"


def _add_destinations(receiver: str) -> None:
    Destination.objects.create(name=DESTINATIONS[0], kind=Kind.SLACK, address=f"{receiver}{SLACK_PATH}")
    Destination.objects.create(name=DESTINATIONS[1], kind=Kind.PAGERDUTY, key=ROUTING_KEY, base_url=receiver)


def lead_to(taken: Mapping[str, int]) -> None:
    """Let nodes, checks and destinations of the demo lead to these ports; what a person pointed elsewhere stays.

    A transaction for each, so that no two pools are locked together.
    """
    for node in _nodes().filter(address=HOST, name__in=taken):
        if node.port != taken[node.name]:
            former, node.port = node.port, taken[node.name]
            _save(node, "port", str(former), str(node.port))
    ours = Check.objects.filter(node__in=_nodes().filter(address=HOST), path=CHECK_PATH).select_related("node")
    for check in ours.exclude(body_contains=identity()):
        if not check.body_contains or check.body_contains.startswith(PREFIX):
            before, check.body_contains = check.body_contains, identity()
            _save(check, "body_contains", before, check.body_contains)
    _lead_destinations_to(_address(taken[RECEIVER]))


def _lead_destinations_to(receiver: str) -> None:
    loopback = f"http://{HOST}:"
    for kind, field, wanted in ((Kind.SLACK, "address", f"{receiver}{SLACK_PATH}"), (Kind.PAGERDUTY, "base_url", receiver)):
        for destination in Destination.objects.filter(name__in=DESTINATIONS, kind=kind, removed_at=None):
            with contextlib.suppress(EncryptedTextUnreadableError):  # its page says so
                present = getattr(destination, field)
                if present.startswith(loopback) and present != wanted:
                    setattr(destination, field, wanted)
                    _save(destination, field, "", "changed")


@transaction.atomic
def _save(changed: Node | Check | Destination, field: str, before: str, after: str) -> None:
    changed.save(update_fields=[field])
    if isinstance(changed, Destination):
        destinations.on_endpoint_changed(changed.pk, timezone.now())
    operations.configuration_saved(changed, actor=ACTOR, before={field: before} if before else {}, after={field: after})


@transaction.atomic
def traffic_token() -> str:
    """A new token for the demo's callers; the one of an earlier start is deleted."""
    _delete_traffic_token(ACTOR)
    token = ApiToken(name=CALLERS, scopes=[Scope.SHARES, Scope.OUTCOMES])
    issued = token.issue()
    token.save()
    account_changed(f"{ACTOR} made the API token {CALLERS}", actor=ACTOR)
    return issued


def _delete_traffic_token(actor: str) -> None:
    if ApiToken.objects.filter(name=CALLERS).delete()[0]:
        account_changed(f"{actor} deleted the API token {CALLERS}", actor=actor)


def inventory_of() -> tuple[list[str], list[str]]:
    """The names of the demo's nodes, and of the pools that they are in."""
    nodes = _nodes().order_by("pool_id", "pk")
    return list(nodes.values_list("name", flat=True)), sorted(set(nodes.values_list("pool__name", flat=True)))


def remove(actor: str = ACTOR) -> None:
    """Take the demo out; its history stays."""
    pools = Pool.objects.filter(nodes__tags__contains=[TAG], removed_at=None).distinct()
    for pool in list(pools):
        if pool.nodes.filter(removed_at=None).exclude(tags__contains=[TAG]).exists():
            for node in pool.nodes.filter(removed_at=None, tags__contains=[TAG]):
                operations.remove_node(node.pk, actor=actor, reason="demo removed", override=frozenset(Guard))
        else:
            operations.remove_pool(pool.pk, actor=actor)
    with transaction.atomic():
        _delete_traffic_token(actor)
    for destination in Destination.objects.filter(name__in=DESTINATIONS, removed_at=None):
        destinations.leave(destination.pk, timezone.now(), actor=actor, although_only=True)
