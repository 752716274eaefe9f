"""Pages of the alerts: notifications with their attempts, destinations and rules, the fragment of an incident, a test, a resend."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from alerts.delivery import Payload
from alerts.delivery.transport import post
from alerts.forms import NotificationFilter
from alerts.models import Destination, Kind, Notification, Rule, masked_secret
from alerts.services.dead_mans_switch import last_calls
from alerts.services.destination_breaker import circuit_of
from alerts.services.resend import NotResentError, resend
from alerts.services.test_message import TooManyTestsError, send_test
from alerts.services.unreadable import of_destination, of_rule
from nodes.ledger.clock import database_now
from nodes.models import Incident
from nodes.views.responses import signed_in

_PER_PAGE, _OF_AN_INCIDENT = 50, 100  # notifications
_LABELS = {"at": "time", "did": "what was done", "url": "link"}  # of the fields of a payload whose names do not say it


def _notifications() -> QuerySet[Notification]:
    """With their destinations, without the secrets of these."""
    return Notification.objects.select_related("destination").defer("destination__address", "destination__key")


@signed_in
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    """The newest first, by status and destination."""
    chosen = NotificationFilter(request.GET)
    chosen.is_valid()
    wanted = {name: value for name, value in chosen.cleaned_data.items() if value}
    page = Paginator(_notifications().filter(**wanted), _PER_PAGE).get_page(request.GET.get("page"))
    states = dict(Notification.objects.values_list("status").annotate(number=Count("pk")))
    tabs = [(status.value, status.label, states.get(status.value, 0)) for status in Notification.Status]
    return render(request, "alerts/notifications.html", {"page": page, "filter": chosen, "wanted": wanted, "tabs": tabs})


@signed_in
@require_GET
def notification(request: HttpRequest, pk: int) -> HttpResponse:
    """One notification with all its attempts and its message."""
    found = get_object_or_404(_notifications().select_related("incident"), pk=pk)
    stored = Payload.load(found.payload).stored()
    message = [(_LABELS.get(name, name), value) for name, value in stored.items() if value not in ("", None)]
    circuit = circuit_of(found.destination.breaker, timezone.now())
    shown = {"notification": found, "attempts": found.tries.all(), "message": message, "circuit": circuit}
    return render(request, "alerts/notification.html", shown)


@signed_in
@require_GET
def incident_notifications(request: HttpRequest, pk: int) -> HttpResponse:
    """The fragment for an incident's page: its newest messages."""
    incident = get_object_or_404(Incident, pk=pk)
    listed = _notifications().filter(incident=incident).order_by("-created_at", "-pk")[:_OF_AN_INCIDENT][::-1]
    return render(request, "alerts/incident_notifications.html", {"notifications": listed})


@signed_in
@require_GET
def banner(request: HttpRequest) -> HttpResponse:
    """The fragment for the dashboard: destinations that accept nothing, in case no other could be told of it."""
    failing = Destination.objects.filter(removed_at=None).exclude(failing_since=None)
    return render(request, "alerts/banner.html", {"failing": failing})


@signed_in
@require_GET
def destinations(request: HttpRequest) -> HttpResponse:
    """Where alerts go, the state of each destination, and the severities that no rule brings to one."""
    waiting = Count("notifications", filter=Q(notifications__status__in=("pending", "leased")))
    dead = Count("notifications", filter=Q(notifications__status="dead"))
    present = Destination.objects.filter(removed_at=None).annotate(waiting=waiting, dead=dead)
    listed = list(present.order_by("name"))  # a query that groups leaves out the order of the model
    now = timezone.now()
    rows = [
        (each, masked_secret(each, "key" if each.kind == Kind.PAGERDUTY else "address"), circuit_of(each.breaker, now))
        for each in listed
    ]
    rules = list(Rule.objects.select_related("pool").prefetch_related("destinations"))
    unreadable = [each for each in (*map(of_destination, listed), *map(of_rule, rules)) if each]
    shown = {"rows": rows, "rules": rules, "unrouted": _unrouted(listed, rules), "unreadable": unreadable, "switch": last_calls()}
    return render(request, "alerts/destinations.html", shown)


def _unrouted(destinations: Sequence[Destination], rules: Sequence[Rule]) -> list[str]:
    """Severities that no rule brings to an enabled destination, whatever the pool."""
    enabled = [each for each in destinations if each.enabled and each.leaving_at is None and each.kind in Kind.values]
    routed: set[str] = set()
    for rule in rules:
        if not rule.enabled or rule.pool_id is not None or rule.tag or rule.event_types:
            continue
        chosen = {each.pk for each in rule.destinations.all()}
        if any(each.pk in chosen if chosen else each.kind == rule.destination_kind for each in enabled):
            routed |= set(rule.severities)
    return [severity for severity in ("critical", "warning") if severity not in routed]


@signed_in
@permission_required("nodes.operate", raise_exception=True)
@require_POST
def test_send(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test message and show what the receiver answered."""
    destination = get_object_or_404(Destination, pk=pk, removed_at=None)
    try:
        sent = send_test(destination, actor=request.user.get_username(), now=database_now(), post=post)
    except TooManyTestsError as error:
        messages.error(request, str(error.__doc__))
        return redirect("alerts:destinations")
    if sent.status == Notification.Status.DELIVERED:
        messages.success(request, f"{destination.name} accepted the test message.")
    else:
        messages.error(request, f"{destination.name} did not accept the test message: {sent.outcome}.")
    return redirect("alerts:notification", sent.pk)


@signed_in
@permission_required("nodes.operate", raise_exception=True)
@require_POST
def resend_notification(request: HttpRequest, pk: int) -> HttpResponse:
    """Send again a message that was given up."""
    get_object_or_404(_notifications(), pk=pk)
    try:
        resend(pk, actor=request.user.get_username(), now=database_now())
    except NotResentError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "It is on its way again.")
    return redirect("alerts:notification", pk)
