"""Log lines that no node, user or webhook can forge: one record is one line."""

from __future__ import annotations

import logging

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)}
_MESSAGE_LENGTH = 4000  # characters


class OneLine(logging.Formatter):
    """Escapes control characters; a traceback follows with its line ends marked."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record)[:_MESSAGE_LENGTH].translate(_ESCAPES).replace("\n", "\n    | ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        return super().formatMessage(record).replace("\n", "\\n").replace("\r", "\\r")
