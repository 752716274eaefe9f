"""Answers without end, of every kind we know: how each begins, what is repeated, and what is said of the node."""

from __future__ import annotations

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_HEAD = "the headers of the answer are too long"
FIELDS = "the answer has more than 256 header fields"
INTERIM = "more than 8 interim answers (100, 103) came instead of the answer"
LONG = "the answer is longer than 128 KiB with a body of under 64 KiB"

# how the answer begins, what is repeated without end, what is said of it
FLOODS = {
    "fields behind the body": (CHUNKED + b"0\r\n", b"a: b\r\n", FIELDS),
    "long fields behind the body": (CHUNKED + b"0\r\n", b"a: " + b"b" * 1000 + b"\r\n", LONG_HEAD),
    "one field behind the body": (CHUNKED + b"0\r\nX: ", b"x", LONG),
    "answers 100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", INTERIM),
    "answers 103": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", INTERIM),
    "long answers 103": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 9000 + b"\r\n\r\n", LONG_HEAD),
    "an extension of a chunk": (CHUNKED + b"1", b";a=b", LONG),
    "zeros before the size of a chunk": (CHUNKED, b"0", LONG),
    "header fields": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", FIELDS),
    "one value of a header": (b"HTTP/1.1 200 OK\r\nX: ", b"x", LONG_HEAD),
    "one name of a header": (b"HTTP/1.1 200 OK\r\n", b"x", LONG_HEAD),
    "the words behind the status": (b"HTTP/1.1 200 ", b"x", LONG_HEAD),
}
