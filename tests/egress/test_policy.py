"""Who may be reached: the same answer however an address is written, and what no list of networks opens."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from nodes.egress import Egress, EgressRefusedError, NameUnknownError, target

EVERYTHING = [ip_network("0.0.0.0/0"), ip_network("::/0")]
LOOPBACK = [ip_network("127.0.0.0/8")]
ODD_LOOPBACK = ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "017700000001", "１２７.０.０.１", "127。0。0。1")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "::ffff:127.0.0.1", *ODD_LOOPBACK])
async def test_loopback_is_refused_however_it_is_written(host: str) -> None:
    for egress in (Egress.for_checks([]), Egress.for_webhooks([])):
        with pytest.raises(EgressRefusedError, match="loopback"):
            egress.addresses_now(host, 5)
        with pytest.raises(EgressRefusedError, match="loopback"):
            await egress.addresses(host, 2.0)


@pytest.mark.parametrize("host", ODD_LOOPBACK)
def test_what_the_list_names_is_reached_however_it_is_written(host: str) -> None:
    assert Egress.for_webhooks(LOOPBACK).addresses_now(host, 5) == (ip_address("127.0.0.1"),)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "169.254.43518", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "64:ff9b::a9fe:a9fe"]
)
def test_metadata_stays_shut_though_the_list_names_every_network(host: str) -> None:
    for egress in (Egress.for_checks(EVERYTHING), Egress.for_webhooks(EVERYTHING)):
        with pytest.raises(EgressRefusedError, match="cloud metadata"):
            egress.addresses_now(host, 5)


@pytest.mark.parametrize("host", ["169.254.1.1", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "2002:a9fe:0101::1"])
def test_link_local_multicast_and_no_address_stay_shut_though_the_list_names_every_network(host: str) -> None:
    with pytest.raises(EgressRefusedError):
        Egress.for_checks(EVERYTHING).addresses_now(host, 5)


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.1.1", "100.64.0.1", "fd12::1"])
def test_checks_reach_private_networks_and_webhooks_only_those_that_the_list_names(host: str) -> None:
    assert Egress.for_checks([]).addresses_now(host, 5) == (ip_address(host),)
    with pytest.raises(EgressRefusedError, match="private"):
        Egress.for_webhooks([]).addresses_now(host, 5)
    assert Egress.for_webhooks(EVERYTHING).addresses_now(host, 5) == (ip_address(host),)


@pytest.mark.parametrize(("host", "plain"), [("10.1.2.3", True), ("fd12::1", True), ("8.8.8.8", False)])
def test_the_dead_mans_switch_is_reached_on_private_networks_without_tls_too(host: str, plain: bool) -> None:
    [address] = Egress.for_switch([]).addresses_now(host, 5)
    assert Egress.for_switch([]).permits_plain(address) is plain
    assert not Egress.for_webhooks([]).permits_plain(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "fe80::1", "0.0.0.0"])
def test_the_dead_mans_switch_is_neither_loopback_nor_what_stays_shut(host: str) -> None:
    with pytest.raises(EgressRefusedError):
        Egress.for_switch([]).addresses_now(host, 5)


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    addresses = [ip_address("8.8.8.8"), ip_address("127.0.0.1")]

    with pytest.raises(EgressRefusedError, match=r"rebind\.example \(127\.0\.0\.1\) is a loopback address"):
        Egress.for_checks([]).permit("rebind.example", addresses)


async def test_a_name_that_does_not_exist_is_the_targets_trouble() -> None:
    with pytest.raises(NameUnknownError, match="does not exist"):
        Egress.for_checks([]).addresses_now("nope.invalid", 5)
    with pytest.raises(NameUnknownError, match="does not exist"):
        await Egress.for_checks([]).addresses("nope.invalid", 5.0)


@pytest.mark.parametrize("host", ["a\x00b", "x" * 70 + ".example", "..", "a..b"])
def test_what_cannot_be_a_name_is_an_unknown_name(host: str) -> None:
    with pytest.raises(NameUnknownError):
        Egress.for_checks([]).addresses_now(host, 5)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.com", ("https", "example.com", 443, "/")),
        ("HTTP://Example.com/a/b?c=d#e", ("http", "example.com", 80, "/a/b?c=d")),
        ("https://[2001:db8::1]:8443/x", ("https", "2001:db8::1", 8443, "/x")),
    ],
)
def test_an_address_is_taken_apart(url: str, parts: tuple[object, ...]) -> None:
    assert target(url) == parts


@pytest.mark.parametrize(
    "url",
    [
        "https://user@example.com/", "https://user:secret@example.com/", "https://@example.com/", "https://example.com\\@evil.test/",
        "https://example.com /", " https://example.com/", "https://example.com/\n", "https://exa\tmple.com/", "https://e\x00.com/",
        "https://example.com/\x7f", "https://exämple.com/", "https://１２７.0.0.1/", "https://example.com:99999/", "https://example.com:0/",
        "https://example.com:-1/", "https://example.com:port/", "https://example.com:8²/", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "javascript:alert(1)", "//example.com/", "example.com", "", "https://", "https:///path", "https://:443/",
        "https://[::1", "https://[not-an-address]/", "https://]/",
    ],
)  # fmt: skip  # a list to read across
def test_an_unfit_address_is_refused_with_a_sentence_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(EgressRefusedError) as refused:
        target(url)

    assert url in ("", "https://") or url not in str(refused.value)
    assert "secret" not in str(refused.value)
