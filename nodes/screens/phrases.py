"""Sentences made of parts, so that a page can set some off and let its script count their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text; or how long ago `since` was, or how long still until `until`."""

    text: str = ""
    strong: bool = False
    since: datetime | None = None
    until: datetime | None = None


def listed(names: Sequence[str], of: int | None = None) -> str:
    """a, b and c; of very many only their number."""
    if len(names) > MOST_NAMED:
        return f"{len(names)} nodes" if of is None or of == len(names) else f"{len(names)} of {of} nodes"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)
