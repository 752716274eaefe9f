"""Reading one environment variable: its value in the type asked for, or a sentence that names it."""

from __future__ import annotations

import ipaddress
import os
import pwd
import re
import secrets
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from failover_console import files

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = range(1, 65_536)
_MANY = 1_000_000
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PUBLIC_URL = "an http or https address without a path, such as https://console.example"
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, never bound


def refuse(name: str, given: str, expected: str) -> ImproperlyConfigured:
    """The error that stops a start; secrets are not repeated in it."""
    return ImproperlyConfigured(f"{name} is {given!r}, expected {expected}.")


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool = False) -> bool:
    given = text(name).lower()
    known = {"": default, "1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if given not in known:
        raise refuse(name, given, "1 or 0")
    return known[given]


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """One of the words that are allowed; the first when nothing is given."""
    given = text(name, allowed[0]).lower()
    if given not in allowed:
        raise refuse(name, given, f"one of {', '.join(allowed)}")
    return given


def port(name: str, default: int) -> int:
    given = text(name, str(default))
    if not given.isdecimal() or int(given) not in _PORTS:
        raise refuse(name, given, "a port number from 1 to 65535")
    return int(given)


def count(name: str, default: int, *, most: int = _MANY) -> int:
    """A whole number from 1 to `most`."""
    given = text(name, str(default))
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given) <= most:
        raise refuse(name, given, f"a whole number from 1 to {most}")
    return int(given)


def host(name: str, default: str) -> str:
    """An address or a name to listen on."""
    given = text(name, default)
    try:
        ipaddress.ip_address(given)
    except ValueError:
        if not _HOST_NAME.fullmatch(given):
            raise refuse(name, given, "an address to listen on such as 127.0.0.1, or a host name") from None
    return given


def directory(name: str, default: Path) -> Path:
    """An absolute path to a directory, made (for this user alone) when there is none."""
    path = Path(text(name, str(default))).absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return files.real(path)
    except OSError as error:
        raise refuse(name, str(path), f"a directory that this user may make or use ({error.strerror})") from None


def account(name: str) -> str:
    """The name of a user of this machine, or nothing."""
    given = text(name)
    try:
        if given:
            pwd.getpwnam(given)
    except KeyError:
        raise refuse(name, given, "the name of a user of this machine") from None
    return given


def items(name: str) -> list[str]:
    """Comma-separated parts, without empty ones."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def certificates(name: str) -> str:
    """What a file of certificates in PEM holds; empty when none is named."""
    given = text(name)
    if not given:
        return ""
    try:
        found = Path(given).read_text("ascii")
        ssl.create_default_context(cadata=found)
    except (OSError, ValueError):  # of what is no PEM as well
        raise refuse(name, given, "the path of a file with certificates in PEM that this user may read") from None
    return found


def networks(name: str) -> tuple[Network, ...]:
    """CIDR blocks."""
    found = []
    for part in items(name):
        try:
            found.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            raise refuse(name, part, "comma-separated networks such as 10.0.0.0/8,127.0.0.1/32") from None
    return tuple(found)


def endpoints(name: str) -> tuple[tuple[str, int], ...]:
    """`host:port` pairs."""
    found = []
    for part in items(name):
        host, _, number = part.rpartition(":")
        if not host or not number.isdecimal() or int(number) not in _PORTS:
            raise refuse(name, part, "comma-separated addresses such as 192.0.2.1:443,router.example:53")
        found.append((host.strip("[]"), int(number)))
    return tuple(found)


def public_url(name: str, default: str) -> str:
    """An http or https address without path, query or credentials, written as browsers write an origin."""
    given = text(name, default).rstrip("/")
    try:
        parts = urlsplit(given)
        number = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        bare = urlunsplit((parts.scheme, parts.netloc, "", "", "")) == given and "@" not in parts.netloc
    except (ValueError, KeyError):
        raise refuse(name, given, _PUBLIC_URL) from None
    if not bare or not parts.hostname or not given.isascii() or number not in _PORTS:
        raise refuse(name, given, _PUBLIC_URL)
    return _origin(parts.scheme, parts.hostname, number)


def own_url(listening: str, number: int) -> str:
    """The address under which a browser on this machine reaches us."""
    return _origin("http", "127.0.0.1" if listening in _ANY_ADDRESS else listening, number)


def bracketed(hostname: str) -> str:
    """As URLs and Host headers write it: an address of version 6 in brackets."""
    return f"[{hostname}]" if ":" in hostname else hostname


def _origin(scheme: str, hostname: str, number: int) -> str:
    """As browsers write it: a port only when it is not the scheme's own."""
    return f"{scheme}://{bracketed(hostname)}" + ("" if number == _DEFAULT_PORTS[scheme] else f":{number}")


def service_url(name: str, default: str, schemes: Iterable[str]) -> str:
    """An address with one of the schemes; it may hold a password, so an error repeats none of it but the scheme."""
    given = text(name, default)
    scheme = given.partition(":")[0].lower() if ":" in given else ""
    if scheme not in schemes:
        raise ImproperlyConfigured(f"{name} has the scheme {scheme!r}, expected one of: {', '.join(schemes)}.")
    try:
        fits = urlsplit(given).port is None or urlsplit(given).port in _PORTS
    except ValueError:
        fits = False
    if not fits:
        raise ImproperlyConfigured(
            f"{name} is malformed, expected {scheme}://user:password@host:port/name with a port from 1 to 65535."
        )
    return given


def called_url(name: str) -> str:
    """An http or https address that is called as it stands, or nothing; it may hold a secret, so an error repeats none of it."""
    given = text(name)
    try:
        parts = urlsplit(given)
        fits = parts.scheme in _DEFAULT_PORTS and parts.hostname and "@" not in parts.netloc and parts.port in (None, *_PORTS)
    except ValueError:
        fits = False
    if given and not fits:
        raise ImproperlyConfigured(f"{name} is no address to call, expected one such as https://watcher.example/a-path.")
    return given


def kept(name: str, data_dir: Path, *, embedded: bool, make: Callable[[], str]) -> str:
    """A secret: given, or with the embedded database made once and kept below the data directory, mode 0600."""
    given = text(name)
    if given:
        return given
    if not embedded:
        raise ImproperlyConfigured(f"{name} is not set; with DATABASE_URL set it must be, the same for every process.")
    path = data_dir / name.lower()
    try:
        if files.status(path) is None:
            files.write_once(path, make())  # of two processes that start together, the first one's secret counts
        return files.read(path).strip()
    except files.UnsafePathError as trouble:
        raise ImproperlyConfigured(str(trouble)) from None


def fernet_keys(name: str, joined: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in joined.split(",") if part.strip())
    for key in keys:
        try:
            Fernet(key)
        except ValueError:
            raise ImproperlyConfigured(f"{name} holds a key that is no Fernet key (32 bytes, URL-safe base64).") from None
    if not keys:
        raise ImproperlyConfigured(f"{name} holds no key, expected one or more Fernet keys, the newest first.")
    return keys


def new_secret_key() -> str:
    return secrets.token_urlsafe(50)


def new_fernet_key() -> str:
    return Fernet.generate_key().decode()
