"""Log lines that no node, user or webhook can forge: one record is one line."""

from __future__ import annotations

import logging

# C0 and C1 controls, what some viewers take for line ends, and what turns the direction of writing.
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _CONTROLS if code not in (0x09, 0x0A)}
_MESSAGE_LENGTH = 4_000  # characters
_RECORD_LENGTH = 32_000  # characters, with its traceback


class OneLine(logging.Formatter):
    """Escapes control characters; a traceback follows with its line ends marked."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record)[:_RECORD_LENGTH].translate(_ESCAPES).replace("\n", "\n    | ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return super().formatMessage(record)[:_MESSAGE_LENGTH].replace("\n", "\\n")
