"""Reads one HTTP answer within a budget, so that no node costs the others their checks.

Whatever state the parser is in, each read is counted: bytes of the whole answer, bytes up to the end of its headers, pieces, header
fields (those behind the body too), interim answers (100, 103), and the parser's time.  A read is short, and what fills it waits for
the next turn of the loop, so that a flood from many nodes at once stalls nobody.

An answer need not end: what is expected of it is decided by its head, or by a text in its body.  One whose head decides gets
`GRACE` to show that it breaks off; one that says its length must come to it.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from typing import cast

import httptools

from nodes.probes.body import MOST_BODY, Body
from nodes.probes.outcome import ProbeFailure
from nodes.probes.tolerant import BrokenAnswerError, TolerantParser

READ = 4096  # bytes taken from a connection in one turn of the loop
MOST_HEAD = 16 * 1024  # bytes up to the end of the headers, interim answers included
MOST_BYTES = 128 * 1024  # of the whole answer: head, body, and what frames it
MOST_READS = 1024  # pieces in which an answer comes: each costs a turn of the loop, however short it is
MOST_FIELDS = 256  # header fields, of interim answers and behind the body too
MOST_INTERIM = 8  # answers of the kind 1xx
MOST_PARSING = 0.005  # s of the parser's time, summed over reads
ONE_READ = 0.001  # s that a read can take at the most; what goes beyond is a garbage collection of ours
GRACE, SPARE = 0.5, 0.02  # s after a head that decides; s by which that ends before the check's time
KEPT = 4096  # bytes of a body of which nothing is expected
SHOWN = 60  # characters of what is no HTTP


class _Rooms(threading.local):
    """What all answers of a thread are read into: it is parsed before the next one reads."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(READ))


_rooms = _Rooms()
_TLS_ALERT = b"\x15\x03"


class _BrokenOff(Exception):  # noqa: N818 - it ends the parsing, nothing more
    """Raised inside of the parser, so that it parses no further."""


