"""Every address, form and live socket answers what nobody meant to send: with a page or a sentence, never with a failure of ours.

The addresses come from the project's own table of URLs and the forms from its own pages, so that what is added is asked, too.
"""

from __future__ import annotations

import random
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings as console
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from alerts.models import Destination, Notification, Rule
from nodes.engine.enums import Verdict
from nodes.models import ApiToken, Event, Failover, Incident, Node
from tests.pages import fleet

NASTY = (
    "\0", "a\0b", "\ud800", "\udfff\ud800", "", " ", "\t\r\n", "[", "]", "[]", "[[[[", "((", "(?", "*", "\\", "'", '"', "%",
    "%00", "_00",
    "{}", "null", "NaN", "Infinity", "-1", "0", "1.5", "1e308", "-1e400", "9" * 30, "9" * 5000, "2147483648", "9223372036854775808",
    "0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59.999999+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01", "9999-12-31",
    "0000-00-00",
    "2026-02-30T25:61", "x" * 10_000, "🦆" * 300, "<script>", "http://[", "//elsewhere.example", "../../etc/passwd", "٣",
    "\u202e", "True",
)  # fmt: skip  # a table
LOOKUPS = (
    "id__in", "id__exact", "id__gte", "pk", "pool__id__exact", "pool__name__regex", "name__regex", "message__iregex", "at__gte",
    "at__year",
    "at__range", "detail__x", "tags__overlap", "state__share__gt", "removed_at__isnull", "q", "o", "p", "e", "all", "_facets",
    "_popup",
    "_to_field", "_changelist_filters", "x[]", "a.b", "__", "page", "next", "before_at", "before", "since", "until", "range",
    "start", "end",
    "pool", "node", "text", "type", "severity", "standing", "status", "destination", "wait", "epoch", "scope", "app_label",
    "model_name",
    "field_name", "term", "tag", "zone", "expires_at__gte", "object_id", "name", "scopes__contains", "last_login__gte",
    "payload__contains",
)  # fmt: skip  # a table
QUERIES, PARTS, POSTS = 4, 1, 2  # of each page, part and form


