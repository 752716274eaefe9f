"""What frames every page: head, footer, what a reader prefers, and the way to go anywhere."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from nodes.models import Incident, Node, Pool


def test_answers_are_compressed(viewer: Client, api: Pool) -> None:
    answer = viewer.get(reverse("nodes:dashboard"), headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert b"</html>" in gzip.decompress(answer.content)


def test_the_head_counts_open_incidents_and_none_is_no_number(viewer: Client, api: Pool) -> None:
    assert 'title="open">1</span>' in viewer.get(reverse("nodes:events")).content.decode()
    Incident.objects.update(closed_at="2026-01-01T00:00:00Z")
    assert 'title="open"></span>' in viewer.get(reverse("nodes:events")).content.decode()


def test_the_footer_says_that_nobody_checks_and_nobody_is_notified(viewer: Client, api: Pool) -> None:
    page = viewer.get(reverse("nodes:events")).content.decode()
    assert 'check runners <b class="bad">0</b>' in page
    assert 'alert runners <b class="bad">0</b>' in page


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("theme", "dark", 'data-theme="dark"'),
        ("density", "comfortable", 'data-density="comfortable"'),
        ("zone", "UTC", 'data-zone="UTC"'),
        ("sound", "on", 'data-sound="on"'),
        ("notify", "on", 'data-notify="on"'),
    ],
)
def test_a_preference_holds_on_the_next_pages_until_it_is_taken_back(viewer: Client, name: str, value: str, shown: str) -> None:
    here = reverse("nodes:events")

    def root() -> str:
        found = re.search(r"<html[^>]*>", viewer.get(here).content.decode())
        assert found
        return found[0]

    assert shown not in root()
    answer = viewer.post(reverse("preferences"), {name: value, "back": here})
    assert (answer.status_code, answer["Location"]) == (302, here)
    assert shown in root()
    viewer.post(reverse("preferences"), {name: "", "back": here})
    assert shown not in root()


def test_a_preference_holds_before_the_log_in_too(client: Client, db: None) -> None:
    client.post(reverse("preferences"), {"theme": "dark"})
    assert 'data-theme="dark"' in client.get(reverse("account_login")).content.decode()


@pytest.mark.parametrize(
    "back", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "", "x", "nodes:events"]
)
def test_going_back_never_leads_elsewhere(client: Client, db: None, back: str) -> None:
    assert client.post(reverse("preferences"), {"theme": "dark", "back": back})["Location"] == "/"


def test_what_nobody_can_choose_changes_nothing(client: Client, db: None) -> None:
    answer = client.post(reverse("preferences"), {"theme": "pink", "zone": "Mars/Phobos", "density": 'x" onload="'})
    assert not {"theme", "zone", "density"} & set(answer.cookies)
    client.cookies["theme"] = '"><script>'
    assert "data-theme" not in re.findall(r"<html[^>]*>", client.get(reverse("account_login")).content.decode())[0]
    assert client.get(reverse("preferences")).status_code == 405


def _found(client: Client, asked: str) -> list[str]:
    answer = client.get(reverse("nodes:goto"), {"q": asked}, headers={"HX-Request": "true", "HX-Target": "places"})
    assert b"<html" not in answer.content
    return re.findall(r'<a href="([^"]+)"', answer.content.decode())


def test_going_anywhere_finds_pools_nodes_incidents_and_pages_by_a_few_letters(viewer: Client, api: Pool) -> None:
    node, incident = Node.objects.get(name="api-3"), Incident.objects.get()
    assert _found(viewer, "PUBLIC")[0] == reverse("nodes:pool", args=["public-api"])
    assert reverse("nodes:node", args=[node.pk]) in _found(viewer, "api-3")
    assert reverse("nodes:node", args=[node.pk]) in _found(viewer, node.address)
    assert incident.get_absolute_url() in _found(viewer, str(incident.pk))
    assert _found(viewer, "repo") == [reverse("nodes:reports")]
    assert _found(viewer, "%") == _found(viewer, "nothing is named so") == []


def test_going_anywhere_works_without_script_and_asks_for_a_log_in(viewer: Client, client: Client, api: Pool) -> None:
    page = viewer.get(reverse("nodes:goto"), {"q": "public"}).content.decode()
    assert "<html" in page
    assert reverse("nodes:pool", args=["public-api"]) in page
    assert client.get(reverse("nodes:goto")).status_code == 302


def test_going_anywhere_offers_operators_the_acts_that_they_name(operator: Client, viewer: Client, api: Pool) -> None:
    node = Node.objects.get(name="api-3")
    drain = f"{reverse('nodes:node_action', args=[node.pk])}?action=drain"
    assert _found(operator, "drain api-3")[0] == drain
    assert _found(operator, "Drain API-3")[0] == drain
    assert f"{reverse('nodes:pool_action', args=['public-api'])}?action=rebalance" in _found(operator, "rebal")
    assert "Drain api-3?" in operator.get(drain).content.decode()
    assert not [address for address in _found(viewer, "drain api-3") if "action=" in address]


def test_removed_pools_and_nodes_are_nowhere_to_go(viewer: Client, api: Pool) -> None:
    Node.objects.update(removed_at="2026-01-01T00:00:00Z")
    Pool.objects.update(removed_at="2026-01-01T00:00:00Z")
    Incident.objects.update(summary="closed long ago")
    assert _found(viewer, "api") == []


def test_the_keys_are_listed_for_whoever_asks(viewer: Client) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        assert b"Go to any pool" in viewer.get(reverse("nodes:keys"), headers=headers).content


def test_a_letter_in_the_palette_costs_few_questions(operator: Client, api: Pool, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(9):  # five actions begin so; two are about permissions
        assert (
            operator.get(reverse("nodes:goto"), {"q": "f"}, headers={"HX-Request": "true", "HX-Target": "places"}).status_code
            == 200
        )


@pytest.mark.parametrize("next_page", ["/accounts/login/", "/accounts/login/?next=/"])
def test_the_log_in_never_leads_to_itself(viewer: Client, next_page: str) -> None:
    answer = viewer.get(reverse("account_login"), {"next": next_page})
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_what_was_a_page_is_no_address_is_refused(client: Client, db: None) -> None:
    encoded = {"HX-Request": "true", "HX-Current-URL": "http://%5B", "HX-Current-URL-URI-AutoEncoded": "true"}
    assert client.get("/", headers=encoded).status_code == 400


def test_secrets_that_are_shown_once_are_in_no_cookie(admin_client: Client) -> None:
    answer = admin_client.post(
        reverse("admin:nodes_apitoken_add"), {"name": "lb", "scopes": ["shares"], "every_pool": "on", "never_expires": "on"}
    )
    assert answer.status_code == 302
    assert "messages" not in answer.cookies
    assert "lb" in admin_client.get(answer["Location"]).content.decode()


def test_the_style_guide_is_for_staff(viewer: Client, admin_client: Client) -> None:
    assert viewer.get(reverse("nodes:styleguide")).status_code == 403
    with_role = User.objects.create_user("ada")
    with_role.groups.add(Group.objects.get(name="admin"))
    editor = Client()
    editor.force_login(with_role)
    assert editor.get(reverse("nodes:styleguide")).status_code == 200
    page = admin_client.get(reverse("nodes:styleguide")).content.decode()
    for word in ("suspect", "half-open", "metrics only"):
        assert word in page


def test_errors_keep_the_frame(client: Client, viewer: Client, db: None) -> None:
    for each in (client, viewer):
        page = each.get("/no/such/page/").content.decode()
        assert 'class="brand"' in page
    assert User.objects.count() == 1
