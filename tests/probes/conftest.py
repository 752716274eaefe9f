"""What the console may reach in these tests, and an authority that it trusts."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from nodes.egress import Egress
from nodes.probes import tls
from tests.probes.servers import Authority


@pytest.fixture
def egress() -> Egress:
    return Egress.for_checks([ip_network("127.0.0.0/8")])


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Its certificates are valid to checks made while the test runs."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    tls.context.cache_clear()
    yield made
    tls.context.cache_clear()
