"""Each address of the console is in one class, however it is written."""

from __future__ import annotations

import pytest

from failover_console.guard.classes import NAMES, name_of
from nodes.places import place


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("/", b"", "pages"),
        ("/nodes/7/act/", b"", "pages"),
        ("/admin/nodes/node/", b"", "pages"),
        ("/push/1/secret/", b"", "pushes"),
        ("//push/1/secret/", b"", "pushes"),
        ("/healthz", b"", "health"),
        ("/health/alerts", b"", "health"),
        ("/metrics", b"scope=database", "metrics"),
        ("/static/console.css", b"", "files"),
        ("/accounts/login/", b"next=/", "logins"),
        ("/admin/login/", b"", "logins"),
        ("/accounts/oidc/callback/", b"code=1", "sign_ons"),
        ("/api/v1/nodes/7/outcomes", b"", "reports"),
        ("/api/v1/pools/api/shares", b"", "shares"),
        ("/api/v1/pools/api/shares", b"epoch=4&wait=30", "polls"),
        ("/api/v1/pools/api/shares", b"wait=0.5", "polls"),
        ("/api/v1/pools/api/shares", b"wait=0", "shares"),
        ("/api/v1/pools/api/shares", b"wait=", "shares"),
        ("/api/v1/pools/api/shares", b"await=3", "shares"),
        ("/api/v1/pools/api/shares", b"w%61it=60", "polls"),
        ("/api/v1/pools/api/shares", b"wait=0&wait=60", "polls"),
        ("/api/v1/pools/api/shares", b"wait=60&wait=0", "shares"),
        ("/api/v1/pools/api/shares", b"&".join([b"a=1"] * 20 + [b"wait=60"]), "polls"),
    ],
)
def test_requests_are_sorted_by_address(path: str, query: bytes, name: str) -> None:
    assert name_of(path, query) == name
    assert name in NAMES


@pytest.mark.parametrize(
    ("address", "limited"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("a proxy's word", "a proxy's word"),
    ],
)
def test_who_has_many_addresses_is_one_client(address: str, limited: str) -> None:
    assert place((address, 1)) == limited
