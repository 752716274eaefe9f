"""The dashboard of 21 and of 200 pools: inside its bounds at every width.  Apart from other tests, whose fleet this one fills."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import fleets
from tests.product import Product

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(600)]

PATIENCE = 30_000  # ms
WIDTHS = (1440, 820, 390, 320)
FOOT = 28  # px


def widths(page: Page) -> list[int]:
    """At which the page scrolls sideways."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(width)
    page.set_viewport_size({"width": 1440, "height": 900})
    return found


def test_21_pools_with_incidents_and_events_fit_and_200_are_cells(page: Page, product: Product) -> None:
    assert widths(page) == []
    fleets.add_pools(product, fleets.names(18), nodes=4)
    fleets.fail(product, "auth-2", "connection refused")
    fleets.fail(product, "cart-1", "answered 503, expected 200-299")
    page.goto(product.address)
    expect(page.locator("#pools > .pool")).to_have_count(21, timeout=PATIENCE)
    expect(page.locator("#incidents .inc")).to_have_count(2)
    assert page.locator("#events > li").count() == 12
    banner = page.evaluate("document.querySelector('.demo-banner').offsetHeight")
    for element in ("#pools", "#incidents", "#events"):
        assert (
            page.evaluate("what => document.querySelector(what).getBoundingClientRect().bottom", element) - banner <= 900 - FOOT
        ), element
    assert widths(page) == []
    fleets.add_pools(product, fleets.names(197)[18:], nodes=5)
    page.goto(product.address)
    expect(page.locator("#wall .tile")).to_have_count(198, timeout=PATIENCE)
    expect(page.locator("#counted")).to_contain_text("200 pools, 976 nodes")
    expect(page.locator("#pools > .slim")).to_have_count(2)
    assert widths(page) == []
