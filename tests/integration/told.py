"""A console by hand: real PostgreSQL, the real ledger, routing and dispatching, receivers that hold to the contracts, and a clock
that the test moves on."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg

from alerts.delivery import Reply
from alerts.models import Destination
from alerts.services import destination_watch, dispatch, outcomes, reconcile, routing
from failover_console.demo.http import Request
from failover_console.demo.layout import ROUTING_KEY, SLACK_PATH
from failover_console.demo.receiver import Message, Receiver
from nodes.engine import commands
from nodes.engine.enums import AdminState, Verdict
from nodes.engine.reporting import Calls, Report
from nodes.engine.reporting import report as engine_report
from nodes.engine.types import Observation
from nodes.ledger import Result, advance
from nodes.ledger.pools import transact
from nodes.ledger.rows import Row
from nodes.models import Incident, Node, Pool
from tests.integration.checking import lease


class Duty:
    """What PagerDuty and Slack get of what happens to pools, and who is woken.  `now` in seconds."""

    def __init__(self, connection: psycopg.Connection[Row], *pools: Pool) -> None:
        self.connection, self.pools = connection, pools
        self.now = time.time() - 20_000.0  # what is told lies behind the database's clock
        self.receiver = Receiver(clock=lambda: self.now)
        Destination.objects.create(name="pager", kind="pagerduty", key=ROUTING_KEY, base_url="https://events.pagerduty.test")
        Destination.objects.create(name="chat", kind="slack", address=f"https://hooks.slack.test{SLACK_PATH}")
        self._owner = uuid.uuid4()
        self._nodes = {pool: dict(pool.nodes.order_by("pk").values_list("pk", "name")) for pool in pools}
        self._term_number = lease(connection)

    # What happens

    def check(self, **verdicts: str) -> None:
        """Every node of every pool is checked; those that are not named pass."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute("UPDATE nodes_nodestate SET owner = %(term)s, token = %(term)s", {"term": self._term_number})
        for pool, nodes in self._nodes.items():
            results = [Result(pk, self._term_number, self._seen(verdicts.get(name, "pass"))) for pk, name in nodes.items()]
            with self.connection.transaction(), self.connection.cursor() as cursor:
                advance(cursor, pool.pk, now=self.now, results=results)
        self.tell()

    def _seen(self, verdict: str) -> Observation:
        return Observation(Verdict(verdict), "refused" if verdict == "fail" else "", 0.01, self.now, self.now)

    def wait(self, seconds: float, *, step: float = 1.0, **verdicts: str) -> None:
        """Time passes, with a check of every node each `step`."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + step)
            self.check(**verdicts)

    def deliver(self, seconds: int) -> None:
        """Time passes in which nothing happens but that messages leave, each second some."""
        for _ in range(seconds):
            self.now += 1.0
            self.tell()

    def report(self, node: str, *, bad: int) -> None:
        """Calls that failed are reported."""
        found = Node.objects.get(name=node)
        told = Report((Calls(0, bad, self.now),))
        with self.connection.transaction(), self.connection.cursor() as cursor:
            transact(cursor, found.pool_id, lambda p, f, _, now: engine_report(p, f, now, found.pk, told), now=self.now)
        self.tell()

    def set_admin(self, node: str, state: AdminState) -> None:
        """A person's act."""
        found = Node.objects.get(name=node)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            transact(
                cursor,
                found.pool_id,
                lambda p, f, _, now: commands.set_admin(p, f, now, found.pk, state, "ada"),
                now=self.now,
            )
        self.tell()

    def tell(self) -> None:
        """Turns of the alert runner until nothing is due at this instant."""
        moment = datetime.fromtimestamp(self.now, UTC)
        busy = True
        while busy:
            busy = bool(routing.route(moment))
            dispatch.expire_superseded(moment)
            for each in dispatch.claim(moment, room=32, owner=self._owner):
                outcome = dispatch.send_leased(each, self._post, moment.timestamp())
                outcomes.record(each, outcome, began=moment, duration=0.0, now=moment)
                busy = True

    def look_again(self) -> int:
        """The minute's reconciliation; how many messages it made."""
        moment = datetime.fromtimestamp(self.now, UTC)
        destination_watch.watch(moment)
        return reconcile.reconcile(moment)

    def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        request = Request("POST", urlsplit(url).path, {name.lower(): value for name, value in headers.items()}, body)
        answer = asyncio.run(self.receiver.answer(request))
        assert answer is not None  # its switch is at healthy
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    # What arrived

    def pager(self) -> list[str]:
        """What PagerDuty got: an asterisk where somebody was woken, the action, the key, of a trigger the title."""
        return [self._line(message) for message in self.receiver.messages if message.service == "pagerduty"]

    def chat(self) -> list[str]:
        """The titles of what Slack got."""
        return [str(message.body["blocks"][0]["text"]["text"]) for message in self.receiver.messages if message.service == "slack"]

    @property
    def woken(self) -> int:
        return self.receiver.woken

    @property
    def still_open(self) -> int:
        """Alerts that are open at PagerDuty."""
        return sum(alert.state != "resolved" for alert in self.receiver.alerts)

    def _line(self, message: Message) -> str:
        bell = "* " if message.woke else ""
        key = message.key.split("/", 3)[3]
        what = message.body.get("payload", {}).get("custom_details", {}).get("what happened", "")
        said = f": {message.title.removesuffix(f': {what}')}" if message.action == "trigger" else ""
        return f"{bell}{message.action} {_named(key)}{said}"


def _named(key: str) -> str:
    """A key by the order of its incident, since numbers of rows differ from run to run."""
    found = re.fullmatch(r"incident/(\d+)(/\d+)?", key)
    if found is None:
        return key
    order = list(Incident.objects.order_by("pk").values_list("pk", flat=True))
    return f"#{order.index(int(found[1])) + 1}{found[2] or ''}"
