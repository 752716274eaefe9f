"""What a person types where a host name or an IP address is asked for."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

from nodes.egress.names import literal

_NAME = re.compile(r"[\w.-]+")
_READ_IN_TWO_WAYS = re.compile("[ßς]")  # IDNA 2003 and 2008 make different names of them


def host_or_address(typed: str) -> str:
    """The host, without brackets; raises `ValidationError` with what to write instead."""
    host = typed.strip()
    if literal(host) is not None:
        return host.strip("[]")
    if "/" in host or any(char.isspace() for char in host):
        raise ValidationError("Only the host name or IP address: no scheme, no path, no spaces.")
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or literal(name) is not None):
        raise ValidationError(f"The port has a field of its own: write {name} here and {port} there.")
    if not _NAME.fullmatch(host):
        raise ValidationError("This is no host name and no IP address: a name is letters, digits, hyphens and dots.")
    if _READ_IN_TWO_WAYS.search(host):
        raise ValidationError("ß and ς in a name are read in two ways: write the name as DNS has it, with xn--.")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValidationError("This is no host name: each part between dots has 1 to 63 characters.") from None
    return host
