"""Four ways of falling silent, as their user meets them: real checks, the first rules, a page and its resolve."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from alerts.models import Alert, Notification
from nodes import runner
from nodes.egress import Names
from nodes.ledger.clock import database_now
from nodes.ledger.rows import Row
from nodes.models import Check, Event, FailoverPolicy, Lease, Node, NodeState, Outbox, Pool
from nodes.runner import slot
from tests.alerts import history
from tests.integration.silences import later, live, look, send
from tests.product import eventually

KEY_LOST = (
    "cannot be checked: the secret in its headers cannot be read with today's ENCRYPTION_KEYS: "
    "put the former key back, or enter them again"
)

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@dataclass
class Console:
    """A console whose checks ask a port that listens, and what can be done to it."""

    connection: psycopg.Connection[Row]
    pool: Pool
    patch: pytest.MonkeyPatch

    def ask(self) -> None:
        """Let a real runner ask every node."""
        Lease.objects.filter(host=socket.gethostname()).delete()
        NodeState.objects.update(due_at=database_now(), owner=None)
        began, stop = database_now(), threading.Event()
        serving = threading.Thread(target=runner.serve, args=(stop.is_set,))
        serving.start()
        asked = NodeState.objects.filter(checked_at__gte=began)
        eventually(lambda: asked.count() == 3, 10.0, "every node is asked")
        stop.set()
        serving.join()

    def sweep(self) -> bool:
        return look(self.connection)


@pytest.fixture
def console(connection: psycopg.Connection[Row], pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    """All is well: each node has answered a check of its own port, whose header is a secret."""
    FailoverPolicy.objects.update(interval=10.0)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        Node.objects.update(port=server.getsockname()[1], address="localhost")
        Check.objects.update(kind="tcp")
        for each in Check.objects.all():
            each.headers = "Authorization: a secret"
            each.save()
        made = Console(connection, pool, monkeypatch)
        made.ask()
        assert set(NodeState.objects.values_list("last_verdict", flat=True)) == {"pass"}
        Outbox.objects.all().delete()
        yield made


def nobody_asks(console: Console) -> None:
    Lease.objects.all().delete()


def the_resolver_is_gone(console: Console) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    console.patch.setattr(socket, "getaddrinfo", fail)
    console.patch.setattr(slot, "_names", Names())  # the console starts meanwhile, so that no answer of before serves


def a_key_is_lost(console: Console) -> None:
    console.patch.setattr(settings, "ENCRYPTION_KEYS", (Fernet.generate_key().decode(),))


def what_is_allowed_shrank(console: Console) -> None:
    console.patch.setattr(settings, "EGRESS_ALLOW", ())


CAUSES = [
    (nobody_asks, "no check runner lives"),
    (the_resolver_is_gone, "the last check said: our resolver failed for localhost: Temporary failure in name resolution"),
    (a_key_is_lost, f"the last check said: {KEY_LOST}"),
    (what_is_allowed_shrank, "which checks may not reach; EGRESS_ALLOW can name networks that they may"),
]


@pytest.mark.parametrize(("cause", "why"), CAUSES, ids=lambda each: getattr(each, "__name__", ""))
def test_each_cause_pages_by_the_first_rules_and_is_resolved(console: Console, cause: Callable[[Console], None], why: str) -> None:
    pager, receiver = history.pagerduty(), history.Receiver()
    live()
    with pytest.MonkeyPatch.context() as patch:
        console.patch = patch
        cause(console)
        later(61)
        if cause is not nobody_asks:
            console.ask()
            live()
        assert console.sweep()
        assert not console.sweep()
    assert Event.objects.get(type="checks_missing").message.endswith(why)
    send(receiver)
    assert receiver.actions == ["trigger"]
    assert receiver.arrived[0]["payload"]["summary"].endswith(why)

    console.ask()
    console.sweep()
    later(10.5)
    console.ask()
    live()
    assert console.sweep()
    send(receiver)
    assert receiver.actions == ["trigger", "resolve"]
    assert Alert.objects.get(destination=pager).resolved_at is not None
    assert not Notification.objects.exclude(status="delivered").exists()


def test_a_secret_of_one_node_is_a_warning_that_lists_it(console: Console) -> None:
    chat, receiver = history.slack(), history.Receiver(lambda: history.ok(200))
    live()
    others = Fernet(Fernet.generate_key())
    with console.connection.cursor() as cursor:
        cursor.execute(
            "UPDATE nodes_check SET headers = %s WHERE node_id = (SELECT id FROM nodes_node WHERE name = 'b')",
            (others.encrypt(b"x").decode(),),
        )
    later(45)
    console.ask()
    live()
    assert console.sweep()
    event = Event.objects.get(type="node_stale")
    assert event.message == (
        "api: no check of b had a result for too long, it keeps its share and takes over from nobody: "
        f"the last check of b said: {KEY_LOST}"
    )
    send(receiver)
    assert Alert.objects.get(destination=chat).severity == "warning"
