"""Reports of calls under trouble: each is counted once and answered for, whatever happens to a web process or the database."""

from __future__ import annotations

import asyncio
import http.client
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection as django_connection
from django.db import connections
from django.utils import timezone

from nodes import intake, operations, tasks
from nodes.engine.reporting import Calls, Report
from nodes.intake import Gatherer, Unavailable
from nodes.intake.gatherer import MOST_WAITING
from nodes.ledger.connections import connect
from nodes.ledger.reported import KEPT, Counted, Key, NoSuchNodeError, OtherBodyError, Told
from nodes.ledger.rows import Row
from nodes.models import ApiToken, Check, Node, NodeState, Pool, ReportKey
from tests.integration.reporting import PAGES, Web, bearer, calls_counted, sessions, web
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

GOOD = {"outcomes": [{"success": 20}]}
CALLS = 20
GONE = (OSError, http.client.HTTPException)


@pytest.fixture(scope="module")
def webs(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, Web]]:
    """Two web processes on one database."""
    directory = tmp_path_factory.mktemp("webs")
    with django_db_blocker.unblock():
        place = web(directory), web(directory)
        with place[0] as first, place[1] as second:
            yield first, second
        intake.close()
        eventually(lambda: not sessions(), 20, "the server has seen that they are gone: a database in use cannot be dropped")


@pytest.fixture
def node(pool: Pool) -> int:
    return Node.objects.get(name="a").pk


@pytest.fixture
async def gatherer() -> AsyncIterator[Gatherer]:
    yield intake.gatherer()
    await intake.end()
    await sync_to_async(connections.close_all)()  # of the thread in which the tests ask the database


def told(node: int, calls: int = CALLS, key: str = "", body: str = "") -> Told:
    made = Key(sha256(key.encode()).digest(), sha256(body.encode()).digest()) if key else None
    now = timezone.now().timestamp()
    return Told(node, Report((Calls(calls, 0, now),)), made)


async def pool_and_nodes(made: Pool) -> tuple[int, list[int]]:
    return made.pk, await sync_to_async(
        lambda: list(Node.objects.filter(pool=made).order_by("name").values_list("pk", flat=True))
    )()


# Two processes ---------------------------------------------------------------------------------------------------------


def test_retries_at_once_in_two_processes_count_once(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    authorization, keys = bearer(), [f"retry-{number}" for number in range(20)]
    sends = [(each, key) for key in keys for each in (*webs, *webs)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda send: (send[1], send[0].report(node, authorization, GOOD, send[1])), sends))
    assert {status for _, (status, _, _) in answers} == {202}
    firsts = Counter(key for key, (_, document, _) in answers if not document["repeated"])
    assert firsts == dict.fromkeys(keys, 1)
    assert calls_counted() == CALLS * len(keys)


