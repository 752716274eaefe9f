"""Where an answer sends a check: the next request, with what may go there and what may not.

301 and 302 turn a POST into a GET, as every client has it, 303 turns all but HEAD, 307 and 308 keep method and body.  Headers and
our certificate stay with the server that they are for; cookies live within one check, and go where a browser would send them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import Message
from http.cookiejar import CookieJar
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import Request

from nodes.egress import EgressRefusedError, ascii_name, target
from nodes.probes.answer import Answer
from nodes.probes.outcome import ProbeFailure
from nodes.probes.spec import CheckSpec

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 3
LONGEST_LOCATION = 4096  # bytes
MOST_COOKIES, LONGEST_COOKIE = 8, 1024  # of one answer; bytes: the jar takes a time that grows with both
_TOO_OLD = re.compile(rb"max-age\s*=\s*\"?[0-9]{13}", re.IGNORECASE)  # a number that the jar cannot hold
_IN_ADDRESSES = "".join(map(chr, range(0x21, 0x7F)))  # all else is written in percent, as browsers do
_KEEP = frozenset({307, 308})


class _Answered:
    """What the jar asks an answer for."""

    def __init__(self, cookies: list[bytes]) -> None:
        self._message = Message()
        for each in cookies[:MOST_COOKIES]:
            if len(each) <= LONGEST_COOKIE and not _TOO_OLD.search(each):
                self._message["Set-Cookie"] = each.decode("latin-1")

    def info(self) -> Message:
        return self._message


class Cookies:
    """Those of one check; nothing is made before the first comes."""

    def __init__(self) -> None:
        self._jar: CookieJar | None = None

    def keep(self, spec: CheckSpec, answer: Answer) -> None:
        """What this answer sets."""
        if answer.cookies:
            self._jar = self._jar or CookieJar()
            self._jar.extract_cookies(_Answered(answer.cookies), _asked(spec))  # type: ignore[arg-type]  # all that it looks at

    def given_to(self, spec: CheckSpec) -> CheckSpec:
        """The request with those that go there, beside what a person has configured."""
        if self._jar is None:
            return spec
        asked = _asked(spec)
        self._jar.add_cookie_header(asked)
        ours = asked.get_header("Cookie", "")
        if not ours:
            return spec
        given = [value for name, value in spec.headers if name.lower() == "cookie"]
        others = tuple(pair for pair in spec.headers if pair[0].lower() != "cookie")
        return replace(spec, headers=(*others, ("Cookie", "; ".join([*given, ours]))))


def _asked(spec: CheckSpec) -> Request:
    """What the jar knows of a request; nothing is opened by it."""
    return Request(url_of(spec))  # noqa: S310 - as above


def url_of(spec: CheckSpec) -> str:
    """The address that is asked, in full."""
    name = ascii_name(spec.server_name or spec.host)
    host = f"[{name}]" if ":" in name else name
    port = "" if spec.port == (443 if spec.tls else 80) else f":{spec.port}"
    return f"{'https' if spec.tls else 'http'}://{host}{port}{spec.path}"


def redirects(spec: CheckSpec, answer: Answer) -> bool:
    """Whether this answer sends the check elsewhere."""
    return spec.follow_redirects and answer.status in REDIRECTS and bool(answer.location)


def redirected(spec: CheckSpec, answer: Answer) -> CheckSpec:
    """The next hop; what is secret stays with the server that it is for.  Raises `ProbeFailure`.

    A long address is refused before it is taken apart: the standard library keeps what it has taken apart.
    """
    location = answer.location
    if len(location) > LONGEST_LOCATION:
        raise ProbeFailure(f"redirected to an address of {len(location)} bytes, at most {LONGEST_LOCATION} are followed")
    here = url_of(spec)
    relative = not location.startswith((b"/", b"http:", b"https:"))
    base = here if relative else here.removesuffix(spec.path) + "/"  # the standard library keeps what it joins: so it is short
    try:
        goal = target(quote(urljoin(base, location.decode("latin-1")), safe=_IN_ADDRESSES, encoding="latin-1"))
    except (EgressRefusedError, ValueError):
        raise ProbeFailure("redirected to an address that is none") from None
    if "%" in goal.host:
        raise ProbeFailure("redirected to an address that is none")
    if spec.tls and goal.scheme != "https":
        raise ProbeFailure("redirected from https to http")
    same_host = goal.host == (urlsplit(here).hostname or "")  # by the name that it is asked by; then the address stays
    same = same_host and goal.port == spec.port
    keeps = answer.status in _KEEP or spec.method in ("GET", "HEAD") or (answer.status != 303 and spec.method != "POST")
    return replace(
        spec,
        host=spec.host if same_host else goal.host,
        port=goal.port,
        tls=goal.scheme == "https",
        path=goal.path,
        method=spec.method if keeps else "GET",
        body=spec.body if keeps else b"",
        headers=spec.headers if same else (),
        server_name=spec.server_name if same_host else "",
        client_certificate=spec.client_certificate if same else "",
        client_key=spec.client_key if same else "",
    )
