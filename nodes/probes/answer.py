"""Reads one HTTP answer within a budget, so that no node costs the others their checks.

Whatever state the parser is in, each read is counted: bytes of the whole answer, bytes up to the end of its headers, pieces, header
fields (those behind the body too), interim answers (100, 103), and the parser's time.  A read is short, and what fills it waits for
the next turn of the loop, so that a flood from many nodes at once stalls nobody.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

import httptools

from nodes.probes.outcome import ProbeFailure

READ = 4096  # bytes taken from a connection in one turn of the loop
MOST_BODY = 64 * 1024  # bytes; what follows is not read
MOST_HEAD = 16 * 1024  # bytes up to the end of the headers, interim answers included
MOST_BYTES = 128 * 1024  # of the whole answer: head, body, and what frames it
MOST_READS = 1024  # pieces in which an answer comes: each costs a turn of the loop, however short it is
MOST_FIELDS = 256  # header fields, of interim answers and behind the body too
MOST_INTERIM = 8  # answers of the kind 1xx
MOST_PARSING = 0.005  # s of the parser's time, summed over reads
ONE_READ = 0.001  # s that a read can take at the most; what goes beyond is a garbage collection of ours

_room = memoryview(bytearray(READ))  # of all answers: what is read is parsed before anybody else reads


class _BrokenOff(Exception):  # noqa: N818 - it ends the parsing, nothing more
    """Raised inside of the parser, so that it parses no further."""


class Answer(asyncio.BufferedProtocol):
    """Collects one answer; `done` ends with it, or with the exception that broke it off."""

    def __init__(self, request: bytes, *, head: bool, done: asyncio.Future[None]) -> None:
        self._request, self._head = request, head
        self._parser = httptools.HttpResponseParser(self)
        self._received = self._reads = self._header_bytes = self._fields = self._interim = 0
        self._parsing = 0.0
        self._sized = False
        self.done = done
        self.status = 0
        self.location = b""
        self.body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of asyncio's
        self._transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _room

    def buffer_updated(self, nbytes: int) -> None:
        if self.done.done():
            return
        first = not self._received
        self._received += nbytes
        self._reads += 1
        if first and nbytes < READ:
            self._parse(nbytes)  # nearly every answer; it is too short to take long
        else:
            began = time.thread_time()  # not of the wall: whoever else has the core or the interpreter meanwhile is not the node
            self._parse(nbytes)
            self._parsing += min(time.thread_time() - began, ONE_READ)
        if self.done.done():
            return
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

    def _parse(self, nbytes: int) -> None:
        try:
            self._parser.feed_data(_room[:nbytes])
        except httptools.HttpParserUpgrade:
            self._end()
        except httptools.HttpParserError:
            self._break("the answer is no HTTP" if not self.status else "the answer is broken HTTP")

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

    # httptools calls these

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._header_bytes += len(name) + len(value)
        if self._fields > MOST_FIELDS or self._header_bytes > MOST_HEAD:
            many = f"the answer has more than {MOST_FIELDS} header fields"
            self._break(many if self._fields > MOST_FIELDS else "the headers of the answer are too long")
            raise _BrokenOff
        lowered = name.lower()
        if lowered == b"location":
            self.location = value
        elif lowered in (b"content-length", b"transfer-encoding"):
            self._sized = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self._head and self.status >= 200:
            self._end()

    def on_body(self, body: bytes) -> None:
        self.body += body[: MOST_BODY - len(self.body)]
        if len(self.body) >= MOST_BODY:
            self._end()
        if self.done.done():
            raise _BrokenOff

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._end()
            return
        self._sized, self.location = False, b""  # an interim answer's headers are not the answer's
        self._interim += 1
        if self._interim > MOST_INTERIM:
            self._break(f"more than {MOST_INTERIM} interim answers (100, 103) came instead of the answer")
            raise _BrokenOff

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _break(self, sentence: str) -> None:
        if not self.done.done():
            self.done.set_exception(ProbeFailure(sentence))
