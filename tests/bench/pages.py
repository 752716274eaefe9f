"""What each page costs over a long history: seconds to the first byte over HTTP, queries, and kilobytes as they travel.

1 000 nodes in 200 pools, a million events, ten million results, a year of roll-ups (`history.seed`).  Seconds are of the running
web process, asked one page after the other while all nodes are checked; queries are counted in this process by Django's own client.
"""

from __future__ import annotations

import http.client
import re
import sys
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from history import Size, seed
from rig import Target, conclude, console, healthy_ports, parser, percentile

WITHIN, METRICS_WITHIN, QUERIES = 0.3, 0.3, 8
COMPRESSED = {"dashboard": 60, "incident": 100}  # KB
REPORTS = ("reports",)


def places() -> dict[str, str]:
    """Name and address of each page that is measured."""
    from nodes.models import Event, Failover, Incident, Node, Pool

    pool, node = Pool.objects.earliest("pk"), Node.objects.earliest("pk")
    incident, decision, event = (model._default_manager.order_by("-pk").first() for model in (Incident, Failover, Event))
    found = {
        "dashboard": "/", "dashboard rows": "/?show=rows", "dashboard search": "/?q=pool-1", "pool": f"/pools/{pool.slug}/",
        "pool year": f"/pools/{pool.slug}/?range=1y", "node": f"/nodes/{node.pk}/", "node year": f"/nodes/{node.pk}/?range=1y",
        "card": f"/nodes/{node.pk}/card/", "incidents": "/incidents/", "events": "/events/",
        "events search": "/events/?text=failed", "events rare": "/events/?text=quixotic",
        "goto": "/goto/?q=node-9", "alerts": "/alerts/",
        "destinations": "/alerts/destinations/", "reports": "/reports/", "admin": "/admin/",
        "admin nodes": "/admin/nodes/node/",
    }  # fmt: skip  # name beside address
    for name, row in (("incident", incident), ("decision", decision), ("event", event)):
        if row is not None:
            found[name] = f"/events/{row.pk}/" if name == "event" else row.get_absolute_url()
    return found


def cookie_of_an_admin() -> str:
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(get_user_model().objects.get(is_superuser=True))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def asked(address: str, path: str, headers: dict[str, str]) -> tuple[float, int, int]:
    """Seconds to the first byte, the status, and the bytes that travelled."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.connect()
    began = time.monotonic()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    took = time.monotonic() - began
    size = len(answer.read())
    connection.close()
    return took, answer.status, size


def queries(path: str, user: Any) -> int:
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(user)
    assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as found:
        client.get(path)
    return len([each for each in found.captured_queries if not re.match(r"SAVEPOINT|RELEASE|BEGIN|COMMIT", each["sql"])])


def metrics(address: str, rounds: int) -> float:
    from nodes.models import ApiToken

    issued = ApiToken(name="bench", scopes=["metrics"])
    headers = {"Authorization": f"Bearer {issued.issue()}", "Accept-Encoding": "gzip"}
    issued.save()
    return percentile([asked(address, "/metrics", headers)[0] for _ in range(rounds)], 0.95)


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--scale", type=float, default=1.0, help="a part of the whole history, for a quick look")
    given = arguments.parse_args()
    part = given.scale
    size = Size(
        nodes=int(1000 * part) or 5,
        pools=int(200 * part) or 1,
        events=int(1_000_000 * part),
        results=int(10_000_000 * part),
        changes=int(100_000 * part),
    )
    figures: dict[str, float] = {}
    targets = []
    with healthy_ports() as ports, console() as address:
        from django.contrib.auth import get_user_model
        from django.utils import timezone

        began = time.monotonic()
        seed(timezone.now(), replace(size, ports=ports))
        print(f"a history of a year, made in {time.monotonic() - began:.0f} s")
        user = get_user_model().objects.get(is_superuser=True)
        headers = {"Cookie": cookie_of_an_admin(), "Accept-Encoding": "gzip"}
        print(f"{'page':<18}{'p50':>8}{'p95':>8}{'queries':>9}{'KB':>8}")
        for name, path in places().items():
            asked(address, path, headers)
            found = [asked(address, path, headers) for _ in range(given.rounds)]
            assert {status for _, status, _ in found} == {200}, (name, path, found[0])
            seconds, count, kilobytes = [took for took, _, _ in found], queries(path, user), found[-1][2] / 1024
            key = name.replace(" ", "_")
            figures |= {
                f"{key}_p95": round(percentile(seconds, 0.95), 3),
                f"{key}_queries": count,
                f"{key}_kb": round(kilobytes, 1),
            }
            print(
                f"{name:<18}{percentile(seconds, 0.5):>8.3f}{percentile(seconds, 0.95):>8.3f}{count:>9}{kilobytes:>8.1f}",
                flush=True,
            )
            if name not in REPORTS:
                targets += [Target(f"{key}_p95", WITHIN), Target(f"{key}_queries", QUERIES)]
            if name in COMPRESSED:
                targets.append(Target(f"{key}_kb", COMPRESSED[name]))
        figures["metrics_p95"] = round(metrics(address, given.rounds), 3)
        targets.append(Target("metrics_p95", METRICS_WITHIN))
        print(f"{'/metrics':<18}{'':>8}{figures['metrics_p95']:>8.3f}")
    conclude(figures, targets, check=given.check)


if __name__ == "__main__":
    sys.exit(main())
