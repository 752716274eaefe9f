"""Every page has the same head with the same navigation: the console's own, the admin's, the log-in's and those of errors."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from alerts.models import Destination, Notification, Rule
from failover_console.database_trouble import DatabaseTrouble
from failover_console.errors import server_error
from nodes.models import ApiToken, BreakerPolicy, Event, Failover, FailoverPolicy, Failure, Incident, Node, Pool

NAVIGATION = ["Dashboard", "Incidents", "Events", "Alerts", "Reports", "Set up"]
ANSWERS = {  # names of addresses that answer with something else than a page of their own
    "healthz", "health_checks", "health_alerts", "metrics", "preferences", "nodes:shares", "nodes:outcomes",
    "account_logout", "account_login", "account_end_sessions", "openid_connect_login", "openid_connect_callback",
    "socialaccount_connections", "alerts:banner", "alerts:incident_notifications", "alerts:test_send",
    "alerts:resend", "nodes:acknowledge", "nodes:incident_shares", "nodes:incident_note",
    "nodes:node_card", "admin:login", "admin:logout", "admin:jsi18n", "admin:autocomplete", "admin:view_on_site",
}  # fmt: skip  # a list to read


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="-"))
    return client


@pytest.fixture
def rows(api: Pool, failed: Node, root: Client) -> dict[str, Any]:
    """One row of each kind, by the name of its model."""
    destination = Destination.objects.create(name="ops", kind="slack", address="https://hooks.slack.test/x")
    notification = Notification.objects.create(
        destination=destination, action="trigger", severity="critical", dedup_key="k", sequence=1,
        payload={"title": "api: failed"}, due_at=timezone.now(), created_at=timezone.now(),
    )  # fmt: skip  # one row
    found = (BreakerPolicy, FailoverPolicy, Event, Failure, Incident, Failover, Rule, Group, User)
    made = [api, failed, destination, notification, ApiToken.objects.create(name="lb", key="k", digest="d", scopes=["shares"])]
    return {str(each._meta.model_name): each for each in (*made, *(model._default_manager.first() for model in found))}


def names(resolver: URLResolver, prefix: str = "") -> list[str]:
    """Every name of an address that the console serves."""
    found: list[str] = []
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            found += names(pattern, f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix)
        elif isinstance(pattern, URLPattern) and pattern.name:
            found.append(prefix + pattern.name)
    return found


def address(name: str, rows: dict[str, Any]) -> str | None:
    """Where a page is, with whatever row it needs; None for what is no page."""
    if name in ANSWERS or name.endswith(("_svg", "_table", "_csv", "_json", "_file")):
        return None
    model = re.fullmatch(r"admin:\w+?_([a-z]+)_(\w+)", name)
    if model is not None:
        needs = model[2] in ("change", "delete", "history", "password_change", "rotate", "test_of")
        return reverse(name, args=[rows[model[1]].pk]) if needs else reverse(name)
    if name == "admin:app_list":
        return reverse(name, args=["nodes"])
    if name in ("mfa_edit_webauthn", "mfa_remove_webauthn"):  # which ask for the password first
        return reverse(name, args=[1])
    kind = {
        "pool": "pool",
        "node": "node",
        "failover": "failover",
        "notification": "notification",
        "event": "event",
        "failure": "failure",
    }
    word = name.rpartition(":")[2].partition("_")[0]
    if name in ("nodes:pool", "nodes:pool_action"):
        return reverse(name, args=[rows["pool"].slug])
    if word in ("incident", "post"):
        return reverse(name, args=[rows["incident"].pk])
    return reverse(name, args=[rows[kind[word]].pk]) if word in kind else reverse(name)


def navigation(html: str) -> list[str]:
    """The words of the main navigation in the head, without the number of open incidents."""
    head = re.search(r'<header class="top">.*?<nav aria-label="Main">(.*?)</nav>.*?</header>', html, re.DOTALL)
    return [re.sub(r"<.*|\d+", "", words).strip() for words in re.findall(r"<a[^>]*>([^<]*)", head[1])] if head else []


def test_every_page_has_the_head_with_its_navigation(root: Client, rows: dict[str, Any]) -> None:
    without, seen = {}, 0
    for name in names(get_resolver()):
        place = address(name, rows)
        if place is None:
            continue
        answer = root.get(place, follow=True)
        body = answer.content.decode()
        seen += 1
        if navigation(body) != NAVIGATION or 'id="goto"' not in body or 'id="user-menu"' not in body:
            without[name] = (place, answer.status_code)
    assert without == {}
    assert seen > 60


def test_a_stranger_sees_the_head_at_the_log_in(client: Client, db: None) -> None:
    body = client.get(reverse("account_login")).content.decode()
    assert '<header class="top">' in body
    assert navigation(body) == []  # it leads nowhere yet


@pytest.mark.parametrize(("place", "status"), [("/nothing/", 404), ("/events/?text=%00", 400)])
def test_an_error_has_the_head_too(root: Client, place: str, status: int) -> None:
    answer = root.get(place)
    assert answer.status_code == status
    assert navigation(answer.content.decode()) == NAVIGATION


@pytest.mark.parametrize("theme", ["dark", ""])
def test_failures_of_ours_have_it_without_asking_the_database(theme: str) -> None:
    request = RequestFactory().get("/")
    request.COOKIES["theme"] = theme
    busy = DatabaseTrouble(lambda _: None).process_exception(request, OperationalError("too many connections"))  # type: ignore[arg-type, return-value]  # asks nothing of it
    for answer, status in ((server_error(request), 500), (busy, 503)):
        assert answer is not None
        body = answer.content.decode()
        assert (answer.status_code, navigation(body), 'data-theme="dark"' in body) == (status, NAVIGATION, bool(theme))
