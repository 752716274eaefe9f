"""Every field of a check, for every kind: it changes what goes over the wire or what comes of it, or the form refuses it.

The table names each field once; one that is added to the form and not to the table fails the last test.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from psycopg.rows import dict_row

from nodes.egress import Egress
from nodes.engine.types import Observation
from nodes.forms.checks import CheckForm
from nodes.models import CheckKind, Node
from nodes.probes import probe, tls
from nodes.probes.spec import CheckSpec
from nodes.runner import specs
from tests.admin.conftest import Fleet, errors, node_form, page
from tests.probes.servers import Authority, reply, says, serving

KINDS = [kind.value for kind in CheckKind]
with TemporaryDirectory() as directory:
    PEM, KEY = Authority(Path(directory)).pair()
    _, OTHER_KEY = Authority(Path(directory)).pair()
# A value of each field that is not its default.
SET: dict[str, str] = {
    "kind": "", "port": "1", "use_tls": "on", "method": "POST", "path": "/ready", "request_headers": "X-Key: open",
    "clear_headers": "on", "body": "hello", "expected_status": "204", "body_contains": "fine", "follow_redirects": "on",
    "verify_tls": "", "server_name": "node.example", "certificate_days": "40", "grace": "50", "new_secret": "on", "quorum": "any",
    "warn_status": "500-599", "body_excludes": "Traceback", "body_matches": "fi.e", "json_path": "$.status", "json_operator": "ne",
    "json_value": "ok", "strict": "on", "authorities": PEM, "client_certificate": PEM, "new_client_key": KEY,
}  # fmt: skip  # a table
CHILDREN = ({"kind": "tcp"}, {"kind": "tcp", "port": "1"})  # one that passes and one that fails


@dataclass
class Console:
    """The form, and the runner that asks what was stored, with a server of ours as the node."""

    client: Client
    node: Node
    authority: Authority
    sockets: ExitStack
    distrust: Callable[[], None]  # the authority, but where a check names it
    answer: bytes = field(default_factory=lambda: reply("200 OK", b"all is fine"))
    days: float = 90
    secure: bool = False
    asks: bool = False  # for a certificate of ours
    port: int = 0  # of the next server; 0: any, so another one each time

    def save(self, kind: str, *children: dict[str, Any], **fields: Any) -> Any:
        self.listening = self.sockets.enter_context(socket.create_server(("127.0.0.1", self.port)))
        checks = [{"kind": kind} | fields, *(CHILDREN if kind == "composite" else children)]
        given = {"address": "127.0.0.1", "port": self.listening.getsockname()[1]}
        return self.client.post(page("node", "change", self.node.pk), node_form(self.node, *checks, **given), follow=True)

    def spec(self) -> CheckSpec:
        with connection.cursor() as wrapper:
            wrapper.cursor.row_factory = dict_row
            return specs.load(wrapper.cursor)[self.node.pk]

    def ask(self, kind: str, **fields: Any) -> tuple[Observation, list[bytes]]:
        """Save it, and ask as a runner does: what was seen, and the requests that arrived."""
        self.save(kind, **fields)
        return asyncio.run(self._ask(self.spec()))

    async def _ask(self, spec: CheckSpec) -> tuple[Observation, list[bytes]]:
        names = ["127.0.0.1", "node.example"]
        tls = self.authority.server(days=self.days, names=names, asks=self.asks) if self.secure else None
        reads = spec.kind == "http"
        async with serving(says(self.answer), tls=tls, reads=reads, listening=self.listening) as served:
            return await probe(spec, Egress.for_checks([ip_network("127.0.0.0/8")])), served.requests


@pytest.fixture
def console(admin: Client, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    tls.context.cache_clear()

    def distrust() -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        tls.context.cache_clear()

    with ExitStack() as sockets:
        yield Console(admin, fleet.first, authority, sockets, distrust)
    tls.context.cache_clear()


def request(console: Console, **fields: Any) -> str:
    return console.ask("http", **fields)[1][0].decode("latin-1")


def port(console: Console, kind: str) -> None:
    assert console.ask(kind)[0].verdict == ("fail" if kind == "tls" else "pass")
    assert console.ask(kind, port="1")[0].message == "connection refused"


def kind(console: Console, chosen: str) -> None:
    assert console.save(chosen).status_code == 200
    assert console.spec().kind == chosen


def use_tls(console: Console, _: str) -> None:
    console.secure = True
    assert [console.ask("http", use_tls=ticked)[0].verdict for ticked in ("", "on")] == ["fail", "pass"]


def method(console: Console, _: str) -> None:
    assert request(console, method="POST").startswith("POST / HTTP/1.1\r\n")
    assert "Content-Length: 0\r\n" in request(console, method="POST")


def path(console: Console, _: str) -> None:
    assert request(console, path="/ready").startswith("GET /ready HTTP/1.1\r\n")


def headers(console: Console, _: str) -> None:
    assert "\r\nX-Key: caf\xe9\r\n" in request(console, request_headers="X-Key: café")
    console.port = Node.objects.get(pk=console.node.pk).port  # at another one they would have to be entered again
    assert "\r\nX-Key: caf\xe9\r\n" in request(console)
    assert "X-Key" not in request(console, clear_headers="on")


def body(console: Console, _: str) -> None:
    assert "Content-Length: 7\r\n" in request(console, body=" hello ")  # as it was typed


def expected_status(console: Console, _: str) -> None:
    assert console.ask("http", expected_status="204")[0].message == "answered 200, expected 204"


def body_contains(console: Console, _: str) -> None:
    verdicts = [console.ask("http", body_contains=text)[0].verdict for text in ("all is", "none is")]
    assert verdicts == ["pass", "fail"]


def warn_status(console: Console, _: str) -> None:
    console.answer = reply("503 Away")
    assert [console.ask("http", warn_status=which)[0].verdict for which in ("429", "500-599")] == ["fail", "warn"]


def body_excludes(console: Console, _: str) -> None:
    assert [console.ask("http", body_excludes=text)[0].verdict for text in ("Traceback", "fine")] == ["pass", "fail"]


def body_matches(console: Console, _: str) -> None:
    assert [console.ask("http", body_matches=text)[0].verdict for text in ("fi.e$", "fi.e.")] == ["pass", "fail"]


def json_path(console: Console, _: str) -> None:
    console.answer = reply("200 OK", b'{"status": "ok", "lag": 3}')
    given = [("$.status", "eq", "ok"), ("$.lag", "eq", "ok"), ("$.status", "ne", "ok"), ("$.lag", "le", "3"), ("$.lag", "le", "2")]
    seen = [console.ask("http", json_path=path, json_operator=how, json_value=value)[0].verdict for path, how, value in given]
    assert seen == ["pass", "fail", "fail", "pass", "fail"]


def strict(console: Console, _: str) -> None:
    console.answer = b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
    assert [console.ask("http", strict=ticked)[0].verdict for ticked in ("", "on")] == ["pass", "fail"]


def authorities(console: Console, kind: str) -> None:
    console.secure, ticked = True, {"use_tls": "on"} if kind == "http" else {}
    private = console.authority.path.read_text()
    console.distrust()
    assert [console.ask(kind, authorities=given, **ticked)[0].verdict for given in ("", private)] == ["fail", "pass"]


@pytest.mark.parametrize("kind", ["http", "tls"])
def test_the_authorities_of_the_console_are_trusted_by_all_checks(console: Console, settings: Any, kind: str) -> None:
    console.secure, ticked = True, {"use_tls": "on"} if kind == "http" else {}
    private = console.authority.path.read_text()
    console.distrust()
    assert console.ask(kind, **ticked)[0].verdict == "fail"
    settings.CHECK_AUTHORITIES = private
    assert console.ask(kind, **ticked)[0].verdict == "pass"


def client_certificate(console: Console, kind: str) -> None:
    console.secure, console.asks, ticked = True, True, {"use_tls": "on"} if kind == "http" else {}
    certificate, key = console.authority.pair()
    ours = {"client_certificate": certificate, "new_client_key": key}
    assert console.ask("http", use_tls="on")[0].verdict == "fail"  # in TLS 1.3 the handshake alone does not show it
    assert console.ask("http", use_tls="on", **ours)[0].verdict == "pass"
    console.ask(kind, **ticked, **ours)
    assert console.spec().client_certificate.split() == certificate.split()
    assert console.spec().client_key.split() == key.split()


def follow_redirects(console: Console, _: str) -> None:
    console.answer = reply("302 Found", b"", "Location: /elsewhere")
    asked = [len(console.ask("http", expected_status="302", follow_redirects=ticked)[1]) for ticked in ("", "on")]
    assert asked == [1, 4]


def verify_tls(console: Console, kind: str) -> None:
    console.secure, console.days = True, -1
    ticked = {"use_tls": "on"} if kind == "http" else {}
    assert [console.ask(kind, verify_tls=verify, **ticked)[0].verdict for verify in ("on", "")] == ["fail", "warn"]


def certificate_days(console: Console, kind: str) -> None:
    console.secure, console.days = True, 30.2
    ticked = {"use_tls": "on"} if kind == "http" else {}
    for verify in ("on", ""):
        seen = [console.ask(kind, certificate_days=days, verify_tls=verify, **ticked)[0] for days in ("20", "40", "0")]
        assert [each.message for each in seen] == ["", "the certificate ends in 30 days", ""]


def server_name(console: Console, kind: str) -> None:
    if kind == "http":
        assert "\r\nHost: xn--bcher-kva.example:" in request(console, server_name="bücher.example")
    console.secure = True
    ticked = {"use_tls": "on"} if kind == "http" else {}
    seen = [console.ask(kind, server_name=name, **ticked)[0].verdict for name in ("node.example", "other.example")]
    assert seen == ["pass", "fail"]


def grace(console: Console, _: str) -> None:
    console.save("push", grace="50")
    heard = [console.spec().heard(beat, 0.0, 2e12) for beat in (1e12, 1.0)]
    egress = Egress.for_checks([])
    assert [asyncio.run(probe(spec, egress)).verdict for spec in heard] == ["pass", "fail"]
    assert "60 s are allowed" in asyncio.run(probe(heard[1], egress)).message


def new_secret(console: Console, _: str) -> None:
    digests = []
    for ticked in ("", "", "on"):
        console.save("push", new_secret=ticked)
        digests.append(console.node.checks.get().push_digest)
    assert digests[0] == digests[1] != digests[2]


def quorum(console: Console, _: str) -> None:
    seen = []
    for chosen in ("all", "any"):
        console.node.checks.exclude(kind="composite").delete()
        seen.append(console.ask("composite", quorum=chosen)[0].verdict)
    assert seen == ["fail", "warn"]


Effect = Callable[[Console, str], None]
_ANY: dict[str, Effect] = {"kind": kind}
_TLS: dict[str, Effect] = {
    "verify_tls": verify_tls, "certificate_days": certificate_days, "server_name": server_name, "authorities": authorities,
    "client_certificate": client_certificate, "new_client_key": client_certificate,
}  # fmt: skip  # a table
USED: dict[str, dict[str, Effect]] = {
    "http": {
        **_ANY, **_TLS, "port": port, "use_tls": use_tls, "method": method, "path": path, "request_headers": headers,
        "clear_headers": headers, "body": body, "expected_status": expected_status, "body_contains": body_contains,
        "follow_redirects": follow_redirects, "warn_status": warn_status, "body_excludes": body_excludes,
        "body_matches": body_matches, "json_path": json_path, "json_operator": json_path, "json_value": json_path, "strict": strict,
    },
    "tcp": {**_ANY, "port": port},
    "tls": {**_ANY, **_TLS, "port": port},
    "push": {**_ANY, "grace": grace, "new_secret": new_secret},
    "composite": {**_ANY, "quorum": quorum},
}  # fmt: skip  # a table
FORGETS = ("clear_headers",)  # it takes away, of any kind, what another kind has stored


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, used in USED.items() for name in used])
def test_what_a_kind_uses_has_an_effect(console: Console, kind: str, name: str) -> None:
    USED[kind][name](console, kind)


IDLE = [(kind, name) for kind in KINDS for name in CheckForm.base_fields if name not in (*USED[kind], *FORGETS)]


@pytest.mark.parametrize(("kind", "name"), IDLE)
def test_what_a_kind_does_not_use_is_refused(console: Console, kind: str, name: str) -> None:
    answer = console.save(kind, **{name: SET[name]})
    assert re.search(r"Only .* look at this", errors(answer))
    assert console.node.checks.get().kind == "http"  # nothing was stored


def test_what_another_kind_stored_is_refused_when_the_kind_changes(console: Console) -> None:
    console.save("http", path="/ready", request_headers="X-Key: open")
    assert "Only HTTP checks look at this" in errors(console.save("tcp", path="/ready"))
    assert "delete the stored ones" in errors(console.save("tcp"))
    assert console.save("tcp", clear_headers="on").redirect_chain


def test_what_was_stored_before_keeps_nobody_from_an_edit(console: Console) -> None:
    console.node.checks.update(kind="tcp", body_contains="of an older version")
    assert console.save("tcp", body_contains="of an older version").redirect_chain


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"verify_tls": ""}, "tick https"),
        ({"certificate_days": "40"}, "tick https"),
        ({"method": "HEAD", "body_contains": "fine"}, "An answer to HEAD has no text"),
        ({"method": "HEAD", "json_path": "$.status"}, "An answer to HEAD has no text"),
        ({"json_value": "ok"}, "give the path as well"),
        ({"json_path": "status"}, "This is no JSON path"),
        ({"json_path": "$..status"}, "This path leads to many values"),
        ({"body_matches": "(fine"}, "This is no regular expression"),
        ({"warn_status": "none"}, "is no status or range of statuses"),
        ({"authorities": PEM}, "tick https"),
        ({"authorities": PEM, "use_tls": "on", "verify_tls": ""}, "so nobody is trusted"),
        ({"authorities": "mine", "use_tls": "on"}, "This is no certificate in PEM"),
        ({"client_certificate": PEM, "use_tls": "on"}, "This is no private key in PEM"),
        (
            {"client_certificate": PEM, "new_client_key": OTHER_KEY, "use_tls": "on"},
            "This is not the key of the client certificate",
        ),
        ({"new_client_key": KEY, "use_tls": "on"}, "A key without its certificate"),
        ({"request_headers": "A: b", "clear_headers": "on"}, "not both"),
        ({"request_headers": "X-Price: 5 €"}, "Line 1: a header holds the characters of Latin-1 alone"),
        ({"request_headers": "X Price: 5"}, "Line 1 is not"),
        ({"request_headers": "X-Price: 5\rHost: other"}, "Line 1 is not"),
        ({"server_name": "node.example:8443"}, "write node.example here and 8443 there"),
        ({"server_name": "a.example\r\nX: y"}, "Only the host name"),
        ({"grace": "1e9"}, "No duration is longer than a year"),
    ],
)
def test_what_cannot_be_done_together_is_refused(console: Console, fields: dict[str, str], sentence: str) -> None:
    assert sentence in errors(console.save("push" if "grace" in fields else "http", **fields))


def test_the_table_names_every_field_of_the_form() -> None:
    assert set(SET) == set(CheckForm.base_fields)
    assert set(USED) == set(KINDS)
    assert {name for used in USED.values() for name in used} == set(CheckForm.base_fields)
