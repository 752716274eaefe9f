"""Certificates: good, soon out, expired, for another name, from nobody we trust."""

from __future__ import annotations

import ssl
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

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate has expired (24 h ago)")


@KINDS
async def test_one_for_another_name_fails(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, names=["other.example"], server_name="node.example")

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is for another name (other.example, not node.example)")


@KINDS
async def test_one_for_another_address_fails(egress: Egress, authority: Authority, kind: str) -> None:
    seen = await look(egress, authority, kind, names=["10.0.0.1"])

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is for another name (10.0.0.1, not 127.0.0.1)")


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

    assert (seen.verdict, seen.message) == (
        Verdict.FAIL,
        "the certificate is signed by an authority that is not trusted (“a stranger”; the node sends no certificate of it)",
    )
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

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the certificate is not valid yet (it begins in 47 h)")


@KINDS
async def test_the_message_says_which_part_of_the_chain_fails(
    egress: Egress, authority: Authority, tmp_path: Path, kind: str
) -> None:
    between, ended = (Authority(tmp_path, "between", above=authority, days=days) for days in (30, -1))

    async def seen(context: ssl.SSLContext, **fields: Any) -> tuple[str, str]:
        async with serving(OK, tls=context) as served:
            found = await probe(CheckSpec(kind, "127.0.0.1", served.port, tls=True, **fields), egress)
            return found.verdict.value, found.message

    untrusted = "the certificate is signed by an authority that is not trusted"
    assert await seen(between.server(sends=True)) == ("pass", "")
    assert await seen(between.server()) == ("fail", f"{untrusted} (“between”; the node sends no certificate of it)")
    assert await seen(ended.server(sends=True)) == (
        "fail",
        "the certificate of the authority “between” above it has expired (24 h ago)",
    )
    assert await seen(between.server(sends=True, days=-3)) == ("fail", "the certificate has expired (3 days ago)")


@KINDS
async def test_a_private_authority_is_trusted_by_its_check_alone(
    egress: Egress, authority: Authority, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "private").mkdir()
    private = Authority(tmp_path / "private", "private")

    assert (await look(egress, private, kind)).verdict == Verdict.FAIL
    assert (await look(egress, private, kind, authorities=private.path.read_text())).verdict == Verdict.PASS
    assert (await look(egress, authority, kind, authorities=private.path.read_text())).verdict == Verdict.PASS


async def test_a_certificate_of_ours_is_shown_where_it_is_asked_for(egress: Egress, authority: Authority) -> None:
    certificate, key = authority.pair()

    async def seen(**fields: Any) -> Observation:
        async with serving(OK, tls=authority.server(asks=True)) as served:
            return await probe(CheckSpec("http", "127.0.0.1", served.port, tls=True, **fields), egress)

    assert (await seen()).verdict == Verdict.FAIL
    assert (await seen(client_certificate=certificate, client_key=key)).verdict == Verdict.PASS
