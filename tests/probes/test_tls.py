"""Certificates: good, soon out, expired, for another name, from nobody we trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodes.egress import Egress
from nodes.engine.enums import Verdict
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests.probes.servers import Authority, hang, reply, says, serving

KINDS = pytest.mark.parametrize("kind", ["tls", "http"])
OK = says(reply("200 OK"))


async def look(
    egress: Egress, authority: Authority, kind: str, *, days: float = 90, names: list[str] | None = None, **fields: Any
) -> Observation:
    async with serving(OK, tls=authority.server(days=days, names=names)) as served:
        return await probe(CheckSpec(kind, "127.0.0.1", served.port, tls=True, **fields), egress)


@KINDS
async def test_a_good_certificate_passes(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind)

    assert (seen.verdict, seen.message) == (Verdict.PASS, "")
    assert seen.latency is not None


@KINDS
async def test_one_that_ends_soon_is_a_warning(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, days=10.2)

    assert (seen.verdict, seen.message) == (Verdict.WARN, "the certificate ends in 10 days")
    assert (await look(egress, authority, kind, days=10.2, certificate_days=7)).verdict == Verdict.PASS


@KINDS
async def test_an_expired_one_fails(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, days=-1)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate has expired")


@KINDS
async def test_one_for_another_name_fails(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, names=["other.example"], server_name="node.example")

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is for another name")


@KINDS
async def test_one_for_another_address_fails(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, names=["10.0.0.1"])

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is for another address")


@KINDS
async def test_the_name_to_expect_can_be_told(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, names=["node.example"], server_name="node.example")

    assert seen.verdict == Verdict.PASS


@KINDS
async def test_one_from_nobody_we_trust_fails_unless_verification_is_off(
    egress: Egress, authority: Authority, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "a stranger")

    seen = await look(egress, stranger, kind)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is signed by an authority that is not trusted")
    assert (await look(egress, stranger, kind, verify_tls=False)).verdict == Verdict.PASS


@KINDS
async def test_a_handshake_that_never_ends_fails_when_the_time_is_up(egress: Egress, kind: str) -> None:
    async with serving(hang, reads=False) as served:
        seen = await probe(CheckSpec(kind, "127.0.0.1", served.port, tls=True, timeout=0.1), egress)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "no answer within 0.1 s")


@KINDS
async def test_one_that_is_not_valid_yet_fails(egress: Egress, authority: Authority, kind: str) -> None:
    async with serving(OK, tls=authority.server(since=2)) as served:
        seen = await probe(CheckSpec(kind, "127.0.0.1", served.port, tls=True), egress)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is not valid yet")
