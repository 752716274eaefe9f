"""Servers on loopback that answer in one way each, in the loop of the test, and certificates of an authority of our own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Served:
    """Where a server listens and the heads of the requests it was sent."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(
    talk: Talk, *, tls: ssl.SSLContext | None = None, reads: bool = True, listening: socket.socket | None = None
) -> AsyncIterator[Served]:
    """A server that reads a request, if it `reads`, and then talks; whoever hangs is cut off at the end."""
    served, talking = Served(), set[asyncio.Task[None]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if reads:
                served.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await talk(reader, writer)
        with suppress(OSError):
            writer.close()

    listening = listening or socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(answer, sock=listening, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


def says(answer: bytes) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return talk


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


async def hang(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


class Authority:
    """Signs certificates; `path` is the file that makes it trusted."""

    def __init__(
        self, directory: Path, name: str = "authority of the tests", *, above: Authority | None = None, days: float = 3650
    ) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (above or self)._sign(self._name, self._key, days=days, names=[], ca=True)
        self.path = directory / ("authority.pem" if above is None else f"{certificate.serial_number}.pem")
        self.path.write_bytes(_pem(certificate))

    def server(
        self, *, days: float = 90, names: list[str] | None = None, since: float = -1, asks: bool = False, sends: bool = False
    ) -> ssl.SSLContext:
        """A server's TLS with a certificate that begins `since` days and ends `days` days from now; it `asks` for one of ours, and
        `sends` that of this authority."""
        certificate, key = self.pair(days=days, names=names, since=since)
        file = self._directory / f"{len(list(self._directory.iterdir()))}.pem"
        file.write_text(key + certificate + (self.path.read_text() if sends else ""))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        if asks:
            context.load_verify_locations(self.path)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def pair(self, *, days: float = 90, names: list[str] | None = None, since: float = -1) -> tuple[str, str]:
        """A certificate and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
        certificate = self._sign(name, key, days=days, since=since, names=names or ["localhost", "127.0.0.1"], ca=False)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return _pem(certificate).decode(), secret.decode()

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: float, names: list[str], ca: bool, since: float = -1
    ) -> x509.Certificate:
        now = timezone.now()
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=min(since, days - 1)))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
