"""One check outside of all terms, for a person who looks closely: it counts for nothing and is stored nowhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from threading import BoundedSemaphore

from django.conf import settings

from nodes.egress import Egress, Names
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec

AT_ONCE = 2  # tests of one process
LONGEST = 15.0  # s that a test may take, whatever the time-out of the check

_free = BoundedSemaphore(AT_ONCE)
_names = Names()


class BusyError(Exception):
    """As many checks are tested just now as may be; try again in a few seconds."""


def ask_once(spec: CheckSpec) -> Observation:
    """What a check sees now, with its evidence.  Blocks; raises `BusyError`."""
    if not _free.acquire(blocking=False):
        raise BusyError(BusyError.__doc__)
    try:
        return asyncio.run(probe(_bounded(spec), Egress.for_checks(settings.EGRESS_ALLOW, _names), closely=True))
    finally:
        _free.release()


def _bounded(spec: CheckSpec) -> CheckSpec:
    return replace(spec, timeout=min(spec.timeout, LONGEST), children=tuple(map(_bounded, spec.children)))
