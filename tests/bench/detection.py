"""From the death of a node to its share moved, against what the README promises.

For each interval and each way to die (its port refuses; it hangs) a pool of three nodes is declared, one node dies at a
random moment between two checks, and the time until the new shares can be read is measured, over several trials.

promise (seconds, at the worst)
  refusing   interval + (failure_threshold - 1) × fast_interval + 0.5
  hanging    interval + failure_threshold × max(fast_interval, check_timeout) + 0.5

figures: detection_<refusing|hanging>_<interval>_worst_s and _median_s
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Coroutine
from statistics import median
from typing import Any, TypeVar

from rig import Target, conclude, console, declare, free_port, parser, until

THRESHOLD = 3  # failing checks, the default

_T = TypeVar("_T")


class Mortal:
    """A server on a port of its own that can refuse or hang, in the loop of a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.port = free_port()
        self._loop = loop
        self._hangs = False
        self._server: asyncio.Server | None = None

    def _run(self, act: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(5)

    def live(self) -> None:
        self._hangs = False
        if self._server is None:
            self._server = self._run(asyncio.start_server(self._answer, "127.0.0.1", self.port))

    def die(self, way: str) -> None:
        if way == "hanging":
            self._hangs = True
        elif self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)
            self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self._hangs:
            await asyncio.sleep(30)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()


def promise(interval: float, way: str) -> float:
    """The worst case in seconds, with the default policy."""
    fast, timeout = min(interval, 2.0), min(5.0, interval / 2)
    if way == "refusing":
        return interval + (THRESHOLD - 1) * fast + 0.5
    return interval + THRESHOLD * max(fast, timeout) + 0.5


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--trials", type=int, default=3, help="per interval and way to die")
    arguments.add_argument("--intervals", type=float, nargs="+", default=[1.0, 10.0], help="seconds")
    given = arguments.parse_args()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    figures: dict[str, float] = {}
    targets: list[Target] = []
    with console():
        for interval in given.intervals:
            for way in ("refusing", "hanging"):
                took = [_trial(loop, interval, way, number) for number in range(given.trials)]
                name = f"detection_{way}_{interval:g}"
                figures |= {f"{name}_worst_s": round(max(took), 3), f"{name}_median_s": round(median(took), 3)}
                targets.append(Target(f"{name}_worst_s", promise(interval, way)))
                print(
                    f"{name:26} worst {max(took):6.2f} s  median {median(took):6.2f} s  promised {promise(interval, way):5.2f} s",
                    flush=True,
                )
    conclude(figures, targets, check=given.check)


def _trial(loop: asyncio.AbstractEventLoop, interval: float, way: str, number: int) -> float:
    """Seconds from the death of one node of three until its share is gone."""
    from nodes.models import NodeState

    mortals = [Mortal(loop) for _ in range(3)]
    for mortal in mortals:
        mortal.live()
    slug = f"{way}-{interval:g}-{number}".replace(".", "-")
    pool = declare(slug, [(f"{slug}-{i}", mortal.port, "/") for i, mortal in enumerate(mortals)], interval=interval)
    states = NodeState.objects.filter(pool_id=pool.pk).order_by("node_id")
    until(
        lambda: [state.share > 0 for state in states.all()] == [True] * 3,
        3 * interval + 10,
        lambda: "nodes did not become eligible",
    )
    time.sleep(random.random() * interval)
    victim = states[0].pk
    mortals[0].die(way)
    died = time.monotonic()
    until(lambda: NodeState.objects.get(pk=victim).share == 0, 10 * interval + 20, lambda: "the share did not move")
    return time.monotonic() - died


if __name__ == "__main__":
    main()
