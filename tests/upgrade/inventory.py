"""What the operators of the dumped console declared: people, tokens, policies, pools, nodes, checks, destinations and rules."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User

from alerts.models import Destination, Rule
from nodes import operations
from nodes.models import ApiToken, BreakerPolicy, Check, FailoverPolicy, Node, Pool

ADMIN = "ada"
ROUTING_KEY = "R0UT1NGKEY0FTHEUPGRADETEST000001"
SLACK_URL = "https://slack.example/services/T000/B000/upgradetest0001"
OLD_ROOM_URL = "https://slack.example/services/T000/B000/oldroom00000001"
WEBHOOK_URL = "https://audit.example/hooks/upgradetest0001"
SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEADER = "Authorization: Bearer upgrade-test-model-key"

_POOLS: dict[str, dict[str, Any]] = {
    "web": {"failover": "web", "runbook": "https://runbooks.example/web"},
    "db": {"failover": "db", "strategy": "active_passive"},
    "models": {"breaker": "calls"},
    "search": {"breaker": "seconds"},
    "edge": {},
    "batch": {},
    "mail": {},
    "old": {},
}
_NODES: dict[str, dict[str, Any]] = {
    "web-1": {"capacity": 100.0, "tags": ["front", "eu"], "zone": "eu-1"},
    "web-2": {"capacity": 100.0, "tags": ["front", "eu"], "zone": "eu-2"},
    "web-3": {"weight": 50, "zone": "us-1"},
    "web-4": {"weight": 200},
    "web-5": {},
    "db-1": {"priority": 1},
    "db-2": {"priority": 2},
    "db-3": {"priority": 2, "weight": 0},
    "models-1": {"tags": ["gpu"]},
    "models-2": {"tags": ["gpu"]},
    "models-3": {"tags": ["gpu"]},
    "models-4": {},
    "models-5": {},
    "search-1": {},
    "search-2": {},
    "edge-1": {"interval": 20.0, "fast_interval": 3.0, "down_interval": 15.0, "check_timeout": 2.5},
    "edge-2": {"failure_threshold": 4, "recovery_threshold": 3, "degraded_latency": 0.4},
    "edge-3": {},
    "edge-4": {},
    "edge-5": {},
    "batch-1": {"capacity": 40.0},
    "batch-2": {"capacity": 40.0},
    "batch-3": {"capacity": 40.0},
    "mail-1": {},
    "mail-2": {"weight": 300},
    "old-1": {},
    "old-2": {},
}
_CHECKS: dict[str, tuple[dict[str, Any], ...]] = {
    "db-1": ({"kind": "tcp", "port": 5432},),
    "db-2": ({"kind": "tcp", "port": 5432},),
    "edge-1": ({"kind": "tls", "server_name": "edge.example", "certificate_days": 30},),
    "edge-2": ({"kind": "push", "grace": 7.5},),
    "edge-3": (
        {"kind": "composite", "quorum": "majority"},
        {"path": "/ready", "expected_status": "200-299,301", "body_contains": "ok", "follow_redirects": True},
        {"kind": "tcp", "port": 8443},
        {"kind": "tls", "verify_tls": False},
    ),
    "models-1": ({"method": "POST", "use_tls": True, "path": "/v1/ping", "headers": HEADER, "body": '{"ping": 1}'},),
}


def declare() -> None:
    """Write all of it, as the admin does."""
    _people()
    _policies()
    for name, given in _POOLS.items():
        _pool(name, dict(given))
    Check.objects.filter(kind="push").update(push_digest=Check(kind="push").new_push_secret())
    _alerts()


def _people() -> None:
    User.objects.create_superuser(ADMIN, "ada@people.example", "upgrade-test-password")
    for name, group in (("vic", "viewer"), ("olga", "operator"), ("alma", "admin")):
        User.objects.create_user(name, password="upgrade-test-password", is_staff=group == "admin").groups.add(
            Group.objects.get(name=group)
        )
    for name, scopes in (("balancer", ["shares"]), ("callers", ["shares", "outcomes"]), ("prometheus", ["metrics"])):
        token = ApiToken(name=name, scopes=scopes, created_by=User.objects.get(username=ADMIN))
        token.issue()
        token.save()


def _policies() -> None:
    breakers: dict[str, dict[str, Any]] = {
        "plain": {},
        "calls": {"window_calls": 20, "failure_rate": 0.5, "slow_call_rate": 0.8, "slow_call_duration": 1.5, "timeout": 60.0},
        "seconds": {"window_seconds": 60.0, "failure_rate": 0.4, "minimum_calls": 5, "jitter": 0.2, "timeout_multiplier": 2.0},
    }
    failovers: dict[str, dict[str, Any]] = {
        "plain": {},
        "web": {"slow_start": 600.0, "cooldown": 30.0, "panic_threshold": 0.2, "max_failed_percent": 60},
        "db": {"failback": "manual", "failback_delay": 20.0, "auto_rebalance": False},
    }
    for name, given in breakers.items():
        BreakerPolicy.objects.create(name=name, **given)
    for name, given in failovers.items():
        FailoverPolicy.objects.create(name=name, **given)


def _pool(name: str, given: dict[str, Any]) -> None:
    breaker = BreakerPolicy.objects.get(name=given.pop("breaker", "plain"))
    failover = FailoverPolicy.objects.get(name=given.pop("failover", "plain"))
    pool = Pool.objects.create(name=name, slug=name, breaker_policy=breaker, failover_policy=failover, **given)
    for each, fields in _NODES.items():
        if each.rpartition("-")[0] == name:
            node = Node.objects.create(pool=pool, name=each, address=f"{each}.nodes.example", **fields)
            for check in _CHECKS.get(each, ({"path": "/health"},)):
                Check.objects.create(node=node, **check)
    operations.configuration_saved(pool, actor=ADMIN, before={}, after={"name": name})


def _alerts() -> None:
    Destination.objects.create(name="ops room", kind="slack", address=SLACK_URL)
    Destination.objects.create(name="old room", kind="slack", address=OLD_ROOM_URL)
    Destination.objects.create(name="on call", kind="pagerduty", key=ROUTING_KEY)
    audit = Destination.objects.create(name="audit", kind="webhook", address=WEBHOOK_URL, key=SIGNING_SECRET)
    Destination.objects.create(name="former", kind="webhook", address=WEBHOOK_URL, key=SIGNING_SECRET)
    both = ["warning", "critical"]
    every = Rule.objects.create(name="Everything to the audit", order=30, severities=both)
    every.destinations.add(audit)
    pages = Rule.objects.create(
        name="Console troubles to whoever is on call", order=35, severities=both,
        event_types=["high_load", "low_capacity", "checker_isolated", "checks_late"], destination_kind="pagerduty",
    )  # fmt: skip  # what it selects on a line of its own
    assert pages.pk
    Rule.objects.create(
        name="Breakers of the models", order=40, severities=["warning"], tag="gpu", pool=Pool.objects.get(name="models"),
        event_types=["breaker_opened", "breaker_reopened", "failover_refused"], destination_kind="slack",
    )  # fmt: skip  # as above
    Rule.objects.create(name="Switched off", order=90, enabled=False, severities=["critical"], destination_kind="webhook")
