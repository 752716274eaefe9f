"""The table of addresses against the IANA special-purpose registries and the clouds' metadata addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from nodes.egress import standing

CORPUS = {
    "public": (
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:800::200e",
        "2001:200::1", "2001:4860:4860::8888", "2003::1", "::ffff:8.8.8.8",
    ),
    "private": (
        "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "100.64.0.0",
        "100.127.255.255", "fc00::", "fd12:3456::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.0.0.1",
    ),
    "loopback": ("127.0.0.0", "127.0.0.1", "127.1.2.3", "127.255.255.255", "::1", "::1%lo"),
    "link-local": ("169.254.0.0", "169.254.255.255", "169.254.1.1", "fe80::", "fe80::1%eth0", "febf:ffff::", "fec0::1", "feff::1"),
    "cloud metadata": (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe",
    ),
    "multicast": ("224.0.0.0", "239.255.255.255", "ff00::", "ff02::1", "ffff:ffff::"),
    "unspecified": ("0.0.0.0", "0.255.255.255", "0.0.0.1", "::", "2001::"),
    "reserved": (
        "192.0.0.0", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1",
        "198.18.0.0", "198.19.255.255", "198.51.100.1", "203.0.113.255", "240.0.0.0", "255.255.255.255", "100::1", "100:0:0:1::1",
        "2001:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff:ffff::", "2001:db8::1",
        "2620:4f:8000::1", "3fff::1", "5f00::1", "64:ff9b:1::1", "4000::1", "8000::1", "e000::1", "::2:0:0:0", "1::1",
    ),
}  # fmt: skip  # a kind on its lines


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in CORPUS.items() for text in texts])
def test_an_address_has_the_standing_of_its_registry(kind: str, text: str) -> None:
    assert standing(ip_address(text)) == kind


def _teredo_client(inner: int) -> int:
    return (0x20010000 << 96) | (0x08080808 << 64) | (inner ^ 0xFFFFFFFF)


EMBEDDINGS = {
    "mapped": lambda inner: (0xFFFF << 32) | inner,
    "translated-mapped": lambda inner: (0xFFFF << 48) | inner,
    "compatible": lambda inner: inner,
    "NAT64": lambda inner: (0x0064FF9B << 96) | inner,
    "6to4": lambda inner: (0x2002 << 112) | (inner << 80) | 1,
    "Teredo client": _teredo_client,
    "Teredo server": lambda inner: (0x20010000 << 96) | (inner << 64) | (0x08080808 ^ 0xFFFFFFFF),
}


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "cloud metadata"),
        ("169.254.7.7", "link-local"),
        ("168.63.129.16", "cloud metadata"),
        ("10.1.2.3", "private"),
        ("192.0.2.1", "reserved"),
        ("224.0.0.1", "multicast"),
    ],
)
def test_an_address_is_no_better_than_the_one_it_carries(embedding: str, inner: str, kind: str) -> None:
    outer = IPv6Address(EMBEDDINGS[embedding](int(IPv4Address(inner))))

    assert standing(outer) == kind


@pytest.mark.parametrize("embedding", [name for name in EMBEDDINGS if name != "mapped"])
def test_a_tunnel_to_a_public_address_is_not_public_itself(embedding: str) -> None:
    outer = IPv6Address(EMBEDDINGS[embedding](int(IPv4Address("8.8.8.8"))))

    assert standing(outer) == "reserved"
