"""A small provider of OpenID Connect on loopback: discovery, authorize, token with a signed id_token, userinfo, keys."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "console", "between-us-two"


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@cache
def _published() -> rsa.RSAPrivateKey:
    return _key()


@dataclass
class Provider:
    """Who it vouches for, and what is wrong with its answers."""

    address: str = ""
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "p-1", "preferred_username": "nina", "email": "nina@example.test"}
    )
    claims: dict[str, Any] = field(default_factory=dict)  # that differ in the token
    foreign_key: bool = False  # it signs with a key that it does not publish
    broken: bool = False  # it answers with something else
    asked: list[str] = field(default_factory=list)
    _own: rsa.RSAPrivateKey = field(default_factory=_published)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, path: str, given: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON, or the place to go."""
        self.asked.append(path)
        if self.broken:
            return 200, "nothing that was asked for"
        if path == "/.well-known/openid-configuration":
            return 200, self._configuration()
        if path == "/keys":
            key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._own.public_key()))
            return 200, {"keys": [{**key, "kid": "one", "use": "sig", "alg": "RS256"}]}
        if path == "/authorize":
            code = f"code-{len(self._codes)}"
            self._codes[code] = given
            return 302, f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}"
        if path == "/token":
            return self._token(given)
        return 200, self.person

    def _configuration(self) -> dict[str, Any]:
        places = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        found = {f"{name}_endpoint": f"{self.address}/{path}" for name, path in places.items()}
        methods = ["client_secret_post"]
        return {
            "issuer": self.address,
            "jwks_uri": f"{self.address}/keys",
            "token_endpoint_auth_methods_supported": methods,
            **found,
        }

    def _token(self, given: dict[str, str]) -> tuple[int, Any]:
        asked = self._codes.pop(given.get("code", ""), None)
        proof = urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if asked is None or asked.get("code_challenge") != proof or given.get("client_secret") != SECRET:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 60, **self.person, **self.claims}
        signed = jwt.encode(claims, _key() if self.foreign_key else self._own, algorithm="RS256", headers={"kid": "one"})
        return 200, {"access_token": "for-userinfo", "token_type": "Bearer", "id_token": signed, "expires_in": 60}


@contextmanager
def serving() -> Iterator[Provider]:
    provider = Provider()

    class Answers(BaseHTTPRequestHandler):
        def _answer(self, body: str = "") -> None:
            parts = urlsplit(self.path)
            given = {name: values[0] for name, values in parse_qs(parts.query or body).items()}
            status, content = provider.answer(parts.path, given)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", content)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"" if status == 302 else json.dumps(content).encode())

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def log_message(self, *_: Any) -> None:
            """Its lines are nobody's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    provider.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
