"""What the demo is made of: pools and nodes, paths and keys."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "127.0.0.1"
TAG = "demo"
CALLED_POOL = "models"  # the pool that callers of the demo use
CALLS_PATH = "/v1/answers"
CHECK_PATH = "/healthz"
MODEL_KEY = "demo-model-key"
ROUTING_KEY = "d3m0" * 8  # 32 characters, as PagerDuty's are
SLACK_PATH = "/services/T0DEM0/B0DEM0/demo0secret0demo0secret0"
WEBHOOK_SECRET = "whsec_ZGVtby1zZWNyZXQtZm9yLXRoZS1yZWNlaXZlciE="  # noqa: S105 - the demo's own, printed on its page


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One server of the demo."""

    pool: str
    name: str
    weight: int = 100
    priority: int = 1
    zone: str = ""


NODES = (
    DemoNode("api", "api-1", weight=400, zone="north"),
    DemoNode("api", "api-2", weight=300, zone="north"),
    DemoNode("api", "api-3", weight=200, zone="south"),
    DemoNode("api", "api-4", weight=100, zone="south"),
    DemoNode("db", "db-primary", priority=1, zone="north"),
    DemoNode("db", "db-standby", priority=2, zone="south"),
    DemoNode("models", "model-a", zone="north"),
    DemoNode("models", "model-b", zone="south"),
    DemoNode("models", "model-c", zone="south"),
)
