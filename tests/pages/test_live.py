"""The live socket through the whole application, with real PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone

from nodes import consumers, operations
from nodes.engine.enums import AdminState, Verdict
from nodes.hub import Subscriber, hub
from nodes.models import Incident, Node, Pool
from tests.pages import fleet
from tests.pages.browser import LiveSocket

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Connect = Callable[..., Awaitable[LiveSocket]]


@pytest.fixture
def api() -> Pool:
    now = timezone.now()
    made = fleet.pool("Public API", "public-api", ["api-1", "api-2"], now)
    fleet.rounds(made, now - timedelta(seconds=10), 3, every=4.0)
    return made


def _cookie(name: str, *, operator: bool) -> str:
    user, _ = User.objects.get_or_create(username=name, defaults={"is_superuser": operator})
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens a socket on a page as a viewer, an operator or nobody; closes it and ends the hub afterwards."""
    sockets: list[LiveSocket] = []

    async def open_one(
        query: str, *, who: str = "viewer", origin: str = settings.WEBSOCKET_ORIGIN, cookie: str = "", path: str = "/ws/live/"
    ) -> LiveSocket:
        if who and not cookie:
            cookie = await sync_to_async(_cookie)(who, operator=who == "operator")
        socket = LiveSocket(query, cookie=cookie, origin=origin, path=path)
        await socket.connect()
        sockets.append(socket)
        return socket

    yield open_one
    for socket in sockets:
        await socket.leave()
    await hub().stop()
    await sync_to_async(connections.close_all)()  # the thread in which the test itself asked the database


async def test_a_page_that_connects_gets_all_of_itself(connect: Connect, api: Pool) -> None:
    socket = await connect("page=dashboard")
    html = await socket.until('id="headline"')
    for element in ("lasting", "incidents", "counted", "pools", "wall", "events", "freshness"):
        assert f'id="{element}"' in html
    assert "api-2" in html


async def test_a_filtered_page_gets_what_its_filter_shows(connect: Connect, api: Pool) -> None:
    socket = await connect("fleet=state%3Dless_reserve")
    assert "No pool matches" in await socket.until('id="pools"')
    await sync_to_async(fleet.rounds)(api, timezone.now(), 3, {"api-2": (Verdict.FAIL, "connection refused")})
    assert f'id="pool-{api.pk}"' in await socket.until("api-2 refuses connections")


async def test_an_action_of_one_person_shows_on_every_open_page(connect: Connect, api: Pool) -> None:
    node = await Node.objects.aget(name="api-2")
    queries = ("page=dashboard", "pool=public-api", f"node={node.pk}")
    pages = [await connect(query) for query in queries]
    for page in pages:
        await page.until('id="freshness"')
    await sync_to_async(operations.set_admin_state)(node.pk, AdminState.DRAINING, actor="maria", reason="kernel update")
    for page in pages:
        assert "draining" in await page.until("draining")


async def test_a_change_without_a_hint_shows_all_the_same(connect: Connect, api: Pool) -> None:
    socket = await connect("pool=public-api")
    await socket.until('id="freshness"')
    await sync_to_async(fleet.rounds)(api, timezone.now(), 3, {"api-2": (Verdict.FAIL, "connection refused")})
    assert "connection refused" in await socket.until("failed")


async def test_only_what_changed_is_sent(connect: Connect, api: Pool) -> None:
    socket = await connect("pool=public-api")
    await socket.until('id="freshness"')
    await sync_to_async(fleet.observe)(api, timezone.now(), {"api-2": (Verdict.WARN, "slow")})
    html = await socket.until("slow")
    assert 'id="actions"' not in html
    assert 'id="members"' not in html


async def test_a_new_node_brings_its_pool_whole(connect: Connect, api: Pool) -> None:
    socket = await connect("page=dashboard")
    await socket.until('id="freshness"')
    node = await sync_to_async(Node.objects.create)(pool=api, name="api-3", address="10.0.0.3")
    await sync_to_async(operations.configuration_saved)(node, actor="maria", before={}, after={"name": "api-3"})
    assert f'id="pool-{api.pk}"' in await socket.until("api-3</b></a>")


async def test_an_incident_opens_and_its_page_ends_with_it(connect: Connect, api: Pool) -> None:
    await sync_to_async(fleet.rounds)(api, timezone.now(), 3, {"api-2": (Verdict.FAIL, "connection refused")})
    incident = await Incident.objects.aget()
    socket = await connect(f"incident={incident.pk}")
    assert "connection refused" in await socket.until('id="status"')
    await sync_to_async(fleet.rounds)(api, timezone.now() + timedelta(seconds=20), 2)
    await socket.until("Resolved after")


