"""Checks through real programs: nginx and HAProxy in front of a server, and a model endpoint that streams."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from nodes.egress import Egress
from nodes.engine.types import Observation
from nodes.probes import probe
from nodes.probes.spec import CheckSpec
from tests.probes.servers import Authority
from tests.product import eventually, free_ports

NGINX, HAPROXY = (shutil.which(name) or shutil.which(f"/usr/sbin/{name}") for name in ("nginx", "haproxy"))
KEY = "sk-test-1234567890"
TEXT = "all is well\n" * 200


class Backend(BaseHTTPRequestHandler):
    """Says how it is; `/moved` sends on to it, `/chat` is a model that answers a word at a time and never ends by itself."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/moved":
            self._say(307, b"", Location="/healthz")
        else:
            self._say(200 if self.path == "/healthz" else 503, TEXT.encode(), **{"Content-Type": "text/plain"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._say(401, b'{"error": {"message": "no key"}}', **{"Content-Type": "application/json"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        words = ["", "I", " am", " ready", "."]
        for word in words if asked["messages"][0]["content"] == "be short" else words + [" more"] * 10_000:
            if not self._stream({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}):
                return
            self.server.told += 1  # type: ignore[attr-defined]  # of ours
        self._stream({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._write(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self, part: dict[str, Any]) -> bool:
        whole = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "double", **part}
        return self._write(b"data: " + json.dumps(whole).encode() + b"\n\n") and not threading.Event().wait(0.005)  # its own pace

    def _write(self, part: bytes) -> bool:
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
        except OSError:  # whoever asked has left
            return False
        return True

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def backend() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    server.told = 0  # type: ignore[attr-defined]  # words that somebody took
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def started(line: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def listens() -> bool:
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        return asyncio.run(_connects(port))

    try:
        eventually(listens, 20, "the program listens")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
def nginx(tmp_path: Path, backend: ThreadingHTTPServer, authority: Authority) -> Iterator[dict[str, int]]:
    if NGINX is None:
        pytest.skip("nginx is not on this machine")
    first = free_ports(2)
    certificate, key = authority.pair()
    (tmp_path / "node.pem").write_text(certificate)
    (tmp_path / "node.key").write_text(key)
    (tmp_path / "nginx.conf").write_text(f"""
daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; worker_processes 1; user root;
events {{ worker_connections 64; }}
http {{
  access_log off; gzip on; gzip_min_length 1; gzip_proxied any; gzip_types text/plain;
  client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
  fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
  server {{
    listen 127.0.0.1:{first}; listen 127.0.0.1:{first + 1} ssl;
    ssl_certificate {tmp_path}/node.pem; ssl_certificate_key {tmp_path}/node.key;
    location / {{ proxy_pass http://127.0.0.1:{backend.server_port}; proxy_buffering off; proxy_http_version 1.1; }}
    location = /gone {{ return 444; }}
    location = /upgrade {{ return 301 https://127.0.0.1:{first + 1}/healthz; }}
  }}
}}
""")
    with started([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], first):
        yield {"plain": first, "tls": first + 1}


@pytest.fixture
def haproxy(tmp_path: Path, backend: ThreadingHTTPServer) -> Iterator[int]:
    if HAPROXY is None:
        pytest.skip("HAProxy is not on this machine")
    port = free_ports(1)
    (tmp_path / "haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  compression algo gzip
  compression type text/plain
frontend front
  bind 127.0.0.1:{port}
  use_backend nobody if {{ path /nobody }}
  default_backend ours
backend ours
  server one 127.0.0.1:{backend.server_port}
backend nobody
  server none 127.0.0.1:1
""")
    with started([HAPROXY, "-db", "-f", str(tmp_path / "haproxy.cfg")], port):
        yield port


def ask(egress: Egress, port: int, path: str = "/healthz", **fields: Any) -> Observation:
    return asyncio.run(probe(CheckSpec("http", "127.0.0.1", port, path=path, timeout=5.0, **fields), egress))


def told(seen: Observation) -> tuple[str, str]:
    return seen.verdict.value, seen.message


def test_through_nginx(egress: Egress, nginx: dict[str, int], authority: Authority) -> None:
    port = nginx["plain"]
    text = {"body_contains": "all is well"}
    zipped = {"headers": (("Accept-Encoding", "gzip"),), **text}
    assert told(ask(egress, port, **text)) == ("pass", "")
    assert told(ask(egress, port, **zipped)) == ("pass", "")
    assert told(ask(egress, port, strict=True, **zipped)) == ("pass", "")
    assert told(ask(egress, port, "/away")) == ("fail", "answered 503, expected 200-299")
    assert told(ask(egress, port, "/gone")) == ("fail", "the connection was closed without an answer")
    assert told(ask(egress, port, "/moved", follow_redirects=True, **text)) == ("pass", "")
    assert told(ask(egress, port, "/upgrade", follow_redirects=True, **text)) == ("pass", "")
    assert told(ask(egress, nginx["tls"], tls=True, **text)) == ("pass", "")
    assert told(ask(egress, nginx["tls"])) == ("fail", "answered 400, expected 200-299")  # plain HTTP to its port of TLS
    seen = ask(egress, port, tls=True)
    assert (seen.verdict, seen.message.startswith("TLS failed: ")) == ("fail", True)


def test_through_haproxy(egress: Egress, haproxy: int) -> None:
    text = {"body_contains": "all is well"}
    assert told(ask(egress, haproxy, **text)) == ("pass", "")
    assert told(ask(egress, haproxy, headers=(("Accept-Encoding", "gzip"),), **text)) == ("pass", "")
    assert told(ask(egress, haproxy, "/nobody")) == ("fail", "answered 503, expected 200-299")
    assert told(ask(egress, haproxy, method="HEAD")) == ("fail", "answered 501, expected 200-299")  # the server knows no HEAD


def chat(content: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "double", "stream": True, "messages": [{"role": "user", "content": content}]}
    headers = (("Authorization", f"Bearer {KEY}"), ("Content-Type", "application/json"))
    return {"path": "/v1/chat/completions", "method": "POST", "body": json.dumps(body).encode(), "headers": headers, **fields}


def test_the_double_of_a_model_is_one_for_its_own_client(backend: ThreadingHTTPServer) -> None:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{backend.server_port}/v1", api_key=KEY, max_retries=0, timeout=10)
    stream = client.chat.completions.create(model="double", stream=True, messages=[{"role": "user", "content": "be short"}])
    assert "".join(part.choices[0].delta.content or "" for part in stream) == "I am ready."


@pytest.mark.parametrize("through", ["itself", "nginx", "haproxy"])
def test_a_model_that_streams_is_judged_by_its_first_words(
    egress: Egress, backend: ThreadingHTTPServer, through: str, request: pytest.FixtureRequest
) -> None:
    port = {
        "itself": lambda: backend.server_port,
        "nginx": lambda: request.getfixturevalue("nginx")["plain"],
        "haproxy": lambda: request.getfixturevalue("haproxy"),
    }[through]()
    before = backend.told  # type: ignore[attr-defined]  # of ours
    seen = ask(egress, port, **chat("go on and on", body_contains=" ready"))
    assert told(seen) == ("pass", "")
    assert seen.latency is not None
    assert seen.latency < 2
    assert backend.told - before < 1000  # type: ignore[attr-defined]  # the model was stopped, and not paid for ten thousand words

    assert told(ask(egress, port, **chat("be short", body_matches=r'"content": "\."'))) == ("pass", "")
    wrong = ask(egress, port, **(chat("be short") | {"headers": (("Content-Type", "application/json"),)}))
    assert told(wrong) == ("fail", "answered 401, expected 200-299")
