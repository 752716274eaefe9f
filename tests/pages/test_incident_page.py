"""The page of a long incident: the newest first, counted, the older ones in pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from nodes.models import Event, Failover, Incident, Pool

MANY = 120


@pytest.fixture
def incident(api: Pool) -> Incident:
    """With many more decisions and events than a page shows; the newest is number 119."""
    found = Incident.objects.get()
    one, said = Failover.objects.filter(incident=found).first(), Event.objects.filter(incident=found).first()
    assert one is not None
    assert said is not None
    for number in range(MANY):
        one.pk, one.epoch, one.at, one.reason = None, None, found.opened_at + timedelta(hours=number + 1), f"decision {number};"
        one.save(force_insert=True)
        said.pk, said.at, said.message = None, one.at, f"event {number};"
        said.save(force_insert=True)
    return found


def test_it_shows_the_newest_first_and_counts_the_rest(viewer: Client, incident: Incident) -> None:
    page = viewer.get(incident.get_absolute_url()).content.decode()
    decisions, events = Failover.objects.filter(incident=incident).count(), Event.objects.filter(incident=incident).count()
    assert page.index("decision 119;") < page.index("decision 118;") < page.index("decision 70;")
    assert page.index("event 119;") < page.index("event 118;") < page.index("event 70;")
    assert "event 69;" not in page
    for total, name in ((decisions, "decisions"), (events, "events")):
        older = reverse(f"nodes:incident_{name}", args=[incident.pk])
        assert f'newest first: 50 of {total}, <a href="{older}">older</a>' in page


@pytest.mark.parametrize(("name", "what"), [("decisions", "decision"), ("events", "event")])
def test_the_older_ones_are_paged(viewer: Client, incident: Incident, name: str, what: str) -> None:
    address = reverse(f"nodes:incident_{name}", args=[incident.pk])
    second = viewer.get(address, {"page": "2"}).content.decode()
    assert f"{what} 69;" in second
    assert f"{what} 70;" not in second
    assert "51 to 100 of 12" in second
    assert 'rel="prev"' in second
    assert 'rel="next"' in second


@pytest.mark.parametrize("page", ["0", "-3", "99999999999999999999", "x", "%00", ""])
def test_a_page_that_there_is_not_is_the_nearest(viewer: Client, incident: Incident, page: str) -> None:
    assert viewer.get(reverse("nodes:incident_events", args=[incident.pk]), {"page": page}).status_code == 200


def test_a_short_incident_leaves_nothing_to_page(viewer: Client, api: Pool) -> None:
    assert ">older</a>" not in viewer.get(Incident.objects.get().get_absolute_url()).content.decode()


def test_an_incident_that_there_is_not(viewer: Client, api: Pool) -> None:
    for name in ("decisions", "events"):
        assert viewer.get(reverse(f"nodes:incident_{name}", args=[1_000_000])).status_code == 404
