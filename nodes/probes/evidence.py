"""What a check saw, as a document that a page and the history can hold: requests, answers, times, what was expected and what came.

Bounded, and without secrets: values of the check's headers are masked where they are sent and where they come back, cookies
always; of the body that is sent only the size is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nodes.egress import NameUnknownError
from nodes.engine.enums import Verdict
from nodes.probes.answer import Answer
from nodes.probes.expectations import Expected, expectations
from nodes.probes.outcome import clean
from nodes.probes.redirects import MOST_COOKIES, url_of
from nodes.probes.spec import CheckSpec
from nodes.probes.trail import Hop, Trail

MOST_HEAD, MOST_TEXT = 4096, 4096  # characters kept of an answer's head and of its body
MASK = "•••"
_COOKIE = re.compile(r"^[ \t]*set-cookie[ \t]*:.*(?:\n[ \t].*)*", re.IGNORECASE | re.MULTILINE)  # with what is folded below it
_SHORTEST_SECRET = 4  # characters: a shorter value would mask half of the answer
_PLAIN = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-type",
        "user-agent",
        "host",
        "connection",
        "content-length",
    }
)
_CLEAN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127, 8232, 8233, 65279), " ")

Document = Mapping[str, Any]


def of_check(spec: CheckSpec, trail: Trail, verdict: Verdict, message: str) -> Document:
    """One check: `hops` in order, `expectations` of the last one."""
    secrets = _secrets(spec, trail)
    last = trail.hops[-1] if trail.hops else None
    answer = last.answer if last is not None else None
    judged = expectations(last.spec, answer, last.certificate) if last is not None and answer is not None and answer.ended else ()
    found = {
        "kind": spec.kind,
        "target": _place(spec),
        "verdict": verdict.value,
        "message": message,
        "hops": [_hop(each, secrets) for each in trail.hops],
        "expectations": [_expectation(each) for each in judged],
    }
    return {name: _masked(value, secrets) for name, value in found.items()}


def _masked(value: Any, secrets: list[str]) -> Any:
    """With no secret in any text of it."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, list):
        return [_masked(each, secrets) for each in value]
    return {name: _masked(each, secrets) for name, each in value.items()} if isinstance(value, dict) else value


def together(documents: Iterable[Document | None]) -> Document | None:
    """The checks of a composite as one; None when there is nothing to show."""
    checks = [check for document in documents if document is not None for check in document["checks"]]
    return {"checks": checks} if checks else None


def _expectation(each: Expected) -> Document:
    return {"name": each.name, "expected": each.expected, "seen": clean(each.seen), "verdict": each.verdict.value}


def _hop(hop: Hop, secrets: list[str]) -> Document:
    answer = hop.answer
    head, body = _answer(answer, secrets) if answer is not None else ("", "")
    return {
        "url": _place(hop.spec),
        "address": str(hop.address or ""),
        "failed": [{"address": str(address), "what": what} for address, what in hop.failed],
        "request": _request(hop),
        "status": answer.status if answer is not None else 0,
        "head": head,
        "body": body,
        "bytes": answer.taken if answer is not None else 0,
        "phases": _phases(hop),
        "certificate": hop.certificate,
    }


def _place(spec: CheckSpec) -> str:
    """What is asked, as a person writes it."""
    try:
        return url_of(spec) if spec.kind == "http" else f"{spec.host}:{spec.port}"
    except NameUnknownError:  # the name is none
        return f"{spec.host[:80]}:{spec.port}"


def _phases(hop: Hop) -> Document:
    """Seconds from the hop's beginning until each thing had happened; only what did."""
    answer = hop.answer
    instants = {
        "name": hop.resolved,
        "connected": hop.connected,
        "secured" if hop.spec.tls else "open": hop.secured,
        "first byte": answer.first_byte_at if answer is not None else 0.0,
        "decided": answer.decided_at if answer is not None else 0.0,
        "ended": hop.ended,
    }
    return {name: round(at - hop.began, 6) for name, at in instants.items() if at}


def _request(hop: Hop) -> str:
    if not hop.request:
        return ""
    head, _, body = hop.request.partition(b"\r\n\r\n")
    lines = [_masked_line(line) for line in head.decode("latin-1").split("\r\n")]
    return "\n".join(lines + ([f"({len(body)} bytes)"] if body else []))[:MOST_HEAD]


def _masked_line(line: str) -> str:
    name, found, _ = line.partition(":")
    return line if not found or " " in name or name.lower() in _PLAIN else f"{name}: {MASK}"


def _answer(answer: Answer, secrets: list[str]) -> tuple[str, str]:
    head = _COOKIE.sub(f"Set-Cookie: {MASK}", answer.head().decode("latin-1").replace("\r\n", "\n"))
    body = answer.body.text() if answer.body is not None else answer.beginning.decode("utf-8", "replace")
    return _shown(head.strip(), secrets, MOST_HEAD), _shown(body, secrets, MOST_TEXT)


def _shown(text: str, secrets: list[str], most: int) -> str:
    """Masked before it is cut: half a secret is one too."""
    return str(_masked(text, secrets))[:most].translate(_CLEAN).encode("utf-8", "replace").decode()


def _secrets(spec: CheckSpec, trail: Trail) -> list[str]:
    """The values of headers, what follows their scheme, and of cookies, theirs and ours; the longest first."""
    values = [value for name, value in spec.headers if name.lower() not in _PLAIN]
    parts = [*values, *(value.partition(" ")[2] for value in values)]
    given = [value for name, value in spec.headers if name.lower() == "cookie"]
    answers = [hop.answer for hop in trail.hops if hop.answer is not None]
    given += [each.decode("latin-1").partition(";")[0] for answer in answers for each in answer.cookies[:MOST_COOKIES]]
    parts += [pair.partition("=")[2].strip() for cookies in given for pair in cookies.split(";")]
    return sorted({each for each in parts if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)
