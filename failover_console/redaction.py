"""Takes secrets out of text that is to be kept or shown: log lines, tracebacks, what the programs print.

Known by three ways, each enough: the value itself (the console's own keys and passwords), the place where it stands (an address of
a push, a header, a parameter, a password in an address), and its shape (tokens, signing secrets, keys of services).
A stranger chooses what is in the text: no pattern goes over a part of it again and again, so that the time grows with the length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

HIDDEN = "[hidden]"
_SHORTEST = 6  # characters of a value that is looked for as it is; a shorter one would hide ordinary words
_SLASH = r"(?:/|%2F)"
_NAMES = (
    r"(?:[\w.-]{0,40}(?:password|passwd|secret|token|signature)|(?:[\w.-]{0,40}[_-])?(?:api|routing|integration|access|encryption)[_-]?keys?"
    r"|secret_key|sessionid|__host-failover-(?:session|csrf)|failover-(?:session|csrf)-\d+)"
)


def _hide_path(found: re.Match[str]) -> str:
    """What follows the node's part of a push's address, but for the slashes at its end."""
    secret = found[2].rstrip("/")
    return f"{found[1]}{HIDDEN}{found[2][len(secret) :]}" if secret else found[0]


def _hide_query(found: re.Match[str]) -> str:
    address, mark, query = found[0].partition("?")
    return f"{address}?{HIDDEN}" if mark and query and not address.endswith("://") else found[0]


_PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # Places.
        (rf"(\bpush(?:{_SLASH})++[^\s/?#\"'<>%]++(?:{_SLASH})++)([^\s?#\"'<>]++)", _hide_path),
        (r"(hooks\.slack(?:-gov)?\.[a-z]+/(?:services|workflows|triggers)/)[^\s\"'<>]+", rf"\1{HIDDEN}"),
        (r"(/services/T\w*/B\w*/)[\w-]+", rf"\1{HIDDEN}"),
        (r"\b([a-z][a-z0-9+.-]{1,20}://)[^\s/\"'<>@:]{0,200}:[^\s/\"'<>]{0,200}@", rf"\1{HIDDEN}@"),
        (r"\bhttps?://[^\s\"'<>]++", _hide_query),
        (r"(\b(?:proxy-)?authorization[\"']?\s*[:=,]\s*+b?+[\"']?+)(?!\[hidden)[^\r\n\"']+", rf"\1{HIDDEN}"),
        (r"(\b(?:set-)?cookie[\"']?\s*[:=,]\s*+b?+[\"']?+)(?!\[hidden)[^\r\n\"']+", rf"\1{HIDDEN}"),
        (r"(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", rf"\1{HIDDEN}"),
        (rf"((?<![\w.-]){_NAMES}[\"']?\s*[:=]\s*+b?+[\"']?+)(?!\[hidden)[^\s&;,\"'<>]{{4,}}", rf"\1{HIDDEN}"),
        # Shapes.
        (r"\b(fc_[0-9a-f]{16}_)[\w-]+", rf"\1{HIDDEN}"),
        (r"\bwhsec_[\w+/=-]+", HIDDEN),
        (r"\bxox[a-z]-[\w-]+", HIDDEN),
    )
)
# Keys of services, session ids and what `secrets` makes, wherever they stand.  Digests and identifiers with dashes are longer or
# have other letters; a long name in a traceback has no digit, or one case alone.
_KEY = re.compile(r"(?<![\w-])(?=[a-zA-Z]*\d)(?:[0-9a-z]{32}|[0-9A-Z]{32})(?![\w-])", re.ASCII)
_RANDOM = re.compile(r"(?<![\w-])[\w-]{32,}={0,2}(?![\w-])", re.ASCII)


class Redaction:
    """Called with a text, gives it back without secrets; `values` are those that this process knows."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return _RANDOM.sub(_hide_random, _KEY.sub(HIDDEN, text))


def _hide_random(found: re.Match[str]) -> str:
    text = found[0]
    mixed = any(c.islower() for c in text) and any(c.isupper() for c in text) and any(c.isdigit() for c in text)
    return HIDDEN if mixed else text