class Fields(HTMLParser):
    """The forms of a page: where each goes, and what a browser would post of it."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._open = False
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("hx-post") or given.get("action") or "", {}))
            self._open = given.get("method", "").lower() == "post" or "hx-post" in given
        elif self.forms and self._open and (name := given.get("name")):
            if tag == "select":
                self._select = name
            unticked = given.get("type") in ("checkbox", "radio") and "checked" not in given
            self.forms[-1][1].setdefault(name, "" if unticked else given.get("value", ""))
        elif tag == "option" and self._select and ("selected" in given or not self.forms[-1][1][self._select]):
            self.forms[-1][1][self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            if not self._open:
                self.forms.pop()
            self._open = False
        elif tag == "select":
            self._select = ""


class Place(NamedTuple):
    """One pattern of an address, with its parameters named."""

    pattern: str

    def filled(self, values: dict[str, str]) -> str:
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values[match[1]], self.pattern)


def places(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[Place]:
    """All addresses of the project and of the admin, but static files."""
    for each in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from places(each, pattern)
        elif isinstance(each, URLPattern) and "(?P" not in pattern:
            yield Place(pattern.removesuffix("$"))


@pytest.fixture
def objects(db: None) -> dict[str, dict[str, str]]:
    """One row of each kind, and the parameters that name it: by the beginning of an address, then for all others."""
    now = timezone.now()
    pool = fleet.pool("Public API", "public-api", ["api-1", "api-2"], now)
    fleet.rounds(pool, now - timedelta(seconds=60), 3)
    fleet.rounds(pool, now - timedelta(seconds=30), 4, {"api-2": (Verdict.FAIL, "connection refused")})
    destination = Destination.objects.create(name="ops", kind="slack", address="https://hooks.slack.test/x")
    token = ApiToken(name="balancer", scopes=["shares"])
    token.issue()
    token.save()
    node, incident = Node.objects.get(name="api-1"), Incident.objects.get()
    note = Notification.objects.create(
        destination=destination,
        incident=incident,
        action="trigger",
        severity="critical",
        status="dead",
        payload={},
        created_at=now,
        due_at=now,
    )
    rows = {
        "nodes/": node.pk, "incidents/": incident.pk, "failovers/": Failover.objects.latest("pk").pk,
        "alerts/incident/": incident.pk,
        "alerts/destinations/": destination.pk, "alerts/": note.pk, "api/v1/nodes/": node.pk,
        "admin/nodes/pool/": pool.pk, "admin/nodes/node/": node.pk, "admin/nodes/breakerpolicy/": pool.breaker_policy_id,
        "admin/nodes/failoverpolicy/": pool.failover_policy_id, "admin/nodes/event/": Event.objects.latest("pk").pk,
        "admin/nodes/incident/": incident.pk, "admin/nodes/failover/": Failover.objects.latest("pk").pk,
        "admin/nodes/apitoken/": token.pk, "admin/auth/user/": User.objects.create_user("root", is_superuser=True,
        is_staff=True).pk,
        "admin/auth/group/": Group.objects.get(name="admin").pk, "admin/alerts/destination/": destination.pk,
        "admin/alerts/rule/": Rule.objects.latest("pk").pk, "admin/alerts/notification/": note.pk,
    }  # fmt: skip  # a table
    return {start: {"pk": str(key), "object_id": str(key), "id": str(key)} for start, key in rows.items()}


REST = {
    "slug": "public-api", "chart": "latency", "secret": "secret", "app_label": "nodes", "content_type_id": "1", "object_id": "1",
    "url": "nowhere", "pk": "1",
    "id": "1",
}  # fmt: skip  # a table


def values_for(place: Place, objects: dict[str, dict[str, str]]) -> dict[str, str]:
    start = max((start for start in objects if place.pattern.startswith(start)), key=len, default="")
    return REST | objects.get(start, {})


@pytest.fixture
def person(objects: dict[str, dict[str, str]], settings: Any) -> Asking:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # forms of users are asked often
    client = Client()
    client.force_login(User.objects.get(username="root"))
    return Asking(client.cookies)


class Asking:
    """Asks as one person, each request by itself: what it changes is undone, the session with it.  Keeps what went wrong."""

    def __init__(self, cookies: SimpleCookie) -> None:
        self._cookies = cookies
        self.failures: dict[str, str] = {}

    def get(self, address: str) -> str:
        return self._answer(address, lambda client: client.get(address))

    def post(self, address: str, said: str, kind: str) -> str:
        body = said.encode("utf-8", "surrogatepass")
        return self._answer(address, lambda client: client.generic("POST", address, body, kind), said)

    def _answer(self, address: str, ask: Callable[[Client], Any], said: str = "") -> str:
        client = Client()
        client.cookies = self._cookies.copy()
        try:
            with transaction.atomic():
                answer = ask(client)
                transaction.set_rollback(True)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._note(f"{type(error).__name__}: {str(error)[:100]} in {where.name}", f"{address[:300]} {said[:300]}")
            return ""
        body: str = answer.content.decode("utf-8", "replace")
        if answer.status_code >= 500 and not address.startswith("/health"):
            self._note(f"{answer.status_code}", f"{address[:300]} {said[:300]}")
        if "Traceback" in body:
            self._note("a traceback", address[:300])
        return body

    def _note(self, what: str, where: str) -> None:
        self.failures.setdefault(what, where)


FORM = "application/x-www-form-urlencoded"


def encoded(pairs: Any) -> str:
    return urlencode(pairs, errors="surrogatepass", doseq=True)


def test_every_address_answers_a_nasty_query(person: Asking, objects: dict[str, dict[str, str]]) -> None:
    chance = random.Random(10)
    for place in places():
        address = place.filled(values_for(place, objects))
        for _ in range(QUERIES if "object_id" not in place.pattern else 1):
            names = chance.sample(LOOKUPS, chance.choice((1, 1, 1, 2, 3)))
            query = [(name, chance.choice(NASTY)) for name in names]
            person.get(f"{address}?{encoded(query * chance.choice((1, 1, 2)))}")
    assert person.failures == {}


def test_every_part_of_an_address_may_be_nasty(person: Asking, objects: dict[str, dict[str, str]]) -> None:
    chance = random.Random(15)
    for place in places():
        known = values_for(place, objects)
        for name in re.findall(r"<(?:\w+:)?(\w+)>", place.pattern):
            for text in chance.sample(NASTY, PARTS):
                person.get(place.filled(known | {name: quote(text, errors="surrogatepass")}))
    assert person.failures == {}


def test_every_form_answers_nasty_fields(person: Asking, objects: dict[str, dict[str, str]]) -> None:
    chance, reached = random.Random(20), set()
    for place in places():
        address = place.filled(values_for(place, objects))
        page = Fields()
        page.feed(person.get(address))
        for action, fields in [*page.forms, (address, {})]:
            goal = action or address
            if not goal.startswith("/") or (goal, tuple(fields)) in reached:
                continue
            reached.add((goal, tuple(fields)))
            for _ in range(POSTS if fields else 1):
                spoiled = chance.sample(sorted(fields) or ["action", "name"], min(len(fields) or 1, chance.choice((1, 1, 2, 4))))
                posted = fields | {name: chance.choice(NASTY) for name in spoiled}
                kind = chance.choice((FORM, FORM, FORM, "application/json", "multipart/form-data; boundary=x", "text/plain"))
                person.post(goal, encoded(posted), kind)
    assert person.failures == {}
    posted_to = {goal for goal, fields in reached if fields}
    assert len(posted_to) > 25


@pytest.mark.parametrize(
    ("method", "address", "given"),
    [
        ("get", "/events/?text=%00", {}),
        ("get", "/events/%00", {}),
        ("get", "/admin/nodes/node/?pool__id__exact=%00", {}),
        ("get", "/admin/nodes/node/?name__regex=(", {}),
        ("post", "/accounts/login/", {"username": "a\0", "password": "b"}),
        ("post", "/admin/nodes/node/", {"action": "enable", "_selected_action": "x"}),
    ],
)
def test_what_cannot_be_looked_for_is_refused_in_a_sentence(
    admin_client: Client, client: Client, method: str, address: str, given: dict[str, str]
) -> None:
    asking = client if "login" in address else admin_client
    answer = getattr(asking, method)(address, given) if given else asking.get(address)
    assert answer.status_code == 400
    assert "This cannot be read" in answer.content.decode()


def test_so_is_a_cookie_a_page_of_a_fragment_or_a_query_of_the_api(client: Client) -> None:
    cookie = f'{console.SESSION_COOKIE_NAME}="' + r"\000" * 8 + '"'
    assert client.get("/", headers={"cookie": cookie}).status_code == 400
    assert client.get("/", headers={"hx-request": "true", "hx-current-url": "http://["}).status_code == 400
    answer = client.get("/api/v1/pools/x/shares?epoch=%00")
    assert (answer.status_code, "cannot be read" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59-23:59"])
def test_an_instant_at_the_ends_of_time_is_refused_by_the_filter(admin_client: Client, instant: str) -> None:
    answer = admin_client.get("/events/", {"since": instant})
    assert answer.status_code == 200
    assert "the years are 1980 to 9000" in answer.content.decode()
    assert admin_client.get("/events/", {"before_at": instant, "before": "5"}).status_code == 200
