"""Makes what to ask of each node (`CheckSpec`) out of the rows of its checks, with their secrets decrypted.

A row that nothing can be made of costs its node alone: the check becomes one that is `unusable` and says why and what to do.
"""

from __future__ import annotations

import logging
from typing import get_args

from nodes.engine.health import Quorum, effective_timeout
from nodes.ledger.checks import read_checks
from nodes.ledger.rows import Cursor, Row, health_policy
from nodes.models.encrypted import EncryptedTextUnreadableError, decrypt
from nodes.probes import KINDS
from nodes.probes.outcome import clean
from nodes.probes.spec import CheckSpec, parse_headers, parse_status_set

_log = logging.getLogger(__name__)

_UNREADABLE = "the secret in its headers cannot be read with today's ENCRYPTION_KEYS: put the former key back, or enter them again"


class UnusableCheckError(Exception):
    """Nothing can be asked by this row; the sentence says what is wrong and what to do."""


def load(cursor: Cursor) -> dict[int, CheckSpec]:
    """Node id -> its check.  Why one is unusable is logged unless the node's last check has said so already."""
    specs: dict[int, CheckSpec] = {}
    for node, checks in read_checks(cursor).items():
        specs[node] = spec = _usable_or_not(checks)
        if spec.unusable and checks[0]["last_message"] != clean(spec.unusable):
            _log.error("node %s cannot be checked: %s", node, spec.unusable)
    return specs


def _usable_or_not(checks: list[Row]) -> CheckSpec:
    try:
        return _root(checks)
    except EncryptedTextUnreadableError:
        why = _UNREADABLE
    except (UnusableCheckError, ValueError) as error:  # of ours, or of what reads policies, headers and statuses
        why = str(error)
    except Exception as error:  # a fault of ours, or a row that nobody has thought of
        why = f"its row cannot be read: {type(error).__name__}: {error}"
    return CheckSpec(kind=str(checks[0]["kind"]), unusable=f"cannot be checked: {why}")


def _root(checks: list[Row]) -> CheckSpec:
    """The node's one check, or its composite with the other checks as children."""
    composite = next((row for row in checks if row["kind"] == "composite"), None)
    if composite is None:
        return _spec(checks[0], ())
    children = tuple(_spec(row, ()) for row in checks if row is not composite)
    if not children:
        raise UnusableCheckError("its composite check has no other check to count, add one")
    return _spec(composite, children)


def _spec(row: Row, children: tuple[CheckSpec, ...]) -> CheckSpec:
    policy, port = health_policy(row), row["port"] or row["node_port"]
    _refuse(row, port)
    return CheckSpec(
        kind=row["kind"],
        host=row["address"],
        port=port,
        timeout=effective_timeout(policy),
        degraded_latency=policy.degraded_latency,
        tls=row["use_tls"],
        method=row["method"],
        path=row["path"],
        headers=_headers(row),
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


def _headers(row: Row) -> tuple[tuple[str, str], ...]:
    try:
        return parse_headers(decrypt(row["headers"]))
    except ValueError as error:
        raise UnusableCheckError(f"its headers, enter them again: {error}") from None


def _refuse(row: Row, port: int | None) -> None:
    """Refuse what the form would not have stored: rows come from other versions and from hands as well."""
    kind = row["kind"]
    if kind not in KINDS:
        raise UnusableCheckError(f"there is no check of the kind “{kind}”, choose one of {', '.join(KINDS)}")
    if kind == "composite" and row["quorum"] not in get_args(Quorum):
        raise UnusableCheckError(f"there is no quorum “{row['quorum']}”, choose one of {', '.join(get_args(Quorum))}")
    if kind in ("http", "tcp", "tls") and not (port and 0 < port < 65_536):
        raise UnusableCheckError(f"{port} is no port, give the node or its check one from 1 to 65535")
    if kind in ("http", "tcp", "tls") and not row["address"]:
        raise UnusableCheckError("its node has no address, give it one")
    if kind == "http":
        parse_status_set(row["expected_status"])
