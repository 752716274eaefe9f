"""Who was notified of an incident, as pages show it; whoever sends messages registers how that is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one destination; `seconds` until it was delivered, None while it is not."""

    id: int
    at: datetime
    destination: str
    what: str  # trigger, resolve …, as the sender names it
    status: str  # in words
    tone: str
    seconds: float | None
    attempts: int

    @property
    def words(self) -> str:
        """What became of it: delivered in 0.3 s, 2 attempts."""
        took = "" if self.seconds is None else f" in {self.seconds:.1f}\u00a0s"
        return f"{self.status}{took}{f', {self.attempts} attempts' if self.attempts > 1 else ''}"


Reader = Callable[[int], tuple[Notice, ...]]

_readers: list[Reader] = []


def read_by(reader: Reader) -> None:
    """Let `reader` say, by an incident's id, what was sent about it, oldest first."""
    if reader not in _readers:
        _readers.append(reader)


def notices(incident_id: int) -> tuple[Notice, ...]:
    """All that was sent about an incident, oldest first."""
    return tuple(sorted((each for reader in _readers for each in reader(incident_id)), key=lambda notice: (notice.at, notice.id)))
