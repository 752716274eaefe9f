"""Measures the loop of each check runner from within, for `hostile.py`, which puts this directory on the path of the console.

Beside what `uvloop.run` runs in a process, a task sleeps for 5 ms, again and again.  Each second it appends a line to a file of its
process in SAMPLES: how late it woke (s), and how much of that the loop's own thread can have had the processor (s), each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

EVERY = 0.005  # s

_run = uvloop.run


async def _sample(path: Path) -> None:
    while True:
        lines: list[tuple[float, float]] = []
        until = time.monotonic() + 1.0
        while (began := time.monotonic()) < until:
            cpu = time.thread_time()
            await asyncio.sleep(EVERY)
            late = max(0.0, time.monotonic() - began - EVERY)
            lines.append((round(late, 5), round(min(late, time.thread_time() - cpu), 5)))
        with path.open("a") as out:
            out.write(json.dumps({"at": time.time(), "samples": lines}) + "\n")


def _run_sampled(main: Coroutine[Any, Any, Any], **given: Any) -> Any:
    async def both() -> Any:
        sampling = asyncio.create_task(_sample(Path(os.environ["SAMPLES"]) / f"{os.getpid()}.json"))
        try:
            return await main
        finally:
            sampling.cancel()

    return _run(both(), **given)


uvloop.run = _run_sampled
