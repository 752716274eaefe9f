"""Log lines that no node, user or webhook can forge, and that give no secret away: one record is one line."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from failover_console.redaction import Redaction

# C0 and C1 controls, what some viewers take for line ends, and what turns the direction of writing.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _CONTROLS if code not in (0x09, 0x0A)}
_MESSAGE_LENGTH = 4_000  # characters
_RECORD_LENGTH = 32_000  # characters, with its traceback
_LOOKED_AT = 2  # times what is kept: a stranger may send more than anybody should look through


class OneLine(logging.Formatter):
    """Escapes control characters, hides secrets (`secrets`: the console's own); a traceback follows with its line ends marked."""

    def __init__(self, *given: Any, secrets: Iterable[str] = (), **named: Any) -> None:
        super().__init__(*given, **named)
        self._redacted = Redaction(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._shortened(super().format(record), _RECORD_LENGTH).translate(_ESCAPES).replace("\n", "\n    | ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return self._shortened(super().formatMessage(record), _MESSAGE_LENGTH).replace("\n", "\\n")

    def _shortened(self, text: str, length: int) -> str:
        """Hidden before it is cut, for half a secret has another shape; of more than is looked at, the last word goes as well."""
        looked_at = length * _LOOKED_AT
        if len(text) > looked_at:
            text = text[:looked_at].rsplit(None, 1)[0]
        return self._redacted(text)[:length]
