"""A push check that a composite counts, through all of the chain: the node calls its address, a runner judges the whole."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from nodes import pushes, runner
from nodes.models import Check, FailoverPolicy, Node, NodeState, Pool, Runner
from nodes.receiver import receiver
from tests.asgi import asked
from tests.product import eventually

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture
def address(pool: Pool) -> str:
    """What node a calls; a web process has listened for an hour, and goes on."""
    FailoverPolicy.objects.update(interval=0.5, fast_interval=0.3, check_timeout=0.2)
    now = timezone.now()
    Runner.objects.create(
        host="web", slot=0, kind="web", pid=1, started_at=now - timedelta(hours=1), seen_at=now + timedelta(hours=1)
    )
    node = Node.objects.get(name="a")
    Check.objects.create(node=node, kind="composite", quorum="all")
    push = Check(node=node, kind="push", grace=0.5)
    secret = push.new_push_secret()
    push.save()
    return f"{pushes.address(node.pk)}{secret}/"


@pytest.fixture
def checked(address: str) -> Iterator[None]:
    """A check runner at work; the other part of the composite, a port, is open all the time."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        Check.objects.filter(node__name="a", kind="http").update(kind="tcp", port=listening.getsockname()[1])
        thread = threading.Thread(target=runner.serve, args=(stop.is_set,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(20)


def last() -> tuple[str, str]:
    state = NodeState.objects.get(node__name="a")
    return state.last_verdict, state.last_message


def test_a_composite_hears_the_heartbeats_of_its_node(address: str, checked: None) -> None:
    eventually(lambda: last() == ("fail", "push: the node has never called"), 20, f"silence is seen: {last()}")

    def passes_while_it_calls() -> bool:
        assert asyncio.run(asked(receiver, "POST", address)).status == 200
        return last() == ("pass", "")

    eventually(passes_while_it_calls, 20, f"a heartbeat is heard: {last()}")
    eventually(lambda: last()[1].startswith("push: the node last called"), 20, "its end is seen")
    assert last()[0] == "fail"
