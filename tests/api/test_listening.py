"""The row by which the runners know since when a web process could receive heartbeats."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from nodes.ledger.runners import GAP, sign
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