async def test_only_operators_see_buttons(connect: Connect, api: Pool) -> None:
    node = await Node.objects.aget(name="api-1")
    assert 'name="action"' not in await (await connect(f"node={node.pk}")).until('id="actions"')
    assert 'name="action"' in await (await connect(f"node={node.pk}", who="operator")).until('id="actions"')


@pytest.mark.parametrize(
    "query",
    [
        "page=other", "", "pool=none", "node=1x", "node=99999999999999999999", "page=dashboard&pool=x", "node=404",
        "page=dashboard&a=1&b=2&c=3", "pool=%00", "pool=%ed%a0%80", "incident=%00", "node=" + "9" * 5000, "[]=", "%",
        "page=dashboard&page=dashboard", "fleet=", "fleet=state%3Dfine", "fleet=zone%3D", "fleet=tag%3Db%26q%3Da", "fleet=q%3D%00",
        "fleet=q%3D" + "x" * 81, "fleet=q%3Da&page=dashboard", "fleet=" + "q%3Da%26" * 100,
        "pool=" + "x" * 10_000, "node=\u0663", "&" * 500,
    ],
)  # fmt: skip  # a table
async def test_what_is_no_page_is_refused(connect: Connect, query: str) -> None:
    assert not (await connect(query)).accepted


@pytest.mark.parametrize(("path", "cookie"), [("/ws/other/", ""), ("/", ""), ("/ws/live/", r'"\000\000\000\000\000\000\000\000"')])
async def test_what_is_no_address_and_no_session_is_refused(connect: Connect, path: str, cookie: str) -> None:
    assert not (await connect("page=dashboard", path=path, cookie=cookie)).accepted


@pytest.mark.parametrize("said", ["\0", "\ud800", "[" * 1024, "", "null", "9" * 1024])
async def test_what_a_browser_says_changes_nothing(connect: Connect, api: Pool, said: str) -> None:
    socket = await connect("page=dashboard")
    await socket.say(said)
    await socket.until('id="freshness"')


async def test_strangers_and_foreign_pages_are_refused(connect: Connect, api: Pool) -> None:
    assert not (await connect("page=dashboard", who="")).accepted
    assert not (await connect("page=dashboard", origin="https://elsewhere.example")).accepted


async def test_a_session_that_ended_closes_its_sockets(connect: Connect, api: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "SESSION_CHECK_EVERY", 0.05)
    socket = await connect("page=dashboard")
    await User.objects.filter(username="viewer").aupdate(is_active=False)
    assert await socket.closed() == consumers.AGAIN


async def test_a_role_that_changed_closes_its_sockets(connect: Connect, api: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "SESSION_CHECK_EVERY", 0.05)
    socket = await connect("page=dashboard", who="operator")
    await User.objects.filter(username="operator").aupdate(is_superuser=False)
    assert await socket.closed() == consumers.AGAIN


async def test_a_browser_says_no_more_than_a_ping(connect: Connect, api: Pool) -> None:
    socket = await connect("page=dashboard")
    await socket.say("ping")
    await socket.until('id="freshness"')
    await socket.say("x" * 1025)
    assert await socket.closed() == consumers.AGAIN


async def test_pages_connect_again_after_the_hub_ended(connect: Connect, api: Pool) -> None:
    socket = await connect("page=dashboard")
    await socket.until('id="freshness"')
    await hub().stop()
    assert await socket.closed() == consumers.RESTART
    assert (await connect("page=dashboard")).accepted


async def test_a_page_gets_its_freshness_though_nothing_changes(connect: Connect, api: Pool) -> None:
    socket = await connect("page=dashboard")
    await socket.until('id="headline"')
    assert 'id="headline"' not in await socket.until('id="freshness"')


async def test_the_hub_forgets_pages_without_a_subscriber(connect: Connect, api: Pool) -> None:
    socket = await connect("page=dashboard")
    assert hub().subscribers == 1
    await socket.leave()
    assert hub().subscribers == 0


async def test_a_browser_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "SEND_TIMEOUT", 0.05)

    async def stuck(message: dict[str, object]) -> None:
        await asyncio.Event().wait()

    subscriber = Subscriber(operator=False)
    subscriber.offer("headline", "<p>")
    assert await consumers._write(subscriber, stuck) == consumers.AGAIN


async def test_a_slow_browser_gets_each_fragment_once_the_latest_last() -> None:
    subscriber = Subscriber(operator=False)
    for number in range(1000):
        subscriber.offer("a", f"a{number} ")
        subscriber.offer("b", f"b{number} ")
    subscriber.offer("a", "a1000 ")
    assert await subscriber.take() == "b999 a1000 "
