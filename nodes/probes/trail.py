"""What one check did on its way, hop by hop: kept as it goes, made into words and evidence only when somebody asks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nodes.egress.table import Address
from nodes.probes.answer import Answer
from nodes.probes.spec import CheckSpec


@dataclass(slots=True)
class Hop:
    """One request, or one connection of a check that asks nothing.  Instants are of `time.monotonic`, 0 for never."""

    spec: CheckSpec
    began: float = field(default_factory=time.monotonic)
    resolved: float = 0.0
    connected: float = 0.0  # by TCP, where that is looked at apart
    secured: float = 0.0  # by TLS too; else as above
    ended: float = 0.0
    address: Address | None = None
    failed: list[tuple[Address, str]] = field(default_factory=list)  # addresses that did not answer, and how
    request: bytes = b""
    answer: Answer | None = None
    certificate: str = ""  # what is warned of


class Trail:
    """The hops of one check.  `apart`: the TCP connection is timed apart from the handshake of TLS, for who looks closely."""

    __slots__ = ("apart", "hops")

    def __init__(self, *, apart: bool = False) -> None:
        self.apart = apart
        self.hops: list[Hop] = []

    def hop(self, spec: CheckSpec) -> Hop:
        """The next one begins."""
        made = Hop(spec)
        self.hops.append(made)
        return made

    def late(self, seconds: float) -> str:
        """What a check that ran out of its time was waiting for."""
        within = f"within {seconds:g} s"
        hop = self.hops[-1] if self.hops else None
        failed = "" if hop is None or not hop.failed else f" ({told(hop.failed)})"
        answer = hop.answer if hop else None
        if answer is None or not answer.status:
            return f"no answer {within}{failed}"
        if answer.body is not None and not answer.body.found and hop is not None:
            return f"answered {answer.status}, but without the text “{hop.spec.body_contains[:60]}” {within}"
        return f"answered {answer.status}, but the answer did not end {within}"


def told(failed: list[tuple[Address, str]]) -> str:
    """Each address and what became of it."""
    return ", ".join(f"{address}: {what}" for address, what in failed)
