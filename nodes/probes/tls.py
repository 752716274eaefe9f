"""The TLS of checks: what is trusted, what we show, and which part of a chain is at fault."""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

DAY = 86_400  # s
MOST_CHAIN = 10  # certificates that are looked at
_LONGEST_NAME = 60  # characters of a name in a sentence


class Trust(NamedTuple):
    """What decides over a connection's certificates: all in PEM, empty for none."""

    verify: bool = True
    authorities: str = ""  # beside the system's
    certificate: str = ""  # ours, that a node may ask for, with what is between it and its authority
    key: str = ""


@lru_cache(maxsize=1024)
def context(trust: Trust) -> ssl.SSLContext:
    """The TLS rules of a check; without verification the name is not checked either.  Raises `ValueError` with a sentence."""
    if trust.verify:
        made = ssl.create_default_context()
        if trust.authorities:
            _trust(made, trust.authorities)
    else:  # without the system's authorities, which take a while to read
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if trust.certificate:
        _show(made, trust.certificate, trust.key)
    return made


def _trust(made: ssl.SSLContext, authorities: str) -> None:
    try:
        made.load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError):
        raise ValueError("its certificate authorities are no certificates in PEM, enter them again") from None


def _show(made: ssl.SSLContext, certificate: str, key: str) -> None:
    """The standard library takes a certificate from a file alone: one that is in memory, and nowhere else."""
    file = os.memfd_create("client certificate")
    try:
        os.write(file, f"{key}\n{certificate}\n".encode())
        made.load_cert_chain(f"/proc/self/fd/{file}", password="")
    except (ssl.SSLError, ValueError):
        raise ValueError("its client certificate and key are no pair in PEM, enter them again") from None
    finally:
        os.close(file)


def check_authorities(text: str) -> None:
    """Raise `ValueError` with a sentence unless it holds certificates in PEM."""
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        found = []
    if not found:
        raise ValueError("This is no certificate in PEM: paste it from -----BEGIN CERTIFICATE----- to its END line.")


def check_pair(certificate: str, key: str) -> None:
    """Raise `ValueError` with a sentence unless the key is that of the first certificate, and has no password."""
    check_authorities(certificate)
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("This is no private key in PEM without a password.") from None
    if private.public_key() != x509.load_pem_x509_certificates(certificate.encode())[0].public_key():
        raise ValueError("This is not the key of the client certificate.")


class Shown(NamedTuple):
    """The chain that a node showed, its own certificate first, as far as it can be read."""

    chain: tuple[x509.Certificate, ...]

    @classmethod
    def by(cls, transport: asyncio.BaseTransport) -> Shown:
        """What the peer of this connection showed, verified or not."""
        peer = transport.get_extra_info("ssl_object")
        inner = getattr(peer, "_sslobj", peer)  # the chain is in the standard library, but for the public method (3.13)
        found = inner.get_unverified_chain() if inner is not None else None
        chain = []
        for each in (found or ())[:MOST_CHAIN]:
            try:
                chain.append(x509.load_pem_x509_certificate(each.public_bytes().encode()))
            except ValueError:
                break  # no certificate that anybody could read
        return cls(tuple(chain))


def certificate_warning(transport: asyncio.BaseTransport, days: int, now: float) -> str:
    """A sentence when the peer's certificate ends within `days`, verified or not; empty when not, and always for 0 days."""
    ends_at = _ends_at(transport) if days else None
    if ends_at is None or (left := (ends_at - now) / DAY) >= days:
        return ""
    return f"the certificate ends in {left:.0f} days" if left >= 0 else f"the certificate ended {-left:.0f} days ago"


def _ends_at(transport: asyncio.BaseTransport) -> float | None:
    """Epoch seconds.  The standard library reads none that it did not verify: such a one is read from its bytes."""
    if peer := transport.get_extra_info("peercert"):
        return float(ssl.cert_time_to_seconds(peer["notAfter"]))
    stored = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        return x509.load_der_x509_certificate(stored).not_valid_after_utc.timestamp() if stored else None
    except ValueError:
        return None  # no certificate that anybody could read


def fault(shown: Shown, name: str, now: float, otherwise: str) -> str:
    """Which part of the chain is at fault and how, `otherwise` when that cannot be told; `name` is whom we asked for."""
    if not shown.chain:
        return otherwise
    for position, each in enumerate(shown.chain):
        which = "the certificate" if position == 0 else f"the certificate of the authority “{called(each.subject)}” above it"
        begins, ends = each.not_valid_before_utc.timestamp(), each.not_valid_after_utc.timestamp()
        if now > ends:
            return f"{which} has expired ({_span(now - ends)} ago)"
        if now < begins:
            return f"{which} is not valid yet (it begins in {_span(begins - now)})"
    leaf, last = shown.chain[0], shown.chain[-1]
    names = _names(leaf)
    if not _is_for(name, names):
        return f"the certificate is for another name ({', '.join(names[:3])[:100] or called(leaf.subject)}, not {name[:100]})"
    if last.issuer != last.subject:
        sends = "no certificate" if len(shown.chain) == 1 else "none"
        above = "" if len(shown.chain) == 1 else f", above “{called(last.subject)}”"
        missing = f"“{called(last.issuer)}”{above}; the node sends {sends} of it"
        return f"the certificate is signed by an authority that is not trusted ({missing})"
    if len(shown.chain) == 1:
        return "the certificate is self-signed"
    return f"the certificate is signed by an authority that is not trusted (“{called(last.subject)}”)"


def called(name: x509.Name) -> str:
    """The common name, else the whole one; bounded, as the peer has chosen it."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    return text[:_LONGEST_NAME]


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = found.get_values_for_type(x509.DNSName)  # type: ignore[attr-defined]  # what this extension holds
    addresses = found.get_values_for_type(x509.IPAddress)  # type: ignore[attr-defined]  # as above
    return [*names, *map(str, addresses)]


def _is_for(name: str, names: list[str]) -> bool:
    """As RFC 6125: a star stands for the first label alone."""
    try:
        return str(ip_address(name)) in names
    except ValueError:
        pass
    wanted = name.lower().rstrip(".")
    patterns = [each.lower() for each in names]
    return wanted in patterns or f"*.{wanted.partition('.')[2]}" in patterns


def _span(seconds: float) -> str:
    return f"{seconds / DAY:.0f} days" if seconds >= 2 * DAY else f"{max(1, seconds // 3600):.0f} h"
