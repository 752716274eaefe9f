"""The sign of life by which the runners know since when a push could have reached us."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from failover_console.listening import BREAK, sign
from nodes.models import Runner

HERE = {"host": "console", "slot": 8000}


def signed(pid: int = 1) -> Runner:
    with connection.cursor() as cursor:
        sign(cursor.connection, **HERE, pid=pid)
    return Runner.objects.get(**HERE, kind="web")


def silent_for(seconds: float) -> None:
    past = timedelta(seconds=seconds)
    Runner.objects.update(seen_at=F("seen_at") - past, started_at=F("started_at") - past)


@pytest.mark.django_db
def test_the_first_sign_begins_the_presence() -> None:
    made = signed()
    assert made.started_at == made.seen_at
    assert (made.checks, made.verdicts) == (0, {})


@pytest.mark.django_db
def test_signs_in_time_keep_the_presence_whole_also_over_a_restart() -> None:
    signed(pid=1)
    silent_for(BREAK - 1)
    began = Runner.objects.get().started_at
    again = signed(pid=2)
    assert (again.started_at, again.pid) == (began, 2)
    assert again.seen_at > began


@pytest.mark.django_db
def test_after_a_silence_the_presence_begins_anew() -> None:
    signed()
    silent_for(BREAK + 1)
    again = signed()
    assert again.started_at == again.seen_at


@pytest.mark.django_db
def test_each_process_signs_a_row_of_its_own() -> None:
    signed()
    with connection.cursor() as cursor:
        sign(cursor.connection, host="console", slot=8001, pid=2)
        sign(cursor.connection, host="other", slot=8000, pid=3)
    assert Runner.objects.filter(kind="web").count() == 3
