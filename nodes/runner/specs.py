"""Makes what to ask of each node (`CheckSpec`) out of the rows of its checks, with their secrets decrypted."""

from __future__ import annotations

import logging

from nodes.engine.health import effective_timeout
from nodes.ledger.checks import read_checks
from nodes.ledger.rows import Cursor, Row, health_policy
from nodes.models.encrypted import EncryptedTextUnreadableError, decrypt
from nodes.probes.spec import CheckSpec

_log = logging.getLogger(__name__)


def load(cursor: Cursor) -> dict[int, CheckSpec]:
    """Node id -> its check; a node whose check cannot be read (a secret without its key) is left out and logged."""
    specs: dict[int, CheckSpec] = {}
    for node, checks in read_checks(cursor).items():
        try:
            specs[node] = _root(checks)
        except EncryptedTextUnreadableError as error:
            _log.error("node %s cannot be checked: %s", node, error)
    return specs


def _root(checks: list[Row]) -> CheckSpec:
    """The node's one check, or its composite with the other checks as children."""
    composite = next((row for row in checks if row["kind"] == "composite"), None)
    if composite is None:
        return _spec(checks[0], ())
    return _spec(composite, tuple(_spec(row, ()) for row in checks if row is not composite))


def _spec(row: Row, children: tuple[CheckSpec, ...]) -> CheckSpec:
    policy = health_policy(row)
    return CheckSpec(
        kind=row["kind"],
        host=row["address"],
        port=row["port"] or row["node_port"],
        timeout=effective_timeout(policy),
        degraded_latency=policy.degraded_latency,
        tls=row["use_tls"],
        method=row["method"],
        path=row["path"],
        headers=parse_headers(decrypt(row["headers"])),
        body=row["body"].encode(),
        expected_status=row["expected_status"],
        body_contains=row["body_contains"],
        follow_redirects=row["follow_redirects"],
        verify_tls=row["verify_tls"],
        server_name=row["server_name"],
        certificate_days=row["certificate_days"],
        interval=policy.interval,
        grace=row["grace"],
        quorum=row["quorum"],
        children=children,
    )


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """`Name: value` lines as pairs; lines without a colon are left out (the form refuses them)."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return tuple((name.strip(), value.strip()) for name, value in pairs)
