"""What the demo is made of: pools, nodes and their ports, counted from the console's own port so that two copies do not meet."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "127.0.0.1"
OFFSET = 100  # from the console's port to the demo's first
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
    number: int  # of the demo's ports
    weight: int = 100
    priority: int = 1
    zone: str = ""

    def port(self, base: int) -> int:
        return base + self.number


NODES = (
    DemoNode("api", "api-1", 11, weight=400, zone="north"),
    DemoNode("api", "api-2", 12, weight=300, zone="north"),
    DemoNode("api", "api-3", 13, weight=200, zone="south"),
    DemoNode("api", "api-4", 14, weight=100, zone="south"),
    DemoNode("db", "db-primary", 21, priority=1, zone="north"),
    DemoNode("db", "db-standby", 22, priority=2, zone="south"),
    DemoNode("models", "model-a", 31, zone="north"),
    DemoNode("models", "model-b", 32, zone="south"),
    DemoNode("models", "model-c", 33, zone="south"),
)


def switches_port(base: int) -> int:
    """Where the page of switches is served."""
    return base


def receiver_port(base: int) -> int:
    """Where the receiver of alerts listens."""
    return base + 1
