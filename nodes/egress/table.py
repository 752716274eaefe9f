"""What an IP address is for, by our own table of the IANA special-purpose registries and the clouds' metadata addresses.

Python's `is_private` and `is_global` differ between patch releases and miss several of these.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Standing(StrEnum):
    """What kind of address it is; the words are used in messages."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    METADATA = "cloud metadata"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"


# The first match counts, so metadata addresses stand before the networks that hold them.
_TABLE: tuple[tuple[Standing, tuple[str, ...]], ...] = (
    (
        Standing.METADATA,
        (
            "169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "169.254.0.23/32", "100.100.100.200/32",
            "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128",
            "fe80::a9fe:a9fe/128",
        ),
    ),
    (Standing.UNSPECIFIED, ("0.0.0.0/8", "::/128")),
    (Standing.LOOPBACK, ("127.0.0.0/8", "::1/128")),
    (Standing.LINK_LOCAL, ("169.254.0.0/16", "fe80::/10", "fec0::/10")),
    (Standing.MULTICAST, ("224.0.0.0/4", "ff00::/8")),
    (Standing.PRIVATE, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
    (
        Standing.RESERVED,
        (
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "100::/64", "100:0:0:1::/64", "2001::/23",
            "2001:db8::/32",
            "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "64:ff9b:1::/48",
        ),
    ),
)  # fmt: skip  # one line a registry reads best
_NETWORKS: tuple[tuple[Standing, Network], ...] = tuple(
    (standing, ip_network(text)) for standing, texts in _TABLE for text in texts
)
_GLOBAL_V6 = ip_network("2000::/3")

_MAPPED, _COMPATIBLE, _TRANSLATED = (ip_network(text) for text in ("::ffff:0:0:0/96", "::/96", "64:ff9b::/96"))
_TEREDO, _SIX_TO_FOUR = ip_network("2001::/32"), ip_network("2002::/16")


def carried(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address stands for: mapped, compatible, translated, 6to4 and Teredo."""
    if isinstance(address, IPv4Address):
        return ()
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _TRANSLATED or address in _MAPPED:
        return (low,)
    if address in _SIX_TO_FOUR:
        return (IPv4Address((int(address) >> 80) & 0xFFFFFFFF),)
    if address in _TEREDO:
        server = IPv4Address((int(address) >> 64) & 0xFFFFFFFF)
        return (server, IPv4Address(int(low) ^ 0xFFFFFFFF))
    return (low,) if address in _COMPATIBLE and int(address) > 1 else ()


def standing(address: Address) -> Standing:
    """What the address is for; one that carries IPv4 inside is no better than what it carries."""
    inner = [standing(each) for each in carried(address)]
    worst = next((each for each in inner if each != Standing.PUBLIC), None)
    if worst is not None:
        return worst
    if inner and address.version == 6 and address.ipv4_mapped is None:
        return Standing.RESERVED
    for each, network in _NETWORKS:
        if address in network:
            return each
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None and address not in _GLOBAL_V6:
        return Standing.RESERVED
    return Standing.PUBLIC
