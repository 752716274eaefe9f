"""What tells this console's demo from any other on the host: another's server must never pass for one of ours."""

from __future__ import annotations

from django.conf import settings
from django.utils.crypto import salted_hmac

PREFIX = "demo "
_LENGTH = 12


def identity() -> str:
    """The words that our servers answer with and our checks ask for; a copy of the data directory has others."""
    directory = str(settings.DATA_DIR.resolve())
    return PREFIX + salted_hmac("failover_console.demo", directory, algorithm="sha256").hexdigest()[:_LENGTH]
