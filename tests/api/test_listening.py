"""The row by which the runners know since when a web process could receive heartbeats."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from psycopg.rows import dict_row

from nodes import pushes
from nodes.ledger.connections import aconnect
from nodes.ledger.runners import GAP, listening, sign
from nodes.models import Runner

HERE = {"host": "console", "slot": 8000}


def signed(pid: int = 1) -> Runner:
    with connection.cursor() as cursor:
        sign(cursor.connection, kind="web", **HERE, pid=pid)
    return Runner.objects.get(**HERE, kind="web")


def silent_for(seconds: float) -> None:
    past = timedelta(seconds=seconds)
    Runner.objects.update(seen_at=F("seen_at") - past, started_at=F("started_at") - past)


@pytest.mark.django_db
def test_the_first_sign_begins_the_listening() -> None:
    made = signed()
    assert made.started_at == made.seen_at
    assert (made.checks, made.verdicts) == (0, {})


@pytest.mark.django_db
def test_signs_in_time_keep_the_beginning_also_over_a_restart() -> None:
    signed(pid=1)
    silent_for(GAP - 1)
    began = Runner.objects.get().started_at
    again = signed(pid=2)
    assert (again.started_at, again.pid) == (began, 2)
    assert again.seen_at > began


@pytest.mark.django_db
def test_after_a_silence_the_listening_begins_anew() -> None:
    signed()
    silent_for(GAP + 1)
    again = signed()
    assert again.started_at == again.seen_at


@pytest.mark.django_db
def test_each_process_signs_a_row_of_its_own() -> None:
    signed()
    with connection.cursor() as cursor:
        sign(cursor.connection, kind="web", host="console", slot=8001, pid=2)
        sign(cursor.connection, kind="web", host="other", slot=8000, pid=3)
    assert Runner.objects.filter(kind="web").count() == 3


def since() -> float | None:
    with connection.cursor() as cursor:
        cursor.cursor.row_factory = dict_row
        found = listening(cursor.cursor, timezone.now().timestamp())
    return None if found is None else found.since


@pytest.mark.django_db
def test_nobody_listens_where_no_web_process_signs() -> None:
    assert since() is None
    signed()
    silent_for(GAP + 1)
    Runner.objects.update(missed_at=timezone.now())
    assert since() is None


@pytest.mark.django_db
def test_a_heartbeat_that_may_be_lost_begins_the_listening_anew() -> None:
    signed()
    silent_for(GAP - 5)
    began = Runner.objects.get().started_at.timestamp()
    assert since() == began
    Runner.objects.update(missed_at=F("started_at") + timedelta(seconds=3))
    assert since() == pytest.approx(began + 3)


@pytest.mark.django_db
def test_one_process_that_lost_one_counts_for_all() -> None:
    signed()
    silent_for(5)
    lost = timezone.now()
    Runner.objects.create(host="other", slot=8000, kind="web", pid=3, started_at=lost, seen_at=lost, missed_at=lost)
    assert since() == pytest.approx(lost.timestamp())


@pytest.mark.django_db
def test_they_listen_as_far_as_the_last_one_signed() -> None:
    signed()
    silent_for(7)
    with connection.cursor() as cursor:
        cursor.cursor.row_factory = dict_row
        found = listening(cursor.cursor, timezone.now().timestamp())
    assert found is not None
    assert found.until == Runner.objects.get().seen_at.timestamp()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_process_signs_what_it_may_have_lost_once() -> None:
    async def listen_for_two_signs() -> None:
        listening = asyncio.ensure_future(pushes.listen(8000))
        async with await aconnect("test") as asked:
            seen: set[datetime] = set()
            while len(seen) < 2:
                row = await (await asked.execute("SELECT seen_at FROM nodes_runner WHERE kind = 'web'")).fetchone()
                seen |= {row["seen_at"]} if row else set()
        listening.cancel()

    asyncio.run(listen_for_two_signs())
    row = Runner.objects.get(kind="web", slot=8000)
    assert row.missed_at is not None
    assert row.missed_at < row.seen_at - timedelta(seconds=pushes.SIGN_EVERY / 2)  # the second sign kept the instant of the first
    assert row.missed_at > timezone.now() - timedelta(seconds=60)
