"""Asks our own web process, over HTTP, whether it is ready to serve.

In: the address that it listens on and its public name.  Out: True once `/healthz` answered 200.
"""

import http.client
import time
from urllib.parse import urlsplit

FIRST_SECONDS, LAST_SECONDS = 0.2, 5.0  # between two questions: soon at first, patient with a web that cannot serve
ANSWER_SECONDS = 1.0
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class Readiness:
    """`answers` asks /healthz of `host`:`port` under the public name, ever more rarely."""

    def __init__(self, host: str, port: int, public_url: str) -> None:
        self._address = WILDCARDS.get(host, host), port
        self._name = urlsplit(public_url).netloc
        self._pause = FIRST_SECONDS
        self._next = 0.0

    def answers(self) -> bool:
        """Whether it answered 200 just now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._pause
        self._pause = min(LAST_SECONDS, self._pause * 1.2)
        request = http.client.HTTPConnection(*self._address, timeout=ANSWER_SECONDS)
        try:
            request.request("GET", "/healthz", headers={"Host": self._name})
            return request.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            request.close()
