"""Reads answers that the strict parser refuses and every client takes: the second reading, off the hot path.

What curl, nginx, HAProxy and Python's client agree on counts as an answer: bare line feeds, lengths that are said twice alike, a
length beside chunks, folded and odd header lines, spaces around the size of a chunk, bytes behind the end.  What they refuse, or
read differently, stays broken: two different lengths, a length that is no number, a header line without a colon, a NUL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

_STATUS = re.compile(rb"HTTP/([0-9])(?:\.([0-9]))?[ \t]+([0-9]{3})(?:[ \t]|$)", re.IGNORECASE)
_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;|$)")
_NO_BODY = frozenset({204, 304})
_VERSIONS = frozenset({(b"1", b"0"), (b"1", b"1"), (b"2", None), (b"2", b"0")})


class BrokenAnswerError(Exception):
    """It is no HTTP that anybody would take; the message says why."""


class Hearer(Protocol):
    """What is told of the answer as it is read."""

    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class TolerantParser:
    """Like httptools' parser: fed as bytes come, it calls its hearer.  Raises `BrokenAnswerError`, and what the hearer raises."""

    def __init__(self, hearer: Hearer, *, head: bool) -> None:
        self._hearer, self._head = hearer, head
        self._status = 0
        self._data, self._at = b"", 0  # what is not read yet, from there on
        self._body = 0  # bytes that are left of the body, or of a chunk
        self._read: Callable[[], bool] = self._status_line
        self._lengths: set[bytes] = set()
        self._chunked = False
        self._folded: tuple[bytes, bytes] | None = None  # a header that the next line may go on with

    def get_status_code(self) -> int:
        """The status of the last head that was begun."""
        return self._status

    def feed_data(self, data: bytes | memoryview) -> None:
        """Take what came."""
        self._data, self._at = self._data[self._at :] + bytes(data), 0
        while self._read():
            pass

    def _line(self) -> bytes | None:
        """The next line without its end; None while it is not complete."""
        end = self._data.find(b"\n", self._at)
        if end < 0:
            return None
        line, self._at = self._data[self._at : end], end + 1
        return line.rstrip(b"\r")

    def _status_line(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if not line:  # left over from the answer before
            return True
        found = _STATUS.match(line)
        if found is None:
            raise BrokenAnswerError("its first line is no status line")
        if (found[1], found[2]) not in _VERSIONS:
            raise BrokenAnswerError("it is of an HTTP version that does not exist")
        self._status = int(found[3])
        if self._status < 100:
            raise BrokenAnswerError("its status is below 100")
        self._lengths, self._chunked, self._read = set(), False, self._header
        return True

    def _header(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if b"\0" in line:
            raise BrokenAnswerError("a header holds a NUL")
        if line[:1] in (b" ", b"\t") and self._folded is not None:
            self._folded = self._folded[0], self._folded[1] + b" " + line.strip()
            return True
        if self._folded is not None:
            self._tell(*self._folded)
            self._folded = None
        if not line:
            return self._head_ends()
        name, found, value = line.partition(b":")
        if not found:
            raise BrokenAnswerError("a header line has no colon")
        self._folded = name.strip(), value.strip()
        return True

    def _tell(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered == b"content-length":
            self._lengths.update(part.strip() for part in value.split(b","))
        elif lowered == b"transfer-encoding" and value.lower().rpartition(b",")[2].strip() == b"chunked":
            self._chunked = True
        self._hearer.on_header(name, value)

    def _head_ends(self) -> bool:
        if self._chunked:
            self._read = self._chunk
        elif len(self._lengths) > 1:
            raise BrokenAnswerError("it says two different lengths")
        else:
            self._read = self._rest if not self._lengths else self._counted
            if self._lengths and not (length := next(iter(self._lengths))).isdigit():
                raise BrokenAnswerError("its length is no number")
            self._body = int(length[:18]) if self._lengths else 0
        self._hearer.on_headers_complete()
        if self._head or self._status < 200 or self._status in _NO_BODY or (self._read == self._counted and not self._body):
            self._end()
        return True

    def _end(self) -> None:
        self._read = self._status_line if self._status < 200 else self._nothing_more
        self._hearer.on_message_complete()

    def _nothing_more(self) -> bool:
        self._at = len(self._data)
        return False

    def _rest(self) -> bool:
        """A body that ends with the connection."""
        part, self._at = self._data[self._at :], len(self._data)
        if part:
            self._hearer.on_body(part)
        return False

    def _take(self) -> None:
        part = self._data[self._at : self._at + self._body]
        self._at += len(part)
        self._body -= len(part)
        if part:
            self._hearer.on_body(part)

    def _counted(self) -> bool:
        self._take()
        if self._body:
            return False
        self._end()
        return True

    def _chunk(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size = _SIZE.match(line)
        if size is None:
            raise BrokenAnswerError("the size of a chunk is no number")
        self._body = int(size[1], 16)
        self._read = self._chunk_data if self._body else self._trailer
        return True

    def _chunk_data(self) -> bool:
        self._take()
        if self._body:
            return False
        self._read = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        line = self._line()
        if line:
            raise BrokenAnswerError("a chunk is longer than it says")
        self._read = self._chunk if line is not None else self._chunk_end
        return line is not None

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            name, _, value = line.partition(b":")
            self._hearer.on_header(name.strip(), value.strip())
        else:
            self._end()
        return True
