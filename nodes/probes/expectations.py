"""What was expected of an answer and what came: the verdict is the worst of them, the message says the first that does not hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

from nodes.engine.enums import Verdict
from nodes.probes.answer import Answer
from nodes.probes.body import MOST_BODY, Body
from nodes.probes.json_value import OPERATORS, compared
from nodes.probes.spec import CheckSpec, parse_status_set

QUOTED = 60  # characters of a text in a sentence
LONGEST_WAIT = 86_400.0  # s of a Retry-After that is believed
_BUSY, _AWAY = 429, 503
_ORDER = (Verdict.PASS, Verdict.WARN, Verdict.FAIL)


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation: what, what was seen, and how that counts; `sentence` where it does not hold."""

    name: str
    expected: str
    seen: str
    verdict: Verdict
    sentence: str = ""


@lru_cache(maxsize=256)  # a set of 500 statuses takes 32 KB
def statuses(text: str) -> frozenset[int]:
    """The statuses of a set as a person writes it; none for an empty one."""
    return frozenset(status for span in parse_status_set(text) for status in span) if text else frozenset()


def expects_of_body(spec: CheckSpec) -> bool:
    """Whether the head alone does not decide."""
    return bool(spec.body_contains or spec.body_excludes or spec.body_matches or spec.json_path)


def of_status(spec: CheckSpec, status: int) -> Verdict:
    """How a status counts."""
    if status in statuses(spec.expected_status):
        return Verdict.PASS
    return Verdict.WARN if status in statuses(spec.warn_status) else Verdict.FAIL


def judge(spec: CheckSpec, answer: Answer, warning: str) -> tuple[Verdict, str]:
    """Verdict and message of a whole answer; `warning` is what its certificate is warned of."""
    if answer.body is None and not warning and answer.status in statuses(spec.expected_status):
        return Verdict.PASS, ""  # nearly every answer
    verdict, message = Verdict.PASS, ""
    for each in expectations(spec, answer, warning):
        if _ORDER.index(each.verdict) > _ORDER.index(verdict):
            verdict, message = each.verdict, each.sentence
    return verdict, message


def expectations(spec: CheckSpec, answer: Answer, warning: str) -> Iterator[Expected]:
    """Each of them, in the order in which a person reads them."""
    yield _status(spec, answer)
    if answer.body is not None:
        yield from _of_body(spec, answer.status, answer.body)
    if spec.tls and spec.certificate_days:
        seen = warning.removeprefix("the certificate ") or "it does"
        verdict = Verdict.WARN if warning else Verdict.PASS
        yield Expected("certificate", f"is good for {spec.certificate_days} days", seen, verdict, warning)


def _status(spec: CheckSpec, answer: Answer) -> Expected:
    verdict = of_status(spec, answer.status)
    wait = retry_after(answer)
    asks = "" if wait is None else f", asks to be left alone for {wait:.0f} s"
    sentence = f"answered {answer.status}, expected {spec.expected_status}{asks}"
    if verdict == Verdict.WARN:
        slow_down = answer.status == _BUSY
        sentence = f"answered {answer.status}{': the node asks us to slow down' if slow_down else ', which is a warning'}{asks}"
    wanted = spec.expected_status + (f"; a warning for {spec.warn_status}" if spec.warn_status else "")
    return Expected("status", wanted, str(answer.status), verdict, sentence)


def _of_body(spec: CheckSpec, status: int, body: Body) -> Iterator[Expected]:
    if body.trouble:
        yield Expected("body", "can be read", body.trouble, Verdict.FAIL, f"answered {status}, but {body.trouble}")
        return
    if spec.body_contains:
        text = f"“{spec.body_contains[:QUOTED]}”"
        seen = "there" if body.found else f"not in {_size(body)}"
        yield Expected("text", text, seen, _held(body.found), f"answered {status} without the text {text}")
    if spec.body_excludes:
        text, clean = f"“{spec.body_excludes[:QUOTED]}”", spec.body_excludes not in body.text()
        seen = f"not in {_size(body)}" if clean else "there"
        yield Expected("no text", text, seen, _held(clean), f"answered {status} with the text {text}, which must not be there")
    if spec.body_matches:
        text = f"“{spec.body_matches[:QUOTED]}”"
        seen = "matches" if body.matched else f"nothing in {_size(body)} matches"
        yield Expected("expression", text, seen, _held(body.matched), f"answered {status} with nothing that matches {text}")
    if spec.json_path:
        sign, _ = OPERATORS[spec.json_operator]
        holds, seen = compared(body.text(), spec.json_path, spec.json_operator, spec.json_value)
        wanted = f"{spec.json_path[:QUOTED]} {sign} {spec.json_value[:QUOTED]}"
        yield Expected(
            "JSON",
            wanted,
            seen,
            _held(holds),
            f"answered {status}, but {spec.json_path[:QUOTED]} is {_is(seen)}, expected {sign} {spec.json_value[:QUOTED]}",
        )


def _is(seen: str) -> str:
    return seen if seen in ("nothing there", "no JSON") else f"“{seen}”"


def _held(holds: bool) -> Verdict:
    return Verdict.PASS if holds else Verdict.FAIL


def _size(body: Body) -> str:
    return f"the first {MOST_BODY // 1024} KiB" if len(body.data) >= MOST_BODY else f"{len(body.data)} bytes"


def retry_after(answer: Answer) -> float | None:
    """Seconds for which an answer that is busy or away asks to be left alone: a number, or a date (RFC 9110, 10.2.3)."""
    given = answer.retry_after.strip()
    if not given or answer.status not in (_BUSY, _AWAY):
        return None
    if given.isdigit():
        return min(float(given[:9]), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(given[:40].decode("latin-1"))
        at = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp()
    except (ArithmeticError, IndexError, TypeError, ValueError):  # what a node writes there may be any number
        return None
    return min(max(0.0, at - time.time()), LONGEST_WAIT)
