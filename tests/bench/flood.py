"""What a flood of hostile clients costs those who mean well: one kind of flood after the other, beside the running console.

200 niced clients, or 2 500 of those that hold something, against one web process; meanwhile four nodes push once a second, and
shares and `/healthz` are asked ten times a second.  Of what was answered 200: seconds, p99.  No node may change its state, and the
web process may not grow.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from attacks import KINDS, answer
from rig import Target, conclude, console, declare, healthy_ports, parser, percentile

CLIENTS, HOLDERS = 200, 2_500
HOLD = ("polls", "half_heads")
ASK_EVERY, PUSH_EVERY = 0.1, 1.0  # s
PATIENCE = 10.0  # s that a client that means well waits
WITHIN = 0.5  # s, p99
GROWTH = 200  # MB
CHANGES = "^(node_(marked|degraded|stale)|breaker_|failover_|pool_|checker_|checks_)"  # events that floods must not cause


def prepared(ports: tuple[int, ...]) -> tuple[list[str], str, str]:
    """Addresses of pushes, a token of who means well, and a stolen one; of a pool with four push nodes and one with HTTP nodes."""
    from nodes import operations
    from nodes.models import ApiToken, Check, Node, Scope

    declare("flood", [(f"web-{number}", port, "/") for number, port in enumerate(ports)])
    pool = declare("pushed", [], interval=2, check_timeout=1)
    addresses = []
    for number in range(4):
        node = Node.objects.create(pool=pool, name=f"push-{number}", address="127.0.0.1", port=1)
        check = Check(node=node, kind="push", grace=3)
        addresses.append(f"/push/{node.pk}/{check.new_push_secret()}/")
        check.save()
    operations.configuration_saved(pool, actor="bench", before={}, after={})
    tokens = [ApiToken(name=name, scopes=[Scope.SHARES, Scope.OUTCOMES]) for name in ("well-meaning", "stolen")]
    mine, stolen = (token.issue() for token in tokens)
    ApiToken.objects.bulk_create(tokens)
    return addresses, mine, stolen


class WellMeaning:
    """Clients that ask at their own pace, each request on a connection of its own, and note what became of it."""

    def __init__(self, host: str, pushes: list[str], token: str) -> None:
        self.host, self.token = host, token
        self.took: dict[str, list[float]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        bearer = f"Authorization: Bearer {token}\r\n"
        self._loops = [
            *(self._ask("push", f"POST {path} HTTP/1.1\r\nContent-Length: 0\r\n", PUSH_EVERY) for path in pushes),
            self._ask("shares", f"GET /api/v1/pools/flood/shares HTTP/1.1\r\n{bearer}", ASK_EVERY),
            self._ask("healthz", "GET /healthz HTTP/1.1\r\n", ASK_EVERY),
        ]

    async def until_cancelled(self) -> None:
        await asyncio.gather(*self._loops)

    async def _ask(self, name: str, request: str, every: float) -> None:
        due = time.monotonic()
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE):
                    status = await self._status(request)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self.refused[f"{name}: {type(error).__name__}"] += 1
            else:
                if status == 200:
                    self.took[name].append(time.monotonic() - began)
                else:
                    self.refused[f"{name}: {status}"] += 1
            due = max(due + every, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _status(self, request: str) -> int:
        where = urlsplit(self.host)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(f"{request}Host: {where.netloc}\r\n\r\n".encode())
            return await answer(reader)
        finally:
            writer.close()


async def flooded(kind: str, address: str, pushes: list[str], tokens: tuple[str, str], seconds: float) -> tuple[WellMeaning, str]:
    """One flood; who means well, and what the hostile clients were answered."""
    clients = HOLDERS if kind in HOLD else CLIENTS
    line = [
        sys.executable,
        str(Path(__file__).with_name("attacks.py")),
        kind,
        urlsplit(address).netloc,
        str(seconds),
        str(clients),
        tokens[1],
    ]
    good = WellMeaning(address, pushes, tokens[0])
    asking = asyncio.create_task(good.until_cancelled())
    hostile = await asyncio.create_subprocess_exec(*line, stdout=subprocess.PIPE)
    said, _ = await hostile.communicate()
    asking.cancel()
    return good, said.decode().strip()


def web_process(port: int) -> psutil.Process:
    """The process that listens there."""
    return next(
        psutil.Process(each.pid)
        for each in psutil.net_connections("tcp4")
        if each.status == "LISTEN" and each.laddr[1] == port and each.pid
    )


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seconds", type=float, default=20.0, help="of each flood")
    options.add_argument("--only", choices=KINDS, nargs="*", default=KINDS)
    given = options.parse_args()
    with healthy_ports(2) as ports, console(TOKEN_RATE_SHARES="50", TOKEN_RATE_METRICS="5") as address:
        from nodes.models import Event

        pushes, *tokens = prepared(ports)
        web = web_process(urlsplit(address).port or 0)
        asyncio.run(settled(address, pushes, tokens[0]))
        size, figures = web.memory_info().rss, {}
        known = Event.objects.latest("pk").pk
        for kind in given.only:
            good, said = asyncio.run(flooded(kind, address, pushes, (tokens[0], tokens[1]), given.seconds))
            slow = {name: round(percentile(took, 0.99), 3) for name, took in sorted(good.took.items())}
            print(
                f"{kind:15} p99 {slow}, asked {sum(map(len, good.took.values()))}, not taken {dict(good.refused)}, "
                f"{web.memory_info().rss / 2**20:.0f} MB; hostile: {said}",
                flush=True,
            )
            for name, value in slow.items():
                figures[name] = max(value, figures.get(name, 0.0))
        changes = list(Event.objects.filter(pk__gt=known, type__regex=CHANGES).order_by("pk"))
        figures |= {"changes": len(changes), "grown_mb": round((web.memory_info().rss - size) / 2**20)}
        for each in changes:
            print(f"{each.at:%H:%M:%S} {each.type} {each.message}")
    targets = [*(Target(name, WITHIN) for name in ("push", "shares", "healthz")), Target("changes", 0), Target("grown_mb", GROWTH)]
    conclude(figures, targets, check=given.check)


async def settled(address: str, pushes: list[str], token: str) -> None:
    """Fifteen seconds without a flood: all nodes are known to be well."""
    asking = asyncio.create_task(WellMeaning(address, pushes, token).until_cancelled())
    await asyncio.sleep(15)
    asking.cancel()


if __name__ == "__main__":
    main()
