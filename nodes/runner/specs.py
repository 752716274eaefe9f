"""Makes what to ask of each node (`CheckSpec`) out of the rows of its checks, with their secrets decrypted.

A row that nothing can be made of costs its node alone: the check becomes one that is `unusable` and says why and what to do.
"""

from __future__ import annotations

import logging
from typing import get_args

from django.conf import settings

from nodes.engine.health import Quorum, effective_timeout
from nodes.ledger.checks import read_checks
from nodes.ledger.rows import Cursor, Row, health_policy
from nodes.models.encrypted import EncryptedTextUnreadableError, decrypt
from nodes.probes import KINDS
from nodes.probes.body import check_expression
from nodes.probes.expectations import statuses
from nodes.probes.json_value import OPERATORS, path
from nodes.probes.outcome import clean
from nodes.probes.spec import CheckSpec, parse_headers, parse_status_set
from nodes.probes.tls import Trust, context

_log = logging.getLogger(__name__)

_UNREADABLE = "the secret in its headers cannot be read with today's ENCRYPTION_KEYS: put the former key back, or enter them again"
_KEY_UNREADABLE = "its client key cannot be read with today's ENCRYPTION_KEYS: put the former key back, or enter it again"


class UnusableCheckError(Exception):
    """Nothing can be asked by this row; the sentence says what is wrong and what to do."""


def load(cursor: Cursor) -> dict[int, CheckSpec]:
    """Node id -> its check.  Why one is unusable is logged unless the node's last check has said so already."""
    specs: dict[int, CheckSpec] = {}
    for node, checks in read_checks(cursor).items():
        specs[node] = spec = made_of(checks)
        if spec.unusable and checks[0]["last_message"] != clean(spec.unusable):
            _log.error("node %s cannot be checked: %s", node, spec.unusable)
    return specs


def made_of(checks: list[Row]) -> CheckSpec:
    """What to ask by the rows of one node's checks."""
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
        warn_status=row["warn_status"],
        body_contains=row["body_contains"],
        body_excludes=row["body_excludes"],
        body_matches=row["body_matches"],
        json_path=row["json_path"],
        json_operator=row["json_operator"],
        json_value=row["json_value"],
        strict=row["strict"],
        follow_redirects=row["follow_redirects"],
        verify_tls=row["verify_tls"],
        server_name=row["server_name"],
        authorities=_authorities(row),
        client_certificate=row["client_certificate"],
        client_key=_client_key(row),
        certificate_days=row["certificate_days"],
        interval=policy.interval,
        grace=row["grace"],
        quorum=row["quorum"],
        children=children,
    )


def _authorities(row: Row) -> str:
    return "\n".join(filter(None, (settings.CHECK_AUTHORITIES, row["authorities"])))


def _client_key(row: Row) -> str:
    try:
        return decrypt(row["client_key"])
    except EncryptedTextUnreadableError:
        raise UnusableCheckError(_KEY_UNREADABLE) from None


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
    if kind in ("http", "tls"):
        context(Trust(row["verify_tls"], _authorities(row), row["client_certificate"], _client_key(row)))
    if kind == "http":
        _refuse_expectations(row)


def _refuse_expectations(row: Row) -> None:
    parse_status_set(row["expected_status"])
    statuses(row["warn_status"])
    if row["json_path"]:
        path(row["json_path"])
    if row["json_operator"] not in OPERATORS:
        raise UnusableCheckError(f"there is no operator “{row['json_operator']}”, choose one of {', '.join(OPERATORS)}")
    check_expression(row["body_matches"])
