"""What to ask, as a value: built by the runner from a row, free of Django."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[ -~\x80-\U0010ffff]+")
_STATUS = re.compile(r"\s*([0-9]{3})\s*(?:-\s*([0-9]{3})\s*)?")


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check.  Durations in seconds; `headers` are decrypted; a composite holds its `children`."""

    kind: str  # http, tcp, tls, push, composite
    host: str = ""
    port: int = 0
    timeout: float = 5.0
    degraded_latency: float | None = None
    tls: bool = False
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    expected_status: str = "200-299"
    warn_status: str = "429"
    body_contains: str = ""
    body_excludes: str = ""
    body_matches: str = ""  # a regular expression
    json_path: str = ""  # RFC 9535, to one value
    json_operator: str = "eq"
    json_value: str = ""
    strict: bool = False
    follow_redirects: bool = False
    verify_tls: bool = True
    server_name: str = ""
    authorities: str = ""  # PEM, beside the system's
    client_certificate: str = ""  # PEM
    client_key: str = ""  # PEM, decrypted
    certificate_days: int = 14
    interval: float = 10.0
    grace: float = 5.0
    last_heartbeat_at: float | None = None
    listening_since: float | None = None
    listening_until: float | None = None
    quorum: str = "all"
    children: tuple[CheckSpec, ...] = ()
    unusable: str = ""  # why it cannot be asked: what is wrong with its rows, and what to do

    def heard(self, last_heartbeat_at: float | None, since: float | None, until: float | None) -> CheckSpec:
        """With the node's last heartbeat and when we listened, where a push check looks for them: here, or in a child."""
        if self.kind == "push":
            return replace(self, last_heartbeat_at=last_heartbeat_at, listening_since=since, listening_until=until)
        if not self.children:
            return self
        return replace(self, children=tuple(child.heard(last_heartbeat_at, since, until) for child in self.children))


def parse_status_set(text: str) -> tuple[range, ...]:
    """`200-299,301` as ranges; raises ValueError with a sentence."""
    found = []
    for part in text.split(","):
        match = _STATUS.fullmatch(part)
        if match is None:
            raise ValueError(f"“{part.strip()}” is no status or range of statuses; write for example 200-299,301.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 100 <= first <= last <= 599:
            raise ValueError(f"“{part.strip()}” is outside 100 to 599 or runs backwards.")
        found.append(range(first, last + 1))
    return tuple(found)


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """`Name: value` lines as pairs; raises ValueError with a sentence, which holds nothing of the line: it may be a secret."""
    pairs = []
    for number, line in enumerate(filter(None, map(str.strip, text.split("\n"))), start=1):
        if not _HEADER.fullmatch(line):
            raise ValueError(f"Line {number} is not “Name: value” without control characters.")
        name, value = line.split(":", 1)
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)
