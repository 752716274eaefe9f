"""Odd answers as servers give them, a row each: what comes over the wire, what the check is told, verdict and message, curl's exit.

`curl` is the exit of `curl --fail`, 22 for a status that it takes for a failure; None where we decide differently, `why` says how.
"""
# ruff: noqa: E501 - a row each

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK_HEAD = b"HTTP/1.1 200 OK\r\n"
WELL = b"all is well"


@dataclass(frozen=True)
class Odd:
    """One row."""

    name: str
    answer: bytes
    message: str = ""
    verdict: str = ""  # by the message, unless it is a warning
    check: Mapping[str, Any] = field(default_factory=dict)
    curl: int | None = 0
    why: str = ""
    closes: bool = True  # the server, after its answer

    @property
    def expected(self) -> tuple[str, str]:
        """Verdict and message."""
        return self.verdict or ("fail" if self.message else "pass"), self.message


def with_body(body: bytes, *lines: bytes) -> bytes:
    return OK_HEAD + b"".join(line + b"\r\n" for line in lines) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + end


TEXT = {"body_contains": "all is well"}
STRICT = {"strict": True}
BROKEN = "the answer is broken HTTP: "


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


HEADS = (
    Odd("bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 11\n\nall is well", check=TEXT),
    Odd("line feeds mixed with both", b"HTTP/1.1 200 OK\r\nContent-Length: 11\n\nall is well", check=TEXT),
    Odd("bare line feeds, strictly", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", BROKEN + "missing expected CR after response line", check=STRICT),
    Odd("bare carriage returns", b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok", "the answer ended half way", curl=52),
    Odd("two carriage returns", b"HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\r\n\r\r\nok"),
    Odd("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a space and no reason", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"),
    Odd("a reason in Latin-1", b"HTTP/1.1 200 Tr\xe8s bien\r\nContent-Length: 2\r\n\r\nok"),
    Odd("two spaces before the status", b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok"),
    Odd("two spaces, strictly", b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok", BROKEN + "invalid status code", check=STRICT),
    Odd("http in small letters", b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    Odd("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nall is well", check=TEXT),
    Odd("HTTP/1.0 that keeps the connection", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", closes=False),
    Odd("HTTP/2 in letters", b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok"),
    Odd("HTTP/1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", BROKEN + "it is of an HTTP version that does not exist", curl=1),
    Odd("HTTP/3 in letters", b"HTTP/3 200\r\nContent-Length: 2\r\n\r\nok", BROKEN + "it is of an HTTP version that does not exist", curl=None, why="curl takes it, as it speaks HTTP/3 itself"),
    Odd("ICY", b"ICY 200 OK\r\n\r\nok", "the answer is no HTTP, it begins with “ICY 200 OK”", curl=1),
    Odd("HTTP/0.9", b"all is well", "the answer is no HTTP, it begins with “all is well”", curl=1),
    Odd("a mark before the status line", b"\xef\xbb\xbf" + with_body(b"ok"), "the answer is no HTTP", curl=1),
    Odd("an empty line before the status line", b"\r\n" + with_body(b"ok"), curl=None, why="RFC 9112, 2.2 has it ignored; curl takes it for HTTP/0.9"),
    Odd("a status of two digits", b"HTTP/1.1 99 OK\r\n\r\n", BROKEN + "its first line is no status line", curl=1),
    Odd("a status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n", BROKEN + "its first line is no status line", curl=1),
    Odd("a status above 599", b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok", "answered 600, expected 200-299", curl=22),
    Odd("a status in words", b"HTTP/1.1 OK\r\n\r\n", BROKEN + "its first line is no status line", curl=1),
    Odd("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is no HTTP, it begins with “SSH-2.0-OpenSSH_9.6”", curl=1),
    Odd("SMTP", b"220 mail.example ESMTP\r\n", "the answer is no HTTP, it begins with “220 mail.example ESMTP”", curl=1),
    Odd("TLS", b"\x15\x03\x03\x00\x02\x02\x46", "the answer is no HTTP but TLS: tick https", curl=1),
    Odd("nothing", b"", "the connection was closed without an answer", curl=52),
    Odd("half a head", b"HTTP/1.1 200 OK\r\nContent-", "the answer ended half way", curl=None, why="curl takes a head without its end"),
)  # fmt: skip  # a row each

FIELDS = (
    Odd("the same length twice", b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 11\r\n\r\nall is well", check=TEXT),
    Odd("the same length in one line", b"HTTP/1.1 200 OK\r\nContent-Length: 11, 11\r\n\r\nall is well", check=TEXT),
    Odd("the same length twice, strictly", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", BROKEN + "duplicate Content-Length", check=STRICT),
    Odd("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", BROKEN + "it says two different lengths", curl=18),
    Odd("a length beside chunks", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("chunks beside a length", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("a length with a plus", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", BROKEN + "its length is no number", curl=None, why="curl reads the number behind the plus"),
    Odd("a length below zero", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", BROKEN + "its length is no number", curl=8),
    Odd("a length in words", b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", BROKEN + "its length is no number", curl=8),
    Odd("an empty length", b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok", BROKEN + "its length is no number", curl=8),
    Odd("a length with zeros before", b"HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nok"),
    Odd("a length that is too large", b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nall is well", "the answer ended half way", curl=18),
    Odd("a length that is too small", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall is well", check={"body_contains": "all"}),
    Odd("bytes behind the end", with_body(b"ok") + b"\r\nmore"),
    Odd("bytes behind the end, strictly", with_body(b"ok", b"Connection: close") + b"\r\nmore", check=STRICT),
    Odd("a space before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"),
    Odd("a space in a name", b"HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a folded header", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a folded header by a tab", b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a line without a colon", b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\nok", BROKEN + "a header line has no colon", curl=8),
    Odd("an empty name", b"HTTP/1.1 200 OK\r\n: z\r\nContent-Length: 2\r\n\r\nok"),
    Odd("brackets in a name", b"HTTP/1.1 200 OK\r\nX[a]: z\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a dot and an underline in a name", b"HTTP/1.1 200 OK\r\nx_y.z: 1\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a value in Latin-1", b"HTTP/1.1 200 OK\r\nX: \xe9\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a value in UTF-8", "HTTP/1.1 200 OK\r\nX: ü\r\nContent-Length: 2\r\n\r\nok".encode()),
    Odd("a control character in a value", b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 2\r\n\r\nok"),
    Odd("a NUL in a value", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", BROKEN + "a header holds a NUL", curl=8),
    Odd("a carriage return in a value", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"),
    Odd("no space behind the colon", b"HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nok"),
    Odd("an empty value", b"HTTP/1.1 200 OK\r\nX:\r\nContent-Length: 2\r\n\r\nok"),
    Odd("names in capitals", b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\n\r\nok"),
    Odd("an upgrade that is offered", with_body(b"ok", b"Upgrade: h2,h2c", b"Connection: Upgrade")),
    Odd("many fields", OK_HEAD + b"a: b\r\n" * 250 + b"Content-Length: 2\r\n\r\nok"),
    Odd("too many fields", OK_HEAD + b"a: b\r\n" * 300 + b"Content-Length: 2\r\n\r\nok", "the answer has more than 256 header fields", curl=None, why="our budget"),
    Odd("a head that is too long", OK_HEAD + b"a: " + b"b" * 20_000 + b"\r\nContent-Length: 2\r\n\r\nok", "the headers of the answer are too long", curl=None, why="our budget"),
    Odd("a NUL in a bare-feed head", b"HTTP/1.1 200 OK\nX: a\0b\n\nok", BROKEN + "a header holds a NUL", curl=8),
)  # fmt: skip  # a row each

INTERIM = (
    Odd("100 first", b"HTTP/1.1 100 Continue\r\n\r\n" + with_body(WELL), check=TEXT),
    Odd("103 first", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + with_body(WELL), check=TEXT),
    Odd("102 twice", b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + with_body(b"ok")),
    Odd("103 that closes, in words", b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + with_body(b"ok")),
    Odd("103 with a length", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n" + with_body(b"ok"), curl=None, why="curl reads 7 bytes of a body that 103 cannot have"),
    Odd("100 by bare line feeds", b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    Odd("100 before HEAD's", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", check={"method": "HEAD"}),
    Odd("103 before HEAD's", b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", check={"method": "HEAD"}),
    Odd("100 before an answer to POST", b"HTTP/1.1 100 Continue\r\n\r\n" + with_body(b"ok"), check={"method": "POST", "body": b"x"}),
    Odd("100 before an answer to OPTIONS", b"HTTP/1.1 100 Continue\r\n\r\n" + with_body(b"ok"), check={"method": "OPTIONS"}),
    Odd("100 and nothing more", b"HTTP/1.1 100 Continue\r\n\r\n", "the answer ended half way", curl=52),
    Odd("nine of 100", b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + with_body(b"ok"), "more than 8 interim answers (100, 103) came instead of the answer", curl=None, why="our budget"),
    Odd("101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "answered 101, expected 200-299", curl=52),
    Odd("101 that is expected", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", check={"expected_status": "101"}, curl=None, why="curl has nothing to read"),
)  # fmt: skip  # a row each

BODIES = (
    Odd("no body and no length", b"HTTP/1.1 200 OK\r\n\r\n"),
    Odd("a body until the end", OK_HEAD + b"\r\nall is well", check=TEXT),
    Odd("204", b"HTTP/1.1 204 No Content\r\n\r\n", closes=False),
    Odd("204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", closes=False),
    Odd("204 with a length by bare line feeds", b"HTTP/1.1 204 No Content\nContent-Length: 2\n\n", closes=False),
    Odd("205", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", closes=False),
    Odd("304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "answered 304, expected 200-299", curl=None, why="curl takes what is below 400", closes=False),
    Odd("HEAD with a length", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", check={"method": "HEAD"}, closes=False),
    Odd("HEAD by bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 500\n\n", check={"method": "HEAD"}, closes=False),
    Odd("HEAD that has a body", with_body(b"ok"), check={"method": "HEAD"}),
    Odd("chunks", chunked(b"all is", b" well"), check=TEXT),
    Odd("Chunked in capitals", OK_HEAD + b"Transfer-Encoding: CHUNKED\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("chunks said twice", OK_HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("identity with a length", OK_HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 11\r\n\r\nall is well", check=TEXT),
    Odd("chunks by bare line feeds", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\nall is well\n0\n\n", check=TEXT),
    Odd("all by bare line feeds, in chunks", b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nb\nall is well\n0\n\n", check=TEXT),
    Odd("spaces behind the size of a chunk", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nb  \r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("zeros before the size of a chunk", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n00b\r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("an extension of a chunk", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nb;a=b\r\nall is well\r\n0\r\n\r\n", check=TEXT),
    Odd("trailers", chunked(b"all is well", end=b"0\r\nX-Sum: 1\r\n\r\n"), check=TEXT),
    Odd("trailers by bare line feeds", OK_HEAD.replace(b"\r", b"") + b"Transfer-Encoding: chunked\n\nb\nall is well\n0\nX: y\n\n", check=TEXT),
    Odd("the size of a chunk in words", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", BROKEN + "the size of a chunk is no number", curl=56),
    Odd("a chunk that is longer than it says", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nall is well\r\n0\r\n\r\n", BROKEN + "a chunk is longer than it says", curl=56),
    Odd("a chunk without its end", OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nb\r\nall is well0\r\n\r\n", BROKEN + "a chunk is longer than it says", curl=56),
    Odd("chunks that break off", chunked(b"all is well", end=b""), "the answer ended half way", curl=18),
    Odd("chunks that break off behind the text", chunked(b"all is well", end=b""), check=TEXT, curl=None, why="decided before it breaks off"),
    Odd("a length that breaks off behind the text", OK_HEAD + b"Content-Length: 99\r\n\r\nall is well", check=TEXT, curl=None, why="decided before it breaks off"),
    Odd("half a body", OK_HEAD + b"Content-Length: 99\r\n\r\nall is", "the answer ended half way", check=TEXT, curl=18),
    Odd("half a body, strictly", OK_HEAD + b"Content-Length: 99\r\n\r\nall is well", "the answer ended half way", check=TEXT | STRICT, curl=18),
    Odd("half a body of a failure", b"HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\nbroken", "answered 500, expected 200-299", curl=22),
    Odd("broken chunks of a failure", b"HTTP/1.1 502 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "answered 502, expected 200-299", curl=22),
    Odd("a stream that goes on", chunked(b"data: all is well\n\n", end=b""), check=TEXT, curl=None, why="curl waits for its end", closes=False),
    Odd("a stream of which nothing is expected", chunked(b"data: 1\n\n", end=b""), curl=None, why="curl waits for its end", closes=False),
    Odd("a stream without a length", OK_HEAD + b"Content-Type: text/event-stream\r\n\r\ndata: all is well\n\n", check=TEXT, curl=None, why="as above", closes=False),
    Odd("a stream that does not say it", chunked(b"data: 1\n\n", end=b""), "answered 200, but without the text “all is well” within 1 s", check=TEXT, curl=None, why="as above", closes=False),
    Odd("a stream, strictly", chunked(b"data: all is well\n\n", end=b""), "answered 200, but the answer did not end within 1 s", check=TEXT | STRICT, curl=None, why="as above", closes=False),
    Odd("a length that is not reached", OK_HEAD + b"Content-Length: 99\r\n\r\nall", "answered 200, but the answer did not end within 1 s", curl=None, why="curl waits on", closes=False),
    Odd("a text behind 64 KiB", with_body(b"x" * 66_000 + WELL), "answered 200 without the text “all is well”", check=TEXT, curl=None, why="our budget"),
    Odd("a text at the end of 60 KiB", with_body(b"x" * 60_000 + WELL), check=TEXT),
    Odd("a text between two chunks", chunked(b"x" * 5000 + b"all is", b" well" + b"x" * 5000), check=TEXT),
)  # fmt: skip  # a row each

CODINGS = (
    Odd("gzip", with_body(gzip.compress(WELL), b"Content-Encoding: gzip"), check=TEXT),
    Odd("x-gzip", with_body(gzip.compress(WELL), b"Content-Encoding: x-gzip"), check=TEXT),
    Odd("deflate with zlib's head", with_body(zlib.compress(WELL), b"Content-Encoding: deflate"), check=TEXT),
    Odd("deflate without a head", with_body(raw_deflate(WELL), b"Content-Encoding: deflate"), check=TEXT),
    Odd("gzip in chunks of a byte", chunked(*(bytes([each]) for each in gzip.compress(WELL))) .replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1), check=TEXT),
    Odd("gzip that is none", with_body(WELL, b"Content-Encoding: gzip"), "answered 200, but its body is not compressed as its head says", check=TEXT, curl=61),
    Odd("gzip that is none and does not matter", with_body(WELL, b"Content-Encoding: gzip"), curl=None, why="nothing is expected of it"),
    Odd("a coding that nobody knows", with_body(WELL, b"Content-Encoding: zebra"), "answered 200, but its body is encoded as zebra, which is not read here", check=TEXT, curl=61),
    Odd("identity", with_body(WELL, b"Content-Encoding: identity"), check=TEXT),
    Odd("gzip that breaks off", with_body(gzip.compress(WELL * 50)[:-9], b"Content-Encoding: gzip"), "answered 200, but its compressed body breaks off", check={"body_excludes": "fault"}, curl=None),
    Odd("a bomb of 50 MB", with_body(gzip.compress(b"x" * 50_000_000), b"Content-Encoding: gzip"), "answered 200 without the text “all is well”", check=TEXT, curl=None, why="our budget"),
    Odd("UTF-8 with a mark", with_body(b"\xef\xbb\xbf" + "läuft gut".encode()), check={"body_contains": "läuft gut"}),
    Odd("Latin-1 by its head", with_body("läuft gut".encode("latin-1"), b"Content-Type: text/plain; charset=ISO-8859-1"), check={"body_contains": "läuft gut"}),
    Odd("Latin-1 in quotes", with_body("läuft gut".encode("latin-1"), b'Content-Type: text/plain; Charset="latin1"'), check={"body_contains": "läuft gut"}),
    Odd("Windows' euro", with_body("5 €".encode("cp1252"), b"Content-Type: text/html; charset=windows-1252"), check={"body_contains": "5 €"}),
    Odd("UTF-16 with a mark", with_body("läuft gut".encode("utf-16")), check={"body_contains": "läuft gut"}),
    Odd("UTF-16 by its head", with_body("läuft gut".encode("utf-16-le"), b"Content-Type: text/plain; charset=utf-16"), check={"body_contains": "läuft gut"}),
    Odd("big-endian UTF-16 with a mark", with_body(b"\xfe\xff" + "läuft gut".encode("utf-16-be")), check={"body_contains": "läuft gut"}),
    Odd("Shift JIS", with_body("正常".encode("shift_jis"), b"Content-Type: text/plain; charset=Shift_JIS"), check={"body_contains": "正常"}),
    Odd("ISO-2022-JP", with_body("日本語のページ".encode("iso2022_jp"), b"Content-Type: text/plain; charset=ISO-2022-JP"), check={"body_contains": "日本"}),
    Odd("Windows' Greek with what it does not know", with_body(b"\xff" * 60_000 + "καλά".encode("cp1253"), b"Content-Type: text/plain; charset=windows-1253"), check={"body_contains": "καλά", "body_excludes": "x", "body_matches": "λ"}),
    Odd("a charset that nobody knows", with_body("läuft gut".encode(), b"Content-Type: text/plain; charset=zebra"), check={"body_contains": "läuft gut"}),
    Odd("a charset that takes long", with_body(b"x" * 60_000 + b"-", b"Content-Type: text/plain; charset=punycode"), "answered 200 without the text “läuft”", check={"body_contains": "läuft"}, curl=None, why="no such text"),
    Odd("Latin-1 that says UTF-8", with_body("läuft".encode("latin-1"), b"Content-Type: text/plain; charset=utf-8"), "answered 200 without the text “läuft”", check={"body_contains": "läuft"}, curl=None, why="no such text"),
)  # fmt: skip  # a row each


def json(text: str, path: str, how: str, value: str, message: str = "") -> Odd:
    check = {"json_path": path, "json_operator": how, "json_value": value}
    return Odd(
        f"{path} {how} {value} of {text[:40]}", with_body(text.encode()), message, check=check, curl=0 if not message else None
    )


EXPECTATIONS = (
    Odd("what must not be there", with_body(WELL), check={"body_excludes": "Traceback"}),
    Odd("what must not be there, and is", with_body(b"Traceback"), "answered 200 with the text “Traceback”, which must not be there", check={"body_excludes": "Traceback"}, curl=None),
    Odd("an expression", with_body(b"version 12.3"), check={"body_matches": r"version \d+\.\d+"}),
    Odd("an expression that matches nothing", with_body(b"version x"), r"answered 200 with nothing that matches “version \d”", check={"body_matches": r"version \d"}, curl=None),
    Odd("an expression that takes too long", with_body(b"a" * 30_000), "answered 200, but the expression took longer than 5 ms on its body", check={"body_matches": r"(a|aa)+b"}, curl=None),
    Odd("an expression in a stream", chunked(b"data: ready 3\n\n", end=b""), check={"body_matches": r"ready \d"}, curl=None, closes=False),
    json('{"status": "ok"}', "$.status", "eq", "ok"),
    json('{"status": "no"}', "$.status", "eq", "ok", "answered 200, but $.status is “no”, expected = ok"),
    json('{"a": [{"b": 3}]}', "$.a[0].b", "eq", "3"),
    json('{"a": [{"b": 3.0}]}', "$['a'][-1]['b']", "eq", "3"),
    json('{"lag": 3.5}', "$.lag", "lt", "4"),
    json('{"lag": 4.5}', "$.lag", "le", "4", "answered 200, but $.lag is “4.5”, expected ≤ 4"),
    json('{"lag": 10}', "$.lag", "gt", "9"),
    json('{"lag": 10}', "$.lag", "ge", "10"),
    json('{"lag": 10}', "$.lag", "lt", "many", "answered 200, but $.lag is “10”, expected < many"),
    json('{"ready": true}', "$.ready", "eq", "true"),
    json('{"ready": 1}', "$.ready", "eq", "true", "answered 200, but $.ready is “1”, expected = true"),
    json('{"error": null}', "$.error", "eq", "null"),
    json('{"error": "x"}', "$.error", "ne", "null"),
    json("{}", "$.error", "ne", "x"),
    json("{}", "$.status", "eq", "ok", "answered 200, but $.status is nothing there, expected = ok"),
    json("[]", "$[0]", "eq", "1", "answered 200, but $[0] is nothing there, expected = 1"),
    json('{"a": {"b": 1}}', "$.a", "eq", '{"b": 1}'),
    json('{"a": [1, 2]}', "$.a", "eq", "[1]", "answered 200, but $.a is “a list of 2”, expected = [1]"),
    json("<html>", "$.status", "eq", "ok", "answered 200, but $.status is no JSON, expected = ok"),
    json('{"s": 1e99999999999999999999}', "$.s", "gt", "1", "answered 200, but $.s is no JSON, expected > 1"),
    json('{"s": Infinity}', "$.s", "gt", "1", "answered 200, but $.s is no JSON, expected > 1"),
    json('{"s": 1e999}', "$.s", "gt", "1"),
    json("1" * 60_000, "$.s", "gt", "1", "answered 200, but $.s is no JSON, expected > 1"),
    Odd("an expression that wants the end of a stream", chunked(b"status: ok", b"-ish"), "answered 200 with nothing that matches “status: ok$”", check={"body_matches": "status: ok$"}, curl=None),
    json("[" * 30_000, "$[0]", "eq", "1", "answered 200, but $[0] is no JSON, expected = 1"),
    Odd("429", b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "answered 429: the node asks us to slow down", "warn", curl=22),
    Odd("429 that asks for time", b"HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", "answered 429: the node asks us to slow down, asks to be left alone for 30 s", "warn", curl=22),
    Odd("429 that is to fail", b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "answered 429, expected 200-299", check={"warn_status": ""}, curl=22),
    Odd("503 that asks for time", b"HTTP/1.1 503 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", "answered 503, expected 200-299, asks to be left alone for 120 s", curl=22),
    Odd("503 that is a warning", b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "answered 503, which is a warning", "warn", {"warn_status": "500-599"}, curl=22),
    Odd("a retry after nonsense", b"HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", "answered 503, expected 200-299", curl=22),
    Odd("a retry after a date that has passed", b"HTTP/1.1 503 No\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n", "answered 503, expected 200-299, asks to be left alone for 0 s", curl=22),
    *(
        Odd(f"a retry after {given[:24]}…", f"HTTP/1.1 503 No\r\nRetry-After: {given}\r\nContent-Length: 0\r\n\r\n".encode(), "answered 503, expected 200-299", curl=22)
        for given in ("1 Jan 99999999999999999999 00:00:00", "Wed, 21 Oct 2015 99999999999:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 +99999999")
    ),
    Odd("404 that is expected", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", check={"expected_status": "404"}, curl=22),
    Odd("a redirect that is not followed", b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "answered 302, expected 200-299", curl=None, why="curl takes what is below 400"),
    Odd("a redirect without an address", b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\n\r\n", "answered 302, expected 200-299", check={"follow_redirects": True}, curl=None, why="as above"),
)  # fmt: skip  # a row each

ROWS = (*HEADS, *FIELDS, *INTERIM, *BODIES, *CODINGS, *EXPECTATIONS)
