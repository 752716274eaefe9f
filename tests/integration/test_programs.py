"""Nothing that a program asks gives a failure of ours: the way of programs through a real web process, past Django's middleware."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nodes import intake
from nodes.models import ApiToken, Pool, Scope
from tests.environment import DATA_DIR
from tests.integration.reporting import Web, sessions, web
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    directory = tmp_path_factory.mktemp("web")
    shutil.copytree(DATA_DIR / "static", directory / "static")  # for the page of a wrong address
    with django_db_blocker.unblock():
        with web(directory) as made:
            yield made
        intake.close()
        eventually(lambda: not sessions(), 20, "the server has seen that it is gone: a database in use cannot be dropped")


@pytest.fixture
def whole(pool: Pool) -> str:
    """A token for everything; who made it matters to none of its requests."""
    User.objects.create_user("ada")
    token = ApiToken(name="all", scopes=[each.value for each in Scope])
    shown = token.issue()
    token.save()
    return f"Bearer {shown}"


text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12).map(lambda given: quote(given, safe=""))
numbers = st.integers(-(2**70), 2**70).map(str)
part = text | numbers
ways = st.one_of(
    part.map(lambda given: f"/api/v1/pools/{given}/shares"),
    part.map(lambda given: f"/api/v1/nodes/{given}/outcomes"),
    st.tuples(part, part).map(lambda given: f"/push/{given[0]}/{given[1]}/"),
    st.sampled_from(["/metrics", "/healthz", "/health/alerts", "/api/v1/pools/api/shares", "/api/v1/", "/api/"]),
)
queries = st.lists(st.tuples(st.sampled_from(["wait", "epoch", "pool", "scope", "x"]) | text, part), max_size=3).map(
    lambda given: "&".join(f"{name}={value}" for name, value in given if (name, value) != ("wait", "") and name != "wait")
)
headers = st.sampled_from(["", "Bearer", "Bearer fc_0_x", "Basic eDp5", "Bearer " + "x" * 2_000, "own"])


@given(ways, queries, headers, st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]), st.binary(max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("/metrics", "pool=%00", "own", "GET", b"")
@example("/api/v1/pools/%00/shares", "", "own", "GET", b"")
@example("/api/v1/pools/api/shares", "epoch=%00", "own", "GET", b"")
@example("/api/v1/pools/api/shares", "epoch=" + "9" * 5_000, "own", "GET", b"")
@example("/metrics", "scope=%ff", "own", "GET", b"")
@example("/push/1/%00/", "", "", "POST", b"")
def test_nothing_a_program_asks_is_a_fault_of_ours(
    server: Web, whole: str, way: str, query: str, header: str, method: str, body: bytes
) -> None:
    size = server.log.stat().st_size
    status = server.get(f"{way}?{query}" if query else way, whole if header == "own" else header, method, body or None)
    assert status < 500, server.log.read_bytes()[size:].decode()
    assert b"Traceback" not in server.log.read_bytes()[size:]
