"""Nothing in the admin needs what the strict Content-Security-Policy forbids."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.conftest import Fleet, page


class Inline(HTMLParser):
    """Collects inline script and style: elements with content of their own, style and on… attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        is_data = dict(attrs).get("type") == "application/json"
        if tag == "style" or (tag == "script" and "src" not in names and not is_data):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]


def paths(fleet: Fleet) -> list[str]:
    models = ("node", "pool", "breakerpolicy", "failoverpolicy", "apitoken", "event", "incident", "failover", "user")
    changes = [
        page("node", "change", fleet.first.pk),
        page("node", "delete", fleet.first.pk),
        page("pool", "change", fleet.pool.pk),
        page("breakerpolicy", "change", fleet.pool.breaker_policy_id),
        page("failoverpolicy", "change", fleet.pool.failover_policy_id),
    ]
    adds = [page(model, "add") for model in ("node", "pool", "breakerpolicy", "failoverpolicy", "apitoken", "user")]
    return [reverse("admin:index"), *(page(model) for model in models), *changes, *adds]


def test_no_page_of_the_admin_has_inline_script_or_style(root: Client, fleet: Fleet) -> None:
    for path in paths(fleet):
        response = root.get(path)
        inline = Inline()
        inline.feed(response.content.decode())
        assert (response.status_code, inline.found) == (200, []), path


@pytest.mark.parametrize("action", ["drain", "maintenance", "disable"])
def test_the_page_that_asks_for_a_reason_has_none_either(operator: Client, fleet: Fleet, action: str) -> None:
    inline = Inline()
    inline.feed(operator.post(page("node"), {"action": action, "_selected_action": [fleet.first.pk]}).content.decode())
    assert inline.found == []