class Answer(asyncio.BufferedProtocol):
    """Collects one answer; `done` ends with it, or with the exception that broke it off.

    `ends_at`: when the check's time is up, by the loop's clock.  `body` is what something is expected of.  `strict`: it must be
    HTTP to the letter, and end.  Instants are of `time.monotonic`.
    """

    def __init__(
        self,
        request: bytes,
        *,
        head: bool,
        done: asyncio.Future[None],
        ends_at: float = math.inf,
        body: Body | None = None,
        strict: bool = False,
    ) -> None:
        self._request, self._head, self._ends_at, self._strict = request, head, ends_at, strict
        self._parser: httptools.HttpResponseParser | TolerantParser = httptools.HttpResponseParser(self)
        self._room = _rooms.room
        self._received = self._reads = 0
        self._parsing = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.done, self.body = done, body
        self.raw = b""  # as it came, up to `MOST_HEAD`
        self.first_byte_at = self.decided_at = 0.0
        self.goes_on = False  # it was decided, and had not ended in its grace
        self._begin()

    def _begin(self) -> None:
        self._header_bytes = self._fields = self._interim = self.taken = 0  # of the body, as it came
        self._sized = self._counted = False
        self.status = 0
        self.location = self.retry_after = self._coding = self._content_type = b""
        self.cookies: list[bytes] = []
        self.beginning = b""  # of the body, where nothing is expected of it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of asyncio's
        self._transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        if self.done.done():
            return
        first = not self._received
        if first:
            self.first_byte_at = time.monotonic()
        if self._received < MOST_HEAD:
            self.raw += self._room[:nbytes]
        self._received += nbytes
        self._reads += 1
        if first and nbytes < READ:
            self._parse(self._room[:nbytes])  # nearly every answer; it is too short to take long
        else:
            self._parse_timed(self._room[:nbytes])
        if self.done.done():
            return
        if self.decided_at and self._timer is None and not (self._strict or self._counted):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(min(loop.time() + GRACE, self._ends_at - SPARE), self._grace_is_over)
        if not self._is_within_budget() or nbytes < READ:
            return
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._read_on)

    def eof_received(self) -> None:
        self._closed()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and not self.done.done():
            self.done.set_exception(error)
        self._closed()

    def _parse_timed(self, data: memoryview | bytes) -> None:
        began = time.thread_time()  # not of the wall: whoever else has the core or the interpreter meanwhile is not the node
        self._parse(data)
        self._parsing += min(time.thread_time() - began, ONE_READ * (1 + len(data) // READ))

    def _parse(self, data: memoryview | bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end()
        except (httptools.HttpParserError, BrokenAnswerError) as error:
            if not self.done.done():
                self._refused(error)
        except _BrokenOff:
            pass

    def _refused(self, error: Exception) -> None:
        """The strict parser takes no such answer; others may."""
        is_http, is_first = self.raw[:5].upper() == b"HTTP/", not isinstance(self._parser, TolerantParser)
        if is_http and is_first and not self._strict and len(self.raw) == self._received:
            self._begin()
            if self.body is not None:
                self.body.forget()
            self._parser = TolerantParser(self, head=self._head)
            self._parse_timed(self.raw)
            return
        if is_http:
            self._break(f"the answer is broken HTTP: {_reason(error)}")
        elif self.raw.startswith(_TLS_ALERT):
            self._break("the answer is no HTTP but TLS: tick https")
        else:
            begins = self.raw[:SHOWN].partition(b"\n")[0].strip()
            readable = begins.isascii() and begins.decode().isprintable()
            self._break(
                f"the answer is no HTTP, it begins with “{begins.decode()}”" if begins and readable else "the answer is no HTTP"
            )

    def _is_within_budget(self) -> bool:
        if self.status < 200 and self._received > MOST_HEAD:
            self._break("the headers of the answer are too long")
        elif self._received > MOST_BYTES:
            self._break(f"the answer is longer than {MOST_BYTES // 1024} KiB with a body of under {MOST_BODY // 1024} KiB")
        elif self._reads > MOST_READS:
            self._break(f"the answer comes in more than {MOST_READS} pieces")
        elif self._parsing > MOST_PARSING:
            self._break(f"the answer takes longer than {MOST_PARSING * 1000:g} ms to take apart")
        return not self.done.done()

    def _read_on(self) -> None:
        if not self.done.done():
            self._transport.resume_reading()

    def _closed(self) -> None:
        """An answer without a length ends with the connection; any other end is too early."""
        if self.done.done():
            return
        if not self._received:
            self._break("the connection was closed without an answer")
        elif self.status >= 200 and not self._sized:
            self._end()
        else:
            self._break("the answer ended half way")

    # the parsers call these

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._header_bytes += len(name) + len(value)
        if self._fields > MOST_FIELDS or self._header_bytes > MOST_HEAD:
            many = f"the answer has more than {MOST_FIELDS} header fields"
            self._break(many if self._fields > MOST_FIELDS else "the headers of the answer are too long")
            raise _BrokenOff
        lowered = name.lower()
        if lowered == b"content-length":
            self._sized = self._counted = True
        elif lowered == b"transfer-encoding":
            self._sized = True
        elif lowered in _NOTED:
            self._note(lowered, value)

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"location":
            self.location = value
        elif name == b"retry-after":
            self.retry_after = value
        elif name == b"set-cookie":
            self.cookies.append(value)
        elif name == b"content-encoding":
            self._coding = value
        else:
            self._content_type = value

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        if self.body is None:
            self.decided_at = time.monotonic()
        else:
            self.body.begin(self._coding, self._content_type)
        if self._head:
            self._end()

    def on_body(self, body: bytes) -> None:
        self.taken += len(body)
        if self.body is None and len(self.beginning) < KEPT:
            self.beginning += body[:KEPT]
        if self.body is not None and not self.decided_at and self.body.add(body):
            self.decided_at = time.monotonic()
            if not self._strict:
                self._end()
        if self.taken >= MOST_BODY:
            self._end()
        if self.done.done():
            raise _BrokenOff

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._end()
            return
        self._sized = self._counted = False  # an interim answer's headers are not the answer's
        self.location, self.cookies = b"", []
        self.retry_after = self._coding = self._content_type = b""
        self._interim += 1
        if self._interim > MOST_INTERIM:
            self._break(f"more than {MOST_INTERIM} interim answers (100, 103) came instead of the answer")
            raise _BrokenOff

    @property
    def ended(self) -> bool:
        """Whether it came as far as it had to."""
        return self.done.done() and not self.done.cancelled() and self.done.exception() is None

    def head(self) -> bytes:
        """The last head as it came, as far as it is kept."""
        begins, ends = self._last_head()
        return self.raw[begins : ends or None]

    def _last_head(self) -> tuple[int, int]:
        """Where it begins and ends; the end is 0 while it has none."""
        begins = ends = 0
        for _ in range(1 + self._interim):
            begins = ends
            found = _HEAD_ENDS.search(self.raw, begins)
            if found is None:
                return begins, 0
            ends = found.end()
        return begins, ends

    def _grace_is_over(self) -> None:
        self.goes_on = True
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            if self.body is not None:
                self.body.end()
            self.decided_at = self.decided_at or time.monotonic()
            self.done.set_result(None)
            self._forget_timer()

    def _break(self, sentence: str) -> None:
        if not self.done.done():
            self.done.set_exception(ProbeFailure(sentence))
            self._forget_timer()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_NOTED = frozenset({b"location", b"retry-after", b"set-cookie", b"content-encoding", b"content-type"})


def _reason(error: Exception) -> str:
    """What a parser says, as the rest of a sentence."""
    said = str(error)
    return said[:1].lower() + said[1:] if said[1:2].islower() else said
