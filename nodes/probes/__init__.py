"""Asking a node: one file per kind of check, an Observation from each, never an exception."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.health import aggregate
from nodes.engine.types import Observation
from nodes.probes import evidence, http, plain
from nodes.probes.expectations import retry_after
from nodes.probes.outcome import clean, explain
from nodes.probes.own_time import OwnTime
from nodes.probes.spec import CheckSpec
from nodes.probes.trail import Trail

__all__ = ["KINDS", "probe"]

KINDS = ("http", "tcp", "tls", "push", "composite")


async def probe(spec: CheckSpec, egress: Egress, *, closely: bool = False) -> Observation:
    """One check, within its time-out.  Latency is measured monotonic, in seconds; a slow answer is a warning.

    Neither counts what our resolver takes.  What was seen is kept as evidence when it failed; always when one looks `closely`.
    """
    started_at, start, own, trail = time.time(), time.monotonic(), None, Trail(apart=closely)
    try:
        if spec.unusable:
            return Observation(Verdict.UNKNOWN, clean(spec.unusable), None, started_at, started_at)
        if spec.kind == "composite":
            return await _composite(spec, egress, started_at, start, closely=closely)
        async with asyncio.timeout(spec.timeout) as limit:
            own = OwnTime(limit)
            verdict, message = await _ask(spec, egress, own, started_at, trail)
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        verdict, message = Verdict.UNKNOWN, "our own check broke: what it waited for was given up"
    except Exception as error:  # the seam: whatever happened becomes an observation
        verdict, message = explain(error, spec.timeout)
        if isinstance(error, TimeoutError) and not error.errno:
            message = trail.late(spec.timeout)
    latency = own.taken if own is not None else time.monotonic() - start
    if verdict == Verdict.PASS and spec.degraded_latency is not None and latency > spec.degraded_latency:
        verdict, message = Verdict.WARN, f"slow: {latency * 1000:.0f} ms, expected {spec.degraded_latency * 1000:.0f} ms"
    measured = latency if verdict in (Verdict.PASS, Verdict.WARN) and spec.kind != "push" else None
    seen = Observation(verdict, clean(message), measured, started_at, started_at + latency)
    if verdict == Verdict.PASS and not closely:
        return seen
    try:
        return _shown(seen, spec, trail, closely=closely)
    except Exception:  # the seam once more: what is told beside a verdict costs nobody the verdict
        return seen


def _shown(seen: Observation, spec: CheckSpec, trail: Trail, *, closely: bool) -> Observation:
    """With what a plain pass has not: how long the node asks to be left alone, and the evidence."""
    answer = trail.hops[-1].answer if trail.hops else None
    wait = None if answer is None or seen.verdict == Verdict.PASS else retry_after(answer)
    if not closely and seen.verdict != Verdict.FAIL:
        return replace(seen, retry_after=wait)
    shown = evidence.of_check(spec, trail, seen.verdict, seen.message)
    return replace(seen, message=shown["message"], retry_after=wait, evidence={"checks": [shown]})


def _is_cancelled() -> bool:
    """Whether it is this task that is to end, and not something below it that gave up."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _ask(spec: CheckSpec, egress: Egress, own: OwnTime, now: float, trail: Trail) -> tuple[Verdict, str]:
    match spec.kind:
        case "http":
            return await http.ask(spec, egress, own, now, trail)
        case "tcp":
            return await plain.tcp(spec, egress, own, trail)
        case "tls":
            return await plain.tls(spec, egress, own, now, trail)
        case "push":
            return plain.push(spec, now)
    return Verdict.UNKNOWN, f"there is no check of the kind {spec.kind}"


async def _composite(spec: CheckSpec, egress: Egress, started_at: float, start: float, *, closely: bool) -> Observation:
    """All children together; the message names those that did not pass."""
    seen = await asyncio.gather(*(probe(child, egress, closely=closely) for child in spec.children))
    verdict = aggregate(spec.quorum, [each.verdict for each in seen])  # type: ignore[arg-type]  # the model's choices are the engine's
    pairs = zip(spec.children, seen, strict=True)
    notes = [f"{_named(child)}: {each.message or each.verdict}" for child, each in pairs if each.verdict != Verdict.PASS]
    latency = time.monotonic() - start
    measured = latency if verdict in (Verdict.PASS, Verdict.WARN) else None
    waits = [each.retry_after for each in seen if each.retry_after is not None] if verdict != Verdict.PASS else []
    shown = evidence.together(each.evidence for each in seen)
    return Observation(
        verdict, clean("; ".join(notes)), measured, started_at, started_at + latency,
        retry_after=max(waits, default=None), evidence=shown if closely or verdict == Verdict.FAIL else None,
    )  # fmt: skip  # as short as a sentence


def _named(child: CheckSpec) -> str:
    return "push" if child.kind == "push" else f"{child.kind} {child.port}"
