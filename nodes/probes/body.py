"""The body of an answer of which something is expected: decoded and searched as it comes, so that a stream need not end.

Compressed bodies are taken apart within the same bounds; text is compared in the charset that the answer says, or begins with.
"""

from __future__ import annotations

import codecs
import re
import time
import zlib
from encodings.aliases import aliases
from functools import lru_cache

import regex

from nodes.probes.spec import CheckSpec

MOST_BODY = 64 * 1024  # bytes, decoded or not; what follows is not read
EXPRESSION_TIME = 0.005  # s that a regular expression may take for one answer
_WANTS_THE_END = re.compile(r"\$|\\[ZzbB]|\(\?[=!]")  # of an expression: what comes later may undo a match
_SINGLE = re.compile(r"iso8859-\d+|cp(437|720|737|775|8\d\d|1006|1026|1125|1140|125\d)|koi8-[rtu]|mac-\w+")
_STATEFUL = ("iso2022", "hz")
_NAMES = frozenset(aliases) | frozenset(aliases.values())
_TRIES = 8  # of an expression while the answer still comes
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_.:+-]{1,40})", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK, _MARK_BEGINS = 4, b"\xef\xff\xfe\0"  # bytes
# What is read; Python knows others that take a time which grows with the square of the text, or run it through more than a table.
_CHARSETS = re.compile(
    r"ascii|utf-(8|16|32)(-[lb]e)?|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|gb\w+|hz|big5\w*|euc_\w+|shift_jis\w*|iso2022_\w+|johab"
)


@lru_cache(maxsize=1024)
def expression(pattern: str) -> regex.Pattern[str]:
    """The compiled expression; raises `regex.error`."""
    return regex.compile(pattern)


def check_expression(pattern: str) -> None:
    """Raise `ValueError` with a sentence unless it can be compiled."""
    try:
        expression(pattern)
    except (regex.error, RecursionError) as error:
        raise ValueError(f"This is no regular expression: {error}.") from None


class Body:
    """Collects what is decoded, up to `MOST_BODY`; `found` says whether the text that must be there is."""

    def __init__(self, spec: CheckSpec) -> None:
        self._spec = spec
        self._ends_early = not (spec.body_excludes or spec.json_path or _WANTS_THE_END.search(spec.body_matches))
        self.forget()

    def forget(self) -> None:
        """Begin anew: the answer is read once more from its beginning."""
        self._inflate: zlib._Decompress | None = None
        self._may_be_raw = False  # what calls itself deflate comes with zlib's head or without
        self._charset = ""
        self._needle = self._coded = b""
        self._text, self._text_of = "", -1  # of so many bytes
        self._searched = self._tries = 0
        self._spent = 0.0
        self.data = bytearray()
        self.found = not self._spec.body_contains
        self.matched = not self._spec.body_matches
        self.trouble = ""  # why it cannot be read

    def begin(self, coding: bytes, content_type: bytes) -> None:
        """The head is there."""
        named = coding.strip().lower()
        if named in (b"gzip", b"x-gzip", b"deflate"):
            self._inflate, self._may_be_raw = zlib.decompressobj(47), named == b"deflate"
        elif named not in (b"", b"identity"):
            self.trouble = f"its body is encoded as {named[:20].decode('latin-1')}, which is not read here"
        if charset := _CHARSET.search(content_type):
            self._charset = _known(charset[1].decode())

    def add(self, part: bytes) -> bool:
        """Take what came; True once nothing more has to come."""
        if self.trouble:
            return True
        self.data += self._decoded(part)[: MOST_BODY - len(self.data)]
        self._search()
        full = len(self.data) >= MOST_BODY
        return full or bool(self.trouble) or (self._ends_early and self.found and self._matches())

    def end(self) -> None:
        """Nothing more comes: what was not decided by its pieces is looked at as a whole."""
        if not self.found:
            self.found = self._spec.body_contains in self.text()
        if self._inflate is not None and not self._inflate.eof and len(self.data) < MOST_BODY and not self._ends_early:
            self.trouble = self.trouble or "its compressed body breaks off"
        if not self.matched and not self.trouble:
            self._try(EXPRESSION_TIME, last=True)

    def text(self) -> str:
        """What was decoded, as text; what its charset does not know becomes U+FFFD."""
        if self._text_of != len(self.data):
            self._text, self._text_of = _decoded(bytes(self.data), self._in_force()).removeprefix("\ufeff"), len(self.data)
        return self._text

    def _decoded(self, part: bytes) -> bytes:
        if self._inflate is None:
            return part
        if self._may_be_raw and not self.data:
            self._coded += part
        try:
            return self._inflate.decompress(part, MOST_BODY - len(self.data) or 1)
        except zlib.error:
            if self._may_be_raw and not self.data:
                self._may_be_raw, self._inflate = False, zlib.decompressobj(-15)
                return self._decoded(self._coded)
            self.trouble = "its body is not compressed as its head says"
            return b""

    def _in_force(self) -> str:
        """A mark at the beginning counts for more than the head, as in browsers; without either it is UTF-8."""
        marked = next((name for mark, name in _MARKS if self.data.startswith(mark)), "")
        return marked or {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(self._charset, self._charset) or "utf-8"

    def _search(self) -> None:
        if self.found or not self.data:
            return
        if not self._needle:
            if len(self.data) < _LONGEST_MARK and self.data[0] in _MARK_BEGINS:
                return  # the rest of the mark may be on its way
            if self._in_force().startswith(_STATEFUL):  # the same text is not the same bytes everywhere
                self.found = self._spec.body_contains in self.text()
                return
            self._needle = _encoded(self._spec.body_contains, self._in_force())
        self.found = self.data.find(self._needle, max(0, self._searched - len(self._needle) + 1)) >= 0
        self._searched = len(self.data)

    def _matches(self) -> bool:
        """Whether the expression matches what came so far; it is tried a few times, then at the end alone."""
        if not self.matched and self._tries < _TRIES and self._spent < EXPRESSION_TIME / 2:
            self._tries += 1
            self._try(EXPRESSION_TIME / 2, last=False)
        return self.matched

    def _try(self, seconds: float, *, last: bool) -> None:
        began = time.thread_time()
        try:
            self.matched = expression(self._spec.body_matches).search(self.text(), timeout=seconds) is not None
        except TimeoutError:
            if last:
                self.trouble = f"the expression took longer than {EXPRESSION_TIME * 1000:g} ms on its body"
        self._spent += time.thread_time() - began


@lru_cache(maxsize=64)
def _table(charset: str) -> str:
    """The characters of a charset of single bytes."""
    return "".join(bytes([byte]).decode(charset, "replace") for byte in range(256))


def _decoded(data: bytes, charset: str) -> str:
    """By a table where there is one: the library takes a time for each byte that its charset does not know."""
    if _SINGLE.fullmatch(charset):
        return codecs.charmap_decode(data, "strict", _table(charset))[0]
    return data.decode(charset, "replace")


def _known(charset: str) -> str:
    """Python's name of it; a charset that nobody knows is taken for UTF-8, as browsers do."""
    named = charset.lower().replace("-", "_").replace(" ", "_")
    if named not in _NAMES and named.replace(".", "_") not in _NAMES:  # the library remembers each name that it is asked for
        return ""
    try:
        found = codecs.lookup(charset)
    except LookupError:
        return ""
    return found.name if _CHARSETS.fullmatch(found.name) else ""


def _encoded(text: str, charset: str) -> bytes:
    try:
        return text.encode(charset)
    except UnicodeEncodeError:  # it cannot occur in such a body
        return text.encode()
