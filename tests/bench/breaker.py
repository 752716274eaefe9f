"""The circuit breaker beside four others, in one run: what a call, a refusal and a look cost, and what it leaves behind.

Everything is timed in rounds that go through all libraries in turn, with the collector off; the figure is the least of the
rounds, in nanoseconds a loop.  A peer that lacks a form shows "-"; so do `call`, `with` and `call_async` of circuitbreaker,
which count and refuse nothing, even close an open breaker: it guards by its decorators alone.  `bare` is a function that
passes its arguments on, a `with` over an object that does nothing, a coroutine function that awaits another.

figures
  call, decorator, with, async    a call that succeeds, the breaker closed (async: `call_async` or a decorated coroutine function)
  rejected, rejected decorator    a call that an open breaker refuses, the exception caught; rejected_part_of_cheapest is
                                  ours, decorated, ÷ the cheapest refusal of a peer in whichever form
  state, state open               reading the state
  count window, time window       a closed `call` with a failure rate over 100 calls, over 60 s (only ours has such windows)
  generator                       a decorated generator function, its ten steps exhausted
  bytes                           of one breaker, by tracemalloc over 1 000; ours also with a full window of 100 calls
  growth                          bytes that are left of one rejection, over --rejections of them
  threads                         seconds that 8 threads need for 20 calls each of 10 ms; 0.2 if none waits for another
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import math
import threading
import time
import timeit
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

import aiobreaker
import circuitbreaker
import purgatory
import pybreaker
from rig import Target, conclude, parser

from nodes.circuit import BreakerPolicy, CircuitBreaker

OURS, BARE = "ours", "bare"
PEERS = ("pybreaker", "circuitbreaker", "aiobreaker", "purgatory")
FOREVER = 1e6  # s
COUNTED = BreakerPolicy(failure_rate=0.5, window_calls=100)
TIMED = BreakerPolicy(failure_rate=0.5, window_seconds=60.0)

Timed = tuple[str, dict[str, Any]]  # a statement and what it names

TARGETS = [
    Target("call_ratio", 2.0, at_least=True),
    Target("decorator_ratio", 2.0, at_least=True),
    Target("rejected_ns", 1000),
    Target("rejected_ratio", 2.0, at_least=True),
    Target("rejected_decorator_ratio", 2.0, at_least=True),
    Target("rejected_part_of_cheapest", 0.5),
    Target("state_ns", 100),
    Target("state_open_ns", 100),
    Target("bytes", 1024),
    Target("with_times_bare", 3.0),
    Target("growth_bytes", 0.01),
]


def work() -> None:
    return None


async def work_async() -> None:
    return None


def fail() -> None:
    raise ValueError


def steps() -> Iterator[int]:
    yield from range(10)


def bare(*args: Any, **kwargs: Any) -> Any:
    return work(*args, **kwargs)


async def bare_async() -> None:
    await work_async()


class Nothing:
    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def ours(policy: BreakerPolicy | None = None) -> CircuitBreaker:
    return CircuitBreaker(policy or BreakerPolicy(timeout=FOREVER, max_timeout=FOREVER))


def opened(breaker: Any, call: Callable[[Callable[[], None]], Any]) -> Any:
    """The breaker after so many failures that it refuses."""
    for _ in range(10):
        with suppress(Exception):
            call(fail)
    return breaker


def _purgatory() -> Any:
    return purgatory.SyncCircuitBreakerFactory(default_ttl=FOREVER)


def new(library: str) -> tuple[Any, Callable[[Callable[[], Any]], Any]]:
    """A closed breaker of a library and its plainest way to call through it."""
    if library == OURS:
        breaker: Any = ours()
    elif library == "pybreaker":
        breaker = pybreaker.CircuitBreaker(reset_timeout=FOREVER)
    elif library == "circuitbreaker":
        breaker = circuitbreaker.CircuitBreaker(recovery_timeout=int(FOREVER))
        return breaker, lambda fn: breaker(fn)()
    elif library == "aiobreaker":
        breaker = aiobreaker.CircuitBreaker(timeout_duration=timedelta(seconds=FOREVER))
    else:
        breaker = _purgatory()

        def through(fn: Callable[[], Any]) -> Any:
            with breaker.get_breaker("bench"):
                return fn()

        return breaker, through
    return breaker, breaker.call


def closed_forms() -> dict[str, dict[str, Timed]]:
    made = {library: new(library)[0] for library in (OURS, *PEERS)}
    factory = made["purgatory"]
    blocks = {OURS: made[OURS], BARE: Nothing()}
    return {
        "call": _calls(made, "{}") | {BARE: ("g()", {"g": bare})},
        "decorator": _decorated(made, "{}") | {BARE: ("g()", {"g": bare})},
        "with": {name: ("with b: pass", {"b": each}) for name, each in blocks.items()}
        | {
            "pybreaker": ("with b.calling(): pass", {"b": made["pybreaker"]}),
            "purgatory": ("with p.get_breaker('bench'): pass", {"p": factory}),
        },
        "generator": {
            name: ("for _ in g(): pass", {"g": each})
            for name, each in {BARE: steps, OURS: made[OURS](steps), "circuitbreaker": made["circuitbreaker"](steps)}.items()
        },
        "state": {
            OURS: ("b.state", {"b": made[OURS]}),
            "pybreaker": ("b.current_state", {"b": made["pybreaker"]}),
            "circuitbreaker": ("b.state", {"b": made["circuitbreaker"]}),
            "aiobreaker": ("b.current_state", {"b": made["aiobreaker"]}),
            "purgatory": ("b.context.state", {"b": factory.get_breaker("bench")}),
        },
        "count window": {OURS: ("b.call(f)", {"b": ours(COUNTED), "f": work})},
        "time window": {OURS: ("b.call(f)", {"b": ours(TIMED), "f": work})},
    }


def _calls(made: dict[str, Any], frame: str) -> dict[str, Timed]:
    return {name: (frame.format("b.call(f)"), {"b": made[name], "f": work}) for name in (OURS, "pybreaker", "aiobreaker")}


def _decorated(made: dict[str, Any], frame: str) -> dict[str, Timed]:
    guarded = {name: each(circuit="bench")(work) if name == "purgatory" else each(work) for name, each in made.items()}
    return {name: (frame.format("g()"), {"g": each}) for name, each in guarded.items()}


def open_forms() -> dict[str, dict[str, Timed]]:
    refusal = "try: {}\nexcept Exception: pass"
    made = {library: opened(*new(library)) for library in (OURS, *PEERS)}
    factory = made["purgatory"]
    return {
        "rejected": _calls(made, refusal),
        "rejected decorator": _decorated(made, refusal),
        "state open": {
            OURS: ("b.state", {"b": made[OURS]}),
            "pybreaker": ("b.current_state", {"b": made["pybreaker"]}),
            "circuitbreaker": ("b.state", {"b": made["circuitbreaker"]}),
            "aiobreaker": ("b.current_state", {"b": made["aiobreaker"]}),
            "purgatory": ("b.context.state", {"b": factory.get_breaker("bench")}),
        },
    }


def timed(forms: dict[str, dict[str, Timed]], rounds: int) -> dict[str, dict[str, float]]:
    """ns a loop: the least of the rounds, each of which takes all libraries in turn."""
    timers = {row: {name: timeit.Timer(stmt, globals=names) for name, (stmt, names) in made.items()} for row, made in forms.items()}
    loops = {row: {name: _loops(timer.timeit) for name, timer in each.items()} for row, each in timers.items()}
    least = {row: dict.fromkeys(each, math.inf) for row, each in timers.items()}
    for _ in range(rounds):
        for row, each in timers.items():
            for name, timer in each.items():
                count = loops[row][name]
                least[row][name] = min(least[row][name], timer.timeit(count) / count * 1e9)
    return least


def _loops(run: Callable[[int], float]) -> int:
    """So many that a round takes about 10 ms."""
    return max(100, int(0.01 / (run(200) / 200)))


def timed_async(rounds: int) -> dict[str, float]:
    circuit = circuitbreaker.CircuitBreaker()
    factory = purgatory.AsyncCircuitBreakerFactory()
    mine, other = ours(), aiobreaker.CircuitBreaker()
    awaited = {
        OURS: lambda: mine.call_async(work_async),
        "circuitbreaker": circuit(work_async),
        "aiobreaker": lambda: other.call_async(work_async),
        "purgatory": factory(circuit="bench")(work_async),
        BARE: bare_async,
    }

    async def loop(call: Callable[[], Any], count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            await call()
        return time.perf_counter() - began

    async def all_rounds() -> dict[str, float]:
        least = dict.fromkeys(awaited, math.inf)
        for _ in range(rounds):
            for name, call in awaited.items():
                least[name] = min(least[name], await loop(call, 5000) / 5000 * 1e9)
        return least

    return asyncio.run(all_rounds())


def bytes_each(make: Callable[[], Any], count: int = 1000) -> float:
    make()
    gc.collect()
    tracemalloc.start()
    kept = [make() for _ in range(count)]
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (taken - 8 * len(kept)) / count  # without the list's own pointers


def full_window() -> CircuitBreaker:
    breaker = ours(COUNTED)
    for _ in range(100):
        breaker.call(work)
    return breaker


def growth(library: str, rejections: int) -> float:
    """Bytes left of one rejection."""
    breaker, call = new(library)
    opened(breaker, call)

    def reject(times: int) -> None:
        for _ in range(times):
            with suppress(Exception):
                call(work)

    reject(1000)
    gc.collect()
    tracemalloc.start()
    reject(rejections)
    gc.collect()
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return left / rejections


def threads(library: str) -> float:
    _, call = new(library)
    gate = threading.Barrier(8)

    def caller(_: int) -> None:
        gate.wait()
        for _ in range(20):
            call(lambda: time.sleep(0.01))

    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(caller, range(8)))
    return time.perf_counter() - began


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=25)
    arguments.add_argument(
        "--rejections", type=int, default=1_000_000, help="ours; the peers' growth is measured over a tenth of it"
    )
    given = arguments.parse_args()
    gc.disable()
    table = timed(closed_forms() | open_forms(), given.rounds)
    table["async"] = timed_async(given.rounds)
    gc.enable()
    memory = {name: bytes_each(lambda name=name: new(name)[0]) for name in (OURS, *PEERS)}
    left = {name: growth(name, given.rejections // (1 if name == OURS else 10)) for name in (OURS, *PEERS)}
    walls = {name: threads(name) for name in (OURS, *PEERS)}
    show(table, {"bytes": memory, "growth": left, "threads": walls})
    print(f"bytes with a full window of 100 calls: {bytes_each(full_window):.0f}")
    found = figures(table, memory, left, walls)
    for target in TARGETS:
        value, bound = found[target.name], f"{'at least' if target.at_least else 'at most'} {target.bound:g}"
        print(f"{target.name:30}{value:>12,.2f}   {bound:15}{'' if target.met(value) else 'missed'}")
    conclude(found, TARGETS, check=given.check)


def show(table: dict[str, dict[str, float]], rest: dict[str, dict[str, float]]) -> None:
    versions = {name: f"{name} {importlib.metadata.version(name)}" for name in PEERS}
    columns = (BARE, OURS, *PEERS)
    print(f"{'':20}" + "".join(f"{versions.get(name, name):>22}" for name in columns) + f"{'cheapest peer ÷ ours':>24}")
    for row, cells in (table | rest).items():
        digits = {"growth": 2, "threads": 2}.get(row, 0)
        shown = "".join(f"{cells[name]:>22,.{digits}f}" if name in cells else f"{'-':>22}" for name in columns)
        print(f"{row:20}{shown}{_ratio(cells):>24.2f}")


def _ratio(cells: dict[str, float]) -> float:
    return min((cells[name] for name in PEERS if name in cells), default=math.nan) / (cells[OURS] or math.nan)


def figures(
    table: dict[str, dict[str, float]], memory: dict[str, float], left: dict[str, float], walls: dict[str, float]
) -> dict[str, Any]:
    found: dict[str, Any] = {f"{row.replace(' ', '_')}_ns": round(cells[OURS], 1) for row, cells in table.items()}
    compared = ("call", "decorator", "with", "async", "rejected", "rejected decorator")
    found |= {f"{row.replace(' ', '_')}_ratio": round(_ratio(table[row]), 2) for row in compared}
    cheapest = min(table[row][name] for row in ("rejected", "rejected decorator") for name in PEERS if name in table[row])
    found["rejected_part_of_cheapest"] = round(table["rejected decorator"][OURS] / cheapest, 3)
    found["with_times_bare"] = round(table["with"][OURS] / table["with"][BARE], 2)
    found |= {"bytes": round(memory[OURS]), "growth_bytes": round(left[OURS], 4), "threads_s": round(walls[OURS], 2)}
    found["peers"] = {name: importlib.metadata.version(name) for name in PEERS}
    return found


if __name__ == "__main__":
    main()
