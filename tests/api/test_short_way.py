"""Reports past Django's middleware: the same answers, whatever is sent, and what is unusual gets Django's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_console.short_way import short_way
from nodes import intake
from nodes.forms.outcomes import LARGEST_BODY
from nodes.models import Node, Pool
from tests.api.conftest import Token

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

PATIENCE = 20  # s
_NAMES = ["outcomes", "load", "success", "failure", "slow", "duration", "at", "x"]
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    ),
    max_leaves=12,
)
_INSTANTS = ["", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-31T12:00:00Z", 0, 1e308, -1, None]
_entries = st.fixed_dictionaries(
    {"success": st.integers(0, 3)}, optional={"at": st.sampled_from(_INSTANTS), "failure": st.integers(-1, 2), "slow": _json}
)
_bodies = st.one_of(
    st.binary(max_size=40),
    _json.map(lambda value: json.dumps(value).encode()),
    st.lists(_entries, max_size=3).map(lambda entries: json.dumps({"outcomes": entries}).encode()),
)
_header = st.binary(max_size=20).map(lambda value: value.translate(None, b"\r\n\0"))


@pytest.fixture
async def address(api: Pool) -> AsyncIterator[str]:
    node = await Node.objects.aget(name="api-1")
    yield f"/api/v1/nodes/{node.pk}/outcomes"
    await intake.end()
    await sync_to_async(connections.close_all)()  # of the thread in which the database was asked


async def ask(path: str, *parts: bytes, method: str = "POST", **headers: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of the answer to a request whose body comes in these parts."""
    given_headers = {"host": b"localhost", **headers}
    sent = [(name.replace("_", "-").encode(), value) for name, value in given_headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": sent, "http_version": "1.1"}
    web = ApplicationCommunicator(short_way(get_asgi_application()), scope)
    for number, part in enumerate(parts or (b"",), 1):
        await web.send_input({"type": "http.request", "body": part, "more_body": number < len(parts)})
    start = await web.receive_output(PATIENCE)
    body = (await web.receive_output(PATIENCE))["body"]
    await web.wait(PATIENCE)
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return int(start["status"]), found, json.loads(body) if found["content-type"] == "application/json" else body


async def test_a_report_in_parts_is_taken(address: str, token: Token) -> None:
    bearer = (await sync_to_async(token)("outcomes")).encode()
    status, headers, document = await ask(address, b'{"outcomes": [', b'{"success": 2}]}', authorization=bearer)
    assert (status, document["counted"], headers["x-content-type-options"]) == (202, 2, "nosniff")


async def test_no_more_is_read_than_a_body_may_have(address: str, token: Token) -> None:
    bearer = (await sync_to_async(token)("outcomes")).encode()
    half = b" " * (LARGEST_BODY // 2 + 1)
    assert (await ask(address, half, half, half, half, authorization=bearer))[0] == 413


async def test_what_is_unusual_gets_the_answer_of_django(address: str) -> None:
    assert (await ask(address, method="GET"))[0] == 405
    status, headers, _ = await ask(address, b"{}", host=b"elsewhere.example")
    assert (status, "content-security-policy" in headers) == (400, True)
    assert (await ask(address.replace("outcomes", "outcome"), b"{}"))[0] == 404


async def test_where_https_is_to_be_http_is_sent_there(address: str, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    status, headers, _ = await ask(address, b"{}")
    assert (status, headers["location"]) == (301, f"https://localhost{address}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(body=_bodies, key=st.one_of(st.none(), _header))
async def test_no_body_and_no_key_is_a_fault_of_the_console(address: str, token: Token, body: bytes, key: bytes | None) -> None:
    bearer = (await sync_to_async(token)("outcomes")).encode()
    headers = {"authorization": bearer} | ({} if key is None else {"idempotency_key": key})
    status, _, document = await ask(address, body, **headers)
    assert status in (202, 400)
    assert isinstance(document.get("error", ""), str)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(authorization=st.one_of(_header, _header.map(lambda value: b"Bearer " + value)))
async def test_no_token_is_a_fault_of_the_console(address: str, authorization: bytes) -> None:
    assert (await ask(address, b'{"load": 1}', authorization=authorization))[0] == 401
