"""What people see of an incident while it lasts: acknowledged, noted, folded, in the tail of events, and afterwards on paper."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PATIENCE = 30_000  # ms
NODE = "model-b"


def test_an_incident_from_its_first_check_to_its_post_mortem(page: Page, product: Product) -> None:
    tail = page.context.new_page()
    tail.goto(f"{product.address}/events/")
    tail.evaluate("window.neverReloaded = true")
    product.switch(NODE, "refuse")
    opened = "SELECT id FROM nodes_incident WHERE closed_at IS NULL AND summary LIKE 'models%%'"
    eventually(lambda: product.rows(opened), 30, "an incident is open")
    number = product.rows(opened)[0]["id"]
    first = tail.locator("#event-list > li")
    expect(first.filter(has_text=f"{NODE} failed 3 checks in a row")).to_be_visible(timeout=PATIENCE)

    page.goto(f"{product.address}/incidents/{number}/")
    page.evaluate("window.neverReloaded = true")
    expect(page.locator(".stop")).to_have_count(8)
    expect(page.locator(".stop", has_text="Shares moved")).not_to_have_class(re.compile("todo"), timeout=PATIENCE)
    page.get_by_label("Note").fill("looking at the node")
    page.locator("#acknowledge").click()
    expect(page.locator("#acknowledgement.hand")).to_contain_text("looking at the node", timeout=PATIENCE)
    expect(first.filter(has_text="looking at the node")).to_be_visible(timeout=PATIENCE)

    tail.bring_to_front()
    tail.get_by_role("button", name="Freeze").click()
    page.bring_to_front()
    page.get_by_text("Add a note…").click()
    page.locator("#more").fill("restarted by hand")
    page.locator("#add").click()
    expect(page.locator("#events")).to_contain_text("admin noted: restarted by hand", timeout=PATIENCE)
    assert page.evaluate("window.neverReloaded") is True
    expect(tail.locator("#freshness")).to_be_visible()
    assert "restarted by hand" not in tail.locator("#event-list").inner_text()
    tail.bring_to_front()
    tail.get_by_role("button", name="Freeze").click()
    expect(first.first).to_contain_text("restarted by hand", timeout=PATIENCE)
    assert tail.evaluate("window.neverReloaded") is True

    page.bring_to_front()
    product.switch(NODE, "healthy")
    expect(page.locator("#status .state")).to_have_text("closed", timeout=3 * PATIENCE)
    page.get_by_role("link", name="Post-mortem").click()
    expect(page.get_by_role("heading", name="What went well?")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    assert "restarted by hand" in download.value.path().read_text()
    fit(page, product, f"/incidents/{number}/", f"/incidents/{number}/post-mortem/", "/events/1/", "/events/", "/incidents/")


def fit(page: Page, product: Product, *paths: str) -> None:
    """No page scrolls sideways at any width."""
    for width in (1440, 820, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        for path in paths:
            page.goto(product.address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
