"""What the page of a test shows: a check that was asked once, for whoever looks closely."""

from __future__ import annotations

import socket
from typing import Any

from django.utils import timezone

from nodes.probes.spec import CheckSpec
from nodes.runner import once
from nodes.screens.check_seen import checks_seen


def tested(spec: CheckSpec) -> dict[str, Any]:
    """What this check sees now, with its status; `problem` says why it was not asked."""
    try:
        seen = once.ask_once(spec)
    except once.BusyError as error:
        return {"problem": str(error), "status": 503}
    return {
        "seen": seen,
        "checks": checks_seen(seen.evidence),
        "asked_at": timezone.now(),
        "from_host": socket.gethostname(),
        "status": 200,
    }
