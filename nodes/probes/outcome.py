"""From what happened on the wire to a verdict and a sentence: whose trouble it is decides between fail and unknown."""

from __future__ import annotations

import errno
import re
import ssl

from nodes.egress import EgressRefusedError, NameUnknownError, ResolverTroubleError
from nodes.engine.enums import Verdict

MESSAGE = 200  # characters
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]+")

# Ours: no way out, no address or descriptor or memory left.  The target's: refused, reset, unreachable host.
_OURS = {
    errno.ENETUNREACH: "our network is unreachable",
    errno.ENETDOWN: "our network is down",
    errno.EADDRNOTAVAIL: "no local address is left",
    errno.EMFILE: "we have no descriptor left",
    errno.ENFILE: "this machine has no descriptor left",
    errno.ENOBUFS: "we have no buffer left",
    errno.ENOMEM: "we have no memory left",
    errno.EACCES: "this machine does not let us connect",
    errno.EPERM: "this machine does not let us connect",
}
_THEIRS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ECONNABORTED: "connection aborted",
    errno.EHOSTUNREACH: "host unreachable",
    errno.EHOSTDOWN: "host down",
    errno.ETIMEDOUT: "timed out",
}


def clean(text: str, length: int = MESSAGE) -> str:
    """One line that a database, a page and a log can hold: no control characters, no halves of surrogate pairs."""
    return _UNPRINTABLE.sub(" ", text).strip()[:length]


class ProbeFailure(Exception):  # noqa: N818 - it is no error of ours, it is what was seen
    """The target did not do what is expected; the sentence says what it did."""


class AllFailedError(Exception):
    """No address of the target could be connected to; `verdict` says whose trouble that is."""

    def __init__(self, verdict: Verdict, sentence: str) -> None:
        super().__init__(sentence)
        self.verdict = verdict


def explain(error: BaseException, timeout: float) -> tuple[Verdict, str]:
    """Whose trouble it is, and a sentence."""
    if isinstance(error, (ProbeFailure, NameUnknownError)):
        return Verdict.FAIL, str(error)
    if isinstance(error, AllFailedError):
        return error.verdict, str(error)
    if isinstance(error, EgressRefusedError):
        return Verdict.UNKNOWN, f"not asked: {error}"
    if isinstance(error, ResolverTroubleError):
        return Verdict.UNKNOWN, str(error)
    if isinstance(error, TimeoutError) and not error.errno:
        return Verdict.FAIL, f"no answer within {timeout:g} s"
    if isinstance(error, ssl.SSLError):
        return Verdict.FAIL, _bad_tls(error)
    if isinstance(error, OSError):
        return _system(error)
    return Verdict.UNKNOWN, f"our own check broke: {type(error).__name__}: {error}"


def _system(error: OSError) -> tuple[Verdict, str]:
    if error.errno in _OURS:
        return Verdict.UNKNOWN, _OURS[error.errno]
    if error.errno in _THEIRS:
        return Verdict.FAIL, _THEIRS[error.errno]
    if isinstance(error, ConnectionError):
        return Verdict.FAIL, "connection broken off"
    return Verdict.UNKNOWN, f"our own check broke: {error.strerror or error}"


def _bad_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = {
            10: "has expired",
            9: "is not valid yet",
            18: "is self-signed",
            19: "is signed by an authority that is not trusted",
        }
        words |= {20: "is signed by an authority that is not trusted", 62: "is for another name", 64: "is for another address"}
        return f"the certificate {words.get(error.verify_code, f'is not valid: {error.verify_message}')}"
    return f"TLS failed: {(error.reason or 'the answer is no TLS').replace('_', ' ').lower()}"
