"""What a check saw, as a page shows it: from the evidence that it left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nodes.engine.enums import Verdict
from nodes.screens.verdicts import VERDICT_TONES

_PHASES = {
    "name": "name resolved",
    "connected": "connected",
    "secured": "TLS agreed",
    "open": "connection open",
    "first byte": "first byte",
    "decided": "decided",
    "ended": "ended",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of a hop; milliseconds from its beginning, and since the step before."""

    name: str
    at: float
    took: float


@dataclass(frozen=True, slots=True)
class Hop:
    """One request and its answer; texts are what came, masked and cut."""

    url: str
    address: str
    failed: tuple[tuple[str, str], ...]
    request: str
    head: str
    body: str
    size: int
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What was expected, what was seen, and how that counts."""

    name: str
    expected: str
    seen: str
    verdict: str
    tone: str


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """One check with its hops."""

    kind: str
    target: str
    verdict: str
    tone: str
    message: str
    hops: tuple[Hop, ...]
    expectations: tuple[Expectation, ...]


def checks_seen(evidence: Mapping[str, Any] | None) -> tuple[CheckSeen, ...]:
    """The checks of a stored document; what another version wrote differently is left out."""
    return tuple(_check(each) for each in (evidence or {}).get("checks", ()))


def _check(each: Mapping[str, Any]) -> CheckSeen:
    verdict, tone = _toned(each.get("verdict", "unknown"))
    expectations = []
    for row in each.get("expectations", ()):
        word, hue = _toned(row.get("verdict", "unknown"))
        expectations.append(Expectation(row.get("name", ""), row.get("expected", ""), row.get("seen", ""), word, hue))
    hops = tuple(_hop(hop) for hop in each.get("hops", ()))
    return CheckSeen(
        each.get("kind", ""), each.get("target", ""), verdict, tone, each.get("message", ""), hops, tuple(expectations)
    )


def _toned(verdict: str) -> tuple[str, str]:
    found = Verdict(verdict) if verdict in Verdict.__members__.values() else Verdict.UNKNOWN
    return found.value, VERDICT_TONES[found]


def _hop(hop: Mapping[str, Any]) -> Hop:
    failed = tuple((each.get("address", ""), each.get("what", "")) for each in hop.get("failed", ()))
    return Hop(
        hop.get("url", ""), hop.get("address", ""), failed, hop.get("request", ""), hop.get("head", ""), hop.get("body", ""),
        hop.get("bytes", 0), tuple(_phases(hop.get("phases", {}))),
    )  # fmt: skip  # as short as a line


def _phases(phases: Mapping[str, float]) -> Iterator[Phase]:
    before = 0.0
    for name, at in sorted(phases.items(), key=lambda phase: phase[1]):
        yield Phase(_PHASES.get(name, name), at * 1000, (at - before) * 1000)
        before = at
