"""Reports of calls: how many one web process takes on one core with its database beside it, and how soon they are answered.

The web process and PostgreSQL share the first core (where a machine has two); a niced client in a process of its own sends reports
of 20 calls, each with an `Idempotency-Key`, over connections that stay open.  First as many in a second as are to be taken, evenly
(seconds to the answer are counted from when the client wanted to send a report, also while it waited for a connection to be free),
then as many as it can.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from rig import Target, conclude, console, declare, parser, percentile

RATE, CALLS = 500, 20  # reports a second, calls of each
POOLS, NODES = 5, 4
TARGETS = [
    Target("taken_per_second", 0.98 * RATE, at_least=True),
    Target("answer_p95", 0.25),
    Target("not_taken", 0),
    Target("lost_or_double", 0),
    Target("alone_p50", 0.05),
    Target("cpu_ms_per_report", 1000 / RATE),
]


class Client:
    """Sends reports over so many connections, and remembers how each ended."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._number = 0
        self.took: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def paced(self, seconds: float, rate: float, connections: int) -> None:
        """So many a second, each at its own instant."""
        due: asyncio.Queue[float] = asyncio.Queue()
        workers = [asyncio.create_task(self._work(due)) for _ in range(connections)]
        began = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            due.put_nowait(time.monotonic())
        for _ in workers:
            due.put_nowait(-1.0)
        await asyncio.gather(*workers)

    async def flat_out(self, seconds: float, connections: int) -> None:
        """One report after the other on each connection."""
        end = time.monotonic() + seconds

        async def send() -> None:
            reader, writer = await asyncio.open_connection(self._given["host"], self._given["port"])
            while time.monotonic() < end:
                await self._report(reader, writer, time.monotonic())
            writer.close()

        await asyncio.gather(*(send() for _ in range(connections)))

    async def _work(self, due: asyncio.Queue[float]) -> None:
        reader, writer = await asyncio.open_connection(self._given["host"], self._given["port"])
        while (at := await due.get()) >= 0:
            await self._report(reader, writer, at)
        writer.close()

    async def _report(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at: float) -> None:
        self._number += 1
        nodes = self._given["nodes"]
        node, key = nodes[self._number % len(nodes)], f"{os.getpid()}-{self._number}"
        body = json.dumps({"outcomes": [{"success": CALLS - 1, "failure": 1, "at": time.time()}]})
        lines = (
            f"POST /api/v1/nodes/{node}/outcomes HTTP/1.1", f"Host: {self._given['host']}", f"Idempotency-Key: {key}",
            f"Authorization: {self._given['bearer']}", "Content-Type: application/json", f"Content-Length: {len(body)}", "", body,
        )  # fmt: skip  # one request
        writer.write("\r\n".join(lines).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        self.statuses[int(head.split(b" ", 2)[1])] += 1
        self.took.append(time.monotonic() - at)


async def client(given: dict[str, Any]) -> dict[str, Any]:
    made = Client(given)
    began = time.monotonic()
    if given["rate"]:
        await made.paced(given["seconds"], given["rate"], given["connections"])
    else:
        await made.flat_out(given["seconds"], given["connections"])
    return {"took": made.took, "statuses": made.statuses, "seconds": time.monotonic() - began}


def sent(**given: Any) -> dict[str, Any]:
    """What a client process came to, on the other core if there is one."""
    line = [sys.executable, str(Path(__file__)), "--client", json.dumps(given)]
    process = subprocess.Popen(["nice", "-n", "5", *line], stdout=subprocess.PIPE, text=True)
    if (os.cpu_count() or 1) > 1:
        psutil.Process(process.pid).cpu_affinity(list(range(1, os.cpu_count() or 1)))
    found: dict[str, Any] = json.loads(process.communicate()[0])
    return found


def measured() -> dict[str, psutil.Process]:
    """The web process and PostgreSQL's first, each with its children moved to the first core."""
    from django.conf import settings

    mine = psutil.Process().children(recursive=True)
    found = {"web": next(each for each in mine if any("uvicorn" in word for word in each.cmdline()))}
    served = (each for each in psutil.process_iter(["name"]) if each.info["name"] == "postgres")
    found["database"] = next(each for each in served if any(str(settings.DATA_DIR) in word for word in each.cmdline()))
    for root in found.values():
        for each in (root, *root.children(recursive=True)):
            for thread in each.threads():
                psutil.Process(thread.id).cpu_affinity([0])
    return found


def cpu(process: psutil.Process) -> float:
    """Seconds of a process, of its children and of those that ended."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            used = each.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def counted() -> int:
    from django.db.models import Sum

    from nodes.models import NodeState

    found = NodeState.objects.aggregate(done=Sum("breaker_successful") + Sum("breaker_failed"))
    return int(found["done"] or 0)


def late() -> int:
    from django.db.models import Sum

    from nodes.models import NodeState

    return int(NodeState.objects.aggregate(done=Sum("breaker_late"))["done"] or 0)


def prepared() -> tuple[str, list[int]]:
    from nodes.models import ApiToken, Node, NodeState

    for pool in range(POOLS):
        declare(f"pool-{pool}", [(f"node-{pool}-{number}", 9, "/") for number in range(NODES)], interval=3600)
    NodeState.objects.update(admin_state="disabled", health="healthy")
    issued = ApiToken(name="bench", scopes=["outcomes"])
    bearer = f"Bearer {issued.issue()}"
    issued.save()
    return bearer, list(Node.objects.values_list("pk", flat=True))


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--seconds", type=float, default=20.0)
    arguments.add_argument("--client", help="used by the bench itself")
    given = arguments.parse_args()
    if given.client:
        print(json.dumps(asyncio.run(client(json.loads(given.client)))))
        return
    figures: dict[str, float] = {}
    with console() as address:
        bearer, nodes = prepared()
        place = urlsplit(address)
        to = {"host": place.hostname, "port": place.port, "bearer": bearer, "nodes": nodes}
        sent(**to, rate=20, seconds=3.0, connections=4)
        alone = sent(**to, rate=2, seconds=5.0, connections=1)
        figures["alone_p50"] = round(percentile(alone["took"], 0.5), 4)
        processes = measured()
        for name, rate, connections in (("even", RATE, 100), ("flat_out", 0, 100)):
            before, calls = {kind: cpu(each) for kind, each in processes.items()}, counted() + late()
            found = sent(**to, rate=rate, seconds=given.seconds, connections=connections)
            taken = found["statuses"].get("202", 0)
            used = {kind: cpu(each) - before[kind] for kind, each in processes.items()}
            per_second = taken / found["seconds"]
            parts = {part: percentile(found["took"], share) for part, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
            said = "  ".join(f"{part} {took * 1000:.0f} ms" for part, took in parts.items())
            print(f"{name}: {per_second:.0f} reports/s  {said}", flush=True)
            for kind, seconds in used.items():
                print(f"  {kind}: {seconds / found['seconds']:.0%} of a core, {seconds / max(1, taken) * 1000:.2f} ms a report")
            if name == "even":
                figures |= {
                    "taken_per_second": round(per_second, 1),
                    **{f"answer_{part}": round(took, 4) for part, took in parts.items()},
                    "not_taken": sum(found["statuses"].values()) - taken,
                    "lost_or_double": abs(counted() + late() - calls - taken * CALLS),
                    "cpu_ms_per_report": round(sum(used.values()) / max(1, taken) * 1000, 3),
                    **{f"cpu_{kind}": round(seconds / found["seconds"], 3) for kind, seconds in used.items()},
                }
            else:
                figures |= {"flat_out_per_second": round(per_second, 1), "flat_out_p95": round(parts["p95"], 4)}
    missed = [target.name for target in TARGETS if not target.met(figures[target.name])]
    print(f"MISSED: {', '.join(missed)}" if missed else "all targets met")
    conclude(figures, TARGETS, check=given.check)


if __name__ == "__main__":
    sys.exit(main())