def test_a_retry_says_what_is_so_now_and_counts_nothing(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    authorization = bearer()
    assert webs[0].report(node, authorization, GOOD, "k")[1]["counted"] == CALLS
    assert webs[1].report(node, authorization, {"outcomes": [{"failure": 5}]})[1]["breaker"] == "open"
    status, document, _ = webs[1].report(node, authorization, GOOD, "k")
    assert (status, document["repeated"], document["counted"], document["breaker"]) == (202, True, 0, "open")
    assert calls_counted() == CALLS + 5


def test_a_retry_with_the_tokens_new_secret_counts_once(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    former = bearer()
    assert webs[0].report(node, former, GOOD, "k")[1]["repeated"] is False
    present = f"Bearer {ApiToken.objects.get().rotate(timezone.now(), timedelta(hours=1))}"
    for each in (former, present):
        assert webs[1].report(node, each, GOOD, "k")[1]["repeated"] is True
    assert calls_counted() == CALLS


def test_a_key_with_another_body_is_refused(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    authorization = bearer()
    webs[0].report(node, authorization, GOOD, "k")
    status, document, _ = webs[1].report(node, authorization, {"load": 1}, "k")
    assert (status, document["error"]) == (422, "this Idempotency-Key came with another body before; nothing was counted")
    assert NodeState.objects.get(node=node).load is None


def test_two_tokens_may_use_the_same_key(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    for authorization in (bearer(), bearer()):
        assert webs[0].report(node, authorization, GOOD, "1")[1]["repeated"] is False
    assert calls_counted() == 2 * CALLS


def test_a_number_that_no_node_can_have_is_no_node(webs: tuple[Web, Web], pool: Pool) -> None:
    assert [webs[0].report(number, bearer(), GOOD)[0] for number in (0, 2**63 - 1, 2**63, 10**30)] == [404] * 4


# A web process ends ------------------------------------------------------------------------------------------------------


def flood(to: Web, node: int, authorization: str, keys: list[str], strike: Callable[[], None]) -> dict[str, int]:
    """Statuses by key of reports that many send while the process is struck; 0 where no answer came."""

    def send(key: str) -> int:
        try:
            return to.report(node, authorization, GOOD, key)[0]
        except GONE:
            return 0

    with ThreadPoolExecutor(16) as threads:
        sent = {key: threads.submit(send, key) for key in keys}
        eventually(lambda: sum(each.done() for each in sent.values()) > len(keys) // 4, 30, "some are answered")
        strike()
        return {key: each.result() for key, each in sent.items()}


def test_killed_in_the_middle_a_retry_with_the_key_counts_exactly_once(
    webs: tuple[Web, Web], pool: Pool, node: int, tmp_path: Path
) -> None:
    authorization, keys = bearer(), [f"kill-{number}" for number in range(400)]
    with web(tmp_path) as victim:
        statuses = flood(victim, node, authorization, keys, victim.process.kill)
    assert set(statuses.values()) == {202, 0}
    before = calls_counted()
    assert before >= CALLS * Counter(statuses.values())[202]
    with ThreadPoolExecutor(8) as threads:
        again = list(threads.map(lambda key: webs[0].report(node, authorization, GOOD, key), keys))
    assert {status for status, _, _ in again} == {202}
    assert sum(document["repeated"] for _, document, _ in again) * CALLS == before
    assert calls_counted() == CALLS * len(keys)


def test_told_to_end_it_answers_for_every_report_that_it_counts(pool: Pool, node: int, tmp_path: Path) -> None:
    authorization, keys = bearer(), [f"end-{number}" for number in range(400)]
    with web(tmp_path) as ending:
        statuses = flood(ending, node, authorization, keys, lambda: ending.process.send_signal(signal.SIGTERM))
        ending.process.wait(10)
        assert "Traceback" not in ending.log.read_text()
    assert set(statuses.values()) <= {202, 503, 0}
    assert calls_counted() == CALLS * Counter(statuses.values())[202]


# The database ------------------------------------------------------------------------------------------------------------


def test_a_lock_that_somebody_keeps_is_said_in_time_and_a_retry_counts(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    authorization = bearer()
    size = webs[0].log.stat().st_size
    with connect("keeper") as keeping:
        keeping.execute("SET idle_in_transaction_session_timeout = 0")
        with keeping.transaction(), ThreadPoolExecutor(20) as threads:
            keeping.execute("SELECT 1 FROM nodes_poolstate WHERE pool_id = %s FOR UPDATE", (pool.pk,))
            answers = list(threads.map(lambda number: webs[0].report(node, authorization, GOOD, f"lock-{number}"), range(20)))
    assert {(status, headers["Retry-After"]) for status, _, headers in answers} == {(503, "2")}
    assert answers[0][1]["error"] == "this report waited for too long and was not counted; report again"
    eventually(lambda: b"a report was not taken" in webs[0].log.read_bytes()[size:], 10, "the log says so")
    said = webs[0].log.read_bytes()[size:].decode()
    assert said.count("a report was not taken") <= 6, said
    assert "Traceback" not in said
    assert calls_counted() == 0
    assert webs[1].report(node, authorization, GOOD, "lock-0")[1]["repeated"] is False


@pytest.fixture
def server() -> Iterator[psycopg.Connection[Row]]:
    """A connection to another database of the server, by which the tests' own is shut; open again afterwards."""
    name = django_connection.settings_dict["NAME"]
    other = django_connection.settings_dict["TEST"]["TEMPLATE"]
    with connect("elsewhere") as here:
        place = here.info
        with psycopg.connect(host=place.host, user=place.user, dbname=other, autocommit=True) as opened:
            yield opened  # type: ignore[misc]  # its rows are not looked at
            opened.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def cut(server: psycopg.Connection[Row], *also: str) -> None:
    """End the connections by which reports are counted, and those of programs with these names."""
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY(%s)"
    server.execute(ends, (["failover reports", *also],))


def test_programs_are_answered_within_seconds_of_the_databases_return(
    webs: tuple[Web, Web], pool: Pool, node: int, server: psycopg.Connection[Row]
) -> None:
    authorization, name = bearer(), django_connection.settings_dict["NAME"]

    def answered() -> bool:
        return webs[1].get("/api/v1/pools/api/shares", authorization) == 200

    assert answered()
    server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    cut(server, PAGES)
    away = time.monotonic()
    eventually(lambda: not answered() and time.monotonic() - away > 9, 60, "it is away for a while")
    server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    eventually(answered, 5, "it is answered")  # tries that come twice as late each time are 8 s apart by now


def test_while_the_database_is_away_each_is_told_when_to_come_again(
    webs: tuple[Web, Web], pool: Pool, node: int, server: psycopg.Connection[Row]
) -> None:
    authorization, name = bearer(), django_connection.settings_dict["NAME"]
    webs[0].report(node, authorization, GOOD, "before")
    size = webs[0].log.stat().st_size
    server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    cut(server)
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda number: webs[0].report(node, authorization, GOOD, f"away-{number}"), range(30)))
    assert {(status, headers["Retry-After"]) for status, _, headers in answers} == {(503, "2")}
    said = webs[0].log.read_bytes()[size:].decode()
    assert "Traceback" not in said
    assert len(said) < 5_000
    server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert webs[0].report(node, authorization, GOOD, "away-0")[1]["counted"] == CALLS
    assert calls_counted() == 2 * CALLS


async def test_a_connection_that_was_lost_while_idle_costs_no_report(
    gatherer: Gatherer, pool: Pool, server: psycopg.Connection[Row]
) -> None:
    place, nodes = await pool_and_nodes(pool)
    assert isinstance(await gatherer.count(place, told(nodes[0])), Counted)
    cut(server)
    assert isinstance(await gatherer.count(place, told(nodes[0])), Counted)
    assert await sync_to_async(calls_counted)() == 2 * CALLS


# One batch ---------------------------------------------------------------------------------------------------------------


async def test_a_report_that_breaks_the_batch_costs_the_others_nothing(gatherer: Gatherer, pool: Pool) -> None:
    place, (bad, *good) = await pool_and_nodes(pool)
    largest = 2**63 - 1
    await sync_to_async(NodeState.objects.filter(node_id=bad).update)(breaker_total=largest)
    answers = await asyncio.gather(*(gatherer.count(place, told(each)) for each in (good[0], bad, good[1])))
    assert [type(each) for each in answers] == [Counted, Unavailable, Counted]
    assert isinstance(answers[1], Unavailable)
    assert answers[1].sentence.startswith("not counted, report again later: This pool cannot be decided: ")
    assert await sync_to_async(calls_counted)() == 2 * CALLS


async def test_when_none_can_be_counted_only_some_are_tried_by_themselves(gatherer: Gatherer, pool: Pool) -> None:
    place, nodes = await pool_and_nodes(pool)
    await sync_to_async(NodeState.objects.filter(node_id=nodes[2]).update)(health="so-so")
    answers = await asyncio.gather(*(gatherer.count(place, told(nodes[0])) for _ in range(200)))
    assert {type(each) for each in answers} == {Unavailable}


async def test_what_waits_is_bounded_and_what_is_over_is_refused_at_once(gatherer: Gatherer, pool: Pool) -> None:
    place, nodes = await pool_and_nodes(pool)
    large = Told(nodes[0], Report((Calls(1, 0, timezone.now().timestamp()),) * 500))
    many = MOST_WAITING // 4 // 501
    answers = [asyncio.ensure_future(gatherer.count(place, large)) for _ in range(many + 1)]
    over = await answers[-1]
    assert not any(each.done() for each in answers[:-1])
    assert isinstance(over, Unavailable)
    assert over.sentence.startswith("too many reports wait already")
    assert {type(each) for each in await asyncio.gather(*answers[:-1])} == {Counted}
    assert await sync_to_async(calls_counted)() == 500 * many


async def others(like: Pool, number: int) -> list[tuple[int, int]]:
    """More pools with a node each."""

    def make(name: str) -> tuple[int, int]:
        made = Pool.objects.create(name=name, slug=name, breaker_policy=like.breaker_policy, failover_policy=like.failover_policy)
        node = Node.objects.create(pool=made, name="a", address="127.0.0.1")
        Check.objects.create(node=node)
        operations.configuration_saved(made, actor="setup", before={}, after={})
        return made.pk, node.pk

    return await sync_to_async(lambda: [make(f"pool-{each}") for each in range(number)])()


async def test_pools_that_others_keep_do_not_hold_up_the_reports_of_the_rest(gatherer: Gatherer, pool: Pool) -> None:
    held = await others(pool, settings.REPORT_CONNECTIONS + 1)
    place, nodes = await pool_and_nodes(pool)
    with connect("keeper") as keeping, keeping.transaction():
        keeping.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        keeping.execute("SELECT 1 FROM nodes_poolstate WHERE pool_id = ANY(%s) FOR UPDATE", ([each for each, _ in held],))
        waiting = [asyncio.ensure_future(gatherer.count(each, told(node))) for each, node in held]
        for _ in range(10):
            assert isinstance(await asyncio.wait_for(gatherer.count(place, told(nodes[0])), 2.5), Counted)
        assert not any(each.done() for each in waiting)
    assert {type(each) for each in await asyncio.gather(*waiting)} == {Counted}
    assert await sync_to_async(calls_counted)() == (10 + len(held)) * CALLS


async def test_one_pool_leaves_the_others_room(gatherer: Gatherer, pool: Pool) -> None:
    ((place, node),) = await others(pool, 1)
    busy, nodes = await pool_and_nodes(pool)
    large = Told(nodes[0], Report((Calls(1, 0, timezone.now().timestamp()),) * 500))
    flood = [asyncio.ensure_future(gatherer.count(busy, large)) for _ in range(MOST_WAITING // 501)]
    assert isinstance(await gatherer.count(place, told(node)), Counted)
    assert Unavailable in {type(each) for each in await asyncio.gather(*flood)}


async def test_who_goes_away_takes_nobody_along(gatherer: Gatherer, pool: Pool) -> None:
    place, nodes = await pool_and_nodes(pool)
    staying = [asyncio.ensure_future(gatherer.count(place, told(nodes[0]))) for _ in range(3)]
    going = asyncio.ensure_future(gatherer.count(place, told(nodes[1])))
    await asyncio.sleep(0)
    going.cancel()
    assert {type(each) for each in await asyncio.gather(*staying)} == {Counted}
    assert await sync_to_async(calls_counted)() == 3 * CALLS


async def test_at_the_end_what_waits_is_refused_and_counts_nothing(gatherer: Gatherer, pool: Pool) -> None:
    place, nodes = await pool_and_nodes(pool)
    waiting = [asyncio.ensure_future(gatherer.count(place, told(nodes[0]))) for _ in range(5)]
    await asyncio.sleep(0)
    await gatherer.stop()
    counted = [each for each in await asyncio.gather(*waiting) if isinstance(each, Counted)]
    assert await sync_to_async(calls_counted)() == CALLS * len(counted)
    assert isinstance(await gatherer.count(place, told(nodes[0])), Unavailable)


async def test_whoever_cannot_count_any_more_says_so(gatherer: Gatherer, pool: Pool) -> None:
    place, nodes = await pool_and_nodes(pool)
    intake.close()
    for answer in (await gatherer.count(place, told(nodes[0])), await gatherer.place(nodes[0])):
        assert isinstance(answer, Unavailable)
        assert answer.sentence.startswith("a fault of the console; report again")


async def test_a_node_that_moved_or_went_is_found_or_said_to_be_gone(gatherer: Gatherer, pool: Pool) -> None:
    place, nodes = await pool_and_nodes(pool)
    assert isinstance(await gatherer.count(place + 1_000, told(nodes[0])), Counted)
    await sync_to_async(Node.objects.filter(pk=nodes[0]).update)(removed_at=timezone.now())
    assert isinstance(await gatherer.count(place, told(nodes[0])), NoSuchNodeError)


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_counted_is_what_distinct_keys_brought(gatherer: Gatherer, pool: Pool, seed: int) -> None:
    """Against a model: a set of keys, each with the body that came first."""
    place, nodes = await pool_and_nodes(pool)
    chance = random.Random(seed)
    known: dict[tuple[int, str], int] = {}
    keyless = 0
    for _ in range(12):
        batch = [
            (chance.choice(nodes), chance.choice(["", *"abcdefgh"]), chance.randint(1, 3)) for _ in range(chance.randint(1, 9))
        ]
        answers = await asyncio.gather(*(gatherer.count(place, told(n, calls, key, str(calls))) for n, key, calls in batch))
        for (number, key, calls), answer in zip(batch, answers, strict=True):
            first = known.setdefault((number, key), calls) if key else calls
            keyless += 0 if key else calls
            assert isinstance(answer, Counted if first == calls else OtherBodyError)
    assert await sync_to_async(calls_counted)() == sum(known.values()) + keyless
    assert await sync_to_async(ReportKey.objects.count)() == len(known)


def test_a_key_is_forgotten_after_ten_minutes_and_not_before(webs: tuple[Web, Web], pool: Pool, node: int) -> None:
    authorization = bearer()
    webs[0].report(node, authorization, GOOD, "k")
    ReportKey.objects.update(at=timezone.now() - timedelta(seconds=KEPT - 30))
    assert tasks.forget_report_keys() == 0
    assert webs[0].report(node, authorization, GOOD, "k")[1]["repeated"] is True
    ReportKey.objects.update(at=timezone.now() - timedelta(seconds=KEPT + 1))
    assert tasks.forget_report_keys() == 1
    assert webs[0].report(node, authorization, GOOD, "k")[1]["repeated"] is False
