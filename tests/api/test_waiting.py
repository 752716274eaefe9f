"""Long polling: an answer when the epoch passes, by commits that other connections make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import AsyncClient

from nodes.ledger.connections import aconnect
from nodes.models import Pool
from tests.api.conftest import Token
from tests.asgi import asked
from tests.pages import fleet

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True, databases=["default", "live"])

LONG = 20  # s, far above what any of these tests takes

_LOOKED = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'failover epochs' AND query LIKE '%nodes_poolstate%'"


@pytest.fixture
def pools(now: datetime) -> tuple[Pool, Pool]:
    return fleet.pool("A", "a", ["a-1"], now), fleet.pool("B", "b", ["b-1"], now)


@pytest.fixture
async def tidy_thread() -> AsyncIterator[None]:
    yield
    await sync_to_async(connections.close_all)()  # of the thread in which the views asked the database


class Waiter:
    """One client that waits for a pool's epoch to pass `epoch`."""

    def __init__(self, bearer: str, slug: str, *, epoch: int, wait: float = LONG, tag: str = "") -> None:
        headers = {"authorization": bearer} | ({"if-none-match": tag} if tag else {})
        address = f"/api/v1/pools/{slug}/shares?wait={wait}&epoch={epoch}"
        self.answer = asyncio.ensure_future(AsyncClient().get(address, headers=headers))


async def request_of_its_own(bearer: str, address: str) -> int:
    """The status that the web's entry point answers, on the threads of a real web process."""
    from failover_console.asgi import application  # the directory of static files is made by now

    async with asyncio.timeout(LONG):
        return (await asked(application, "GET", address, headers={"Authorization": bearer})).status


async def somebody_looks() -> None:
    """Until the epochs are being read for those who wait."""
    async with await aconnect("test") as connection, asyncio.timeout(LONG):
        while await (await connection.execute(_LOOKED)).fetchone() is None:
            pass


async def commit_epoch(pool: Pool, epoch: int) -> None:
    async with await aconnect("test") as connection:
        await connection.execute("UPDATE nodes_poolstate SET epoch = %s WHERE pool_id = %s", (epoch, pool.pk))


async def test_a_commit_releases_those_who_wait_for_that_pool(tidy_thread: None, token: Token, pools: tuple[Pool, Pool]) -> None:
    bearer = await sync_to_async(token)("shares")
    first, second = Waiter(bearer, "a", epoch=0), Waiter(bearer, "b", epoch=0)
    await somebody_looks()
    assert not first.answer.done()
    await commit_epoch(pools[0], 1)
    assert (await first.answer).json()["epoch"] == 1
    assert not second.answer.done()
    await commit_epoch(pools[1], 5)
    assert (await second.answer).json()["epoch"] == 5


async def test_an_epoch_that_is_reached_and_not_passed_releases_nobody(
    tidy_thread: None, token: Token, pools: tuple[Pool, Pool]
) -> None:
    bearer = await sync_to_async(token)("shares")
    ahead, behind = Waiter(bearer, "a", epoch=2), Waiter(bearer, "a", epoch=1)
    await somebody_looks()
    await commit_epoch(pools[0], 2)
    assert (await behind.answer).json()["epoch"] == 2
    assert not ahead.answer.done()
    await commit_epoch(pools[0], 3)
    assert (await ahead.answer).json()["epoch"] == 3


async def test_after_the_wait_the_answer_is_what_is(tidy_thread: None, token: Token, pools: tuple[Pool, Pool]) -> None:
    bearer = await sync_to_async(token)("shares")
    answer = await Waiter(bearer, "a", epoch=0, wait=0.05).answer
    assert (answer.status_code, answer.json()["epoch"]) == (200, 0)
    again = await Waiter(bearer, "a", epoch=0, wait=0.05, tag=answer["ETag"]).answer
    assert again.status_code == 304


async def test_the_next_who_waits_is_served_like_the_first(tidy_thread: None, token: Token, pools: tuple[Pool, Pool]) -> None:
    bearer = await sync_to_async(token)("shares")
    for epoch in (1, 2):
        waiter = Waiter(bearer, "a", epoch=epoch - 1)
        await somebody_looks()
        await commit_epoch(pools[0], epoch)
        assert (await waiter.answer).json()["epoch"] == epoch


async def test_those_who_wait_hold_no_database_connection(tidy_thread: None, token: Token, pools: tuple[Pool, Pool]) -> None:
    bearer = await sync_to_async(token)("shares")
    most = connection.settings_dict["OPTIONS"]["pool"]["max_size"]
    address = f"/api/v1/pools/a/shares?wait={LONG}&epoch="
    waiting = [asyncio.ensure_future(request_of_its_own(bearer, f"{address}0")) for _ in range(2 * most)]
    await somebody_looks()
    assert await request_of_its_own(bearer, "/api/v1/pools/b/shares") == 200
    await commit_epoch(pools[0], 1)
    assert await asyncio.gather(*waiting) == [200] * (2 * most)
