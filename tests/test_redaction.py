"""No text that passes the log formatter holds a secret, whatever kind it is and wherever it stands."""

from __future__ import annotations

import logging
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from failover_console.logs import OneLine
from failover_console.redaction import HIDDEN, Redaction

PUSH = "k3-Zq_8vTTn0aYc5LmW1xR7sUe2BdF4h"
TOKEN = "fc_0123456789abcdef_u7Qy2-mNbVcXz1LkJhGfDsApOiUyTrEw"
SESSION = "x8k2v0q9z7m4c1b5n3l6j8h0g2f4d6s8"
HEX = "0123456789abcdef0123456789abcdef"
SECRETS = {
    "push": (PUSH, "Not Found: /push/7/{}/"),
    "short push": ("abc", "Not Found: /push/7/{}"),
    "push at the root twice": (PUSH, "Not Found: //push/7/{}/"),
    "push with slashes": (PUSH, "Not Found: /push//7//{}"),
    "push escaped": (PUSH, "Not Found: /push%2F7%2F{}"),
    "push of no number": (PUSH, "Not Found: /push/api-1/{}/?x=1"),
    "push in a repr": (PUSH, "<WSGIRequest: PUT '/push/7/{}/'>"),
    "bearer": ("abcdefgh1", "Authorization: Bearer {}"),
    "bearer in a dictionary": (PUSH, "{{'authorization': 'Bearer {}'}}"),
    "header of asgi": (PUSH, "(b'authorization', b'Bearer {}')"),
    "basic": ("b2xnYTpwYXNz", "sent basic {} there"),
    "api token": (TOKEN.rsplit("_", 1)[1], "token fc_0123456789abcdef_{} is revoked"),
    "slack": ("T0AAA/B0BBB/cCcCcC1", "POST https://hooks.slack.com/services/{} failed"),
    "slack token": ("xoxb-123-abc", "said {}"),
    "routing key": (HEX, "payload {{'routing_key': '{}'}}"),
    "bare routing key": (HEX, "sent {} there"),
    "routing key of capitals": ("R0ABCDEFGHJKLMNPQRSTUVWXYZ012345", "sent {} there"),
    "signing secret": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed by {}"),
    "database": ("hunter22", "connect postgresql://failover:{}@db.example:5432/failover"),
    "redis": ("hunter22", "connect redis://:{}@valkey:6379/0 failed"),
    "an at in a password": ("hunt@er", "connect redis://:{}@valkey:6379/0 failed"),
    "password": ("hunter22", "host=db password={} port=5432"),
    "session": (SESSION, "the session {} is gone"),
    "session cookie": ("abcdef", "Cookie: failover-session-8000={}; theme=dark"),
    "csrf cookie": ("abcdef12", "failover-csrf-8000={}"),
    "query": ("abcdef", "called https://hook.example/in?sig={} for us"),
    "query of a short host": ("abcdef", "called http://w?{} for us"),
    "any random text": ("Zk3q8vTTn0aYc5LmW1xR7sUe2BdF4hQQ", "webhook https://chat.example/api/{} refused"),
}
ORDINARY = [
    "node eu-1 is well – 12 µs",
    "Not Found: /pools/public-api/",
    "Forbidden (CSRF token missing.): /accounts/login/",
    "Task nodes.run_checks[3f2b8a5e-1c1d-4e6f-9a70-0f8d1c2b3a4d] raised unexpected: ValueError()",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS is set",
    "the secret in its headers cannot be read with today's ENCRYPTION_KEYS",
    '  File "/srv/nodes/views/api.py", line 120, in push',
    "GET https://api.example:8443/health/checks 503",
]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_hidden_in_the_message_and_in_the_traceback(kind: str) -> None:
    secret, text = SECRETS[kind]
    try:
        raise ValueError(text.format(secret))
    except ValueError:
        record = logging.LogRecord("django.request", logging.ERROR, __file__, 1, "%s", (text.format(secret),), sys.exc_info())
    lines = OneLine("%(message)s").format(record)

    assert secret not in lines
    assert lines.count(HIDDEN) == 2
    assert "ValueError" in lines


@pytest.mark.parametrize("line", ORDINARY)
def test_an_ordinary_line_stays(line: str) -> None:
    assert Redaction()(line) == line


def test_what_is_not_secret_of_a_line_stays() -> None:
    hide = Redaction()
    assert hide(f"Not Found: /push/7/{PUSH}/") == f"Not Found: /push/7/{HIDDEN}/"
    assert hide(f"the token {TOKEN} is revoked") == f"the token fc_0123456789abcdef_{HIDDEN} is revoked"
    assert hide("redis://:pass@valkey:6379/0 is away") == f"redis://{HIDDEN}@valkey:6379/0 is away"


def test_the_console_hides_its_own_keys_whatever_they_look_like() -> None:
    assert Redaction(["correct horse", "short"])("it is correct horse, and short") == f"it is {HIDDEN}, and short"


def test_half_a_secret_at_the_end_of_a_long_line_does_not_stay() -> None:
    for before in range(3_950, 4_001):
        line = OneLine("%(message)s").format(logging.makeLogRecord({"msg": "x" * before + " " + TOKEN}))
        assert "u7Qy2" not in line


def test_a_line_that_is_nearly_all_secret_stays_a_line() -> None:
    for path in ("push/5/" + "a" * 9_000, "x?" + "a" * 9_000, "x token=" + "a" * 9_000):
        assert "Not Found" in OneLine("%(message)s").format(logging.makeLogRecord({"msg": f"Not Found: /{path}"}))


@pytest.mark.parametrize("secret", [TOKEN, "hooks.slack.com/services/T0AAA/B0BBB/" + "c" * 200])
def test_half_a_secret_at_the_end_of_what_is_looked_at_does_not_stay(secret: str) -> None:
    many = f"{TOKEN} " * 100  # hidden, they make room for what stands behind
    for length in range(8_000 - len(many) - len(secret), 8_000 - len(many) - 1, 7):
        line = OneLine("%(message)s").format(logging.makeLogRecord({"msg": many + "x" * (length - 1) + " " + secret}))
        assert "u7Qy2" not in line
        assert "ccc" not in line


PIECES = [
    "push/", "push/7/", "push/7//", "push%2F", "://", "a:", "ab://a:", "https://a?", "http://", "token=", '"token', "authorization",
    "cookie ", "-", "A1a", "a.", "a ", "/services/T1/B", "hooks.slack.", "bearer ", "xoxb-", "a" * 199 + ":", "/", " ", "token ",
]  # fmt: skip  # pieces of secrets, in no order


some = st.lists(st.one_of(st.sampled_from(PIECES), st.text(alphabet="aZ1/:?=@%.- _'\"", max_size=12)), max_size=4).map("".join)


@given(some, some, some)
@settings(max_examples=60, deadline=None)
@example("push/7/", "/", "")
@example("", "http://", "")
def test_twice_the_text_takes_twice_the_time(begin: str, again: str, end: str) -> None:
    """Quadratic, eight times the text takes 64 times the time; a web process says nothing to anybody meanwhile."""
    hide = Redaction(["a-known-value"])

    def seconds(size: int) -> float:
        text = begin + (again or "a") * (size // len(again or "a")) + end
        return min(_spent(hide, text) for _ in range(3))

    assert seconds(16_000) < 24 * max(seconds(2_000), 0.000_5)


def _spent(hide: Redaction, text: str) -> float:
    begun = time.process_time()
    hide(text)
    return time.process_time() - begun
