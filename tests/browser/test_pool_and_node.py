"""The pool's and the node's page in a browser: ranges, what if and what then happens, the strip by keys, pictures as files."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PATIENCE = 30_000  # ms
SHARES = "SELECT n.name, s.share FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id JOIN nodes_pool p ON p.id = n.pool_id"


def shares(product: Product) -> dict[str, int]:
    """Basis points by node of the pool api, of those that hold some."""
    found = product.rows(f"{SHARES} WHERE p.slug = 'api' AND s.share > 0")
    return {row["name"]: row["share"] for row in found}


def test_a_range_is_in_the_address_and_the_page_stays(page: Page, product: Product) -> None:
    page.goto(product.address + "/pools/api/")
    page.evaluate("window.neverReloaded = true")
    page.locator("#range-24h").click()
    expect(page.locator("#range-24h")).to_have_attribute("aria-current", "true")
    expect(page).to_have_url(re.compile(r"range=24h"))
    expect(page.locator("#shares svg.chart")).to_have_attribute("aria-label", re.compile("Shares of api"))
    assert page.evaluate("window.neverReloaded") is True
    assert page.evaluate("document.activeElement.id") == "range-24h"
    page.reload()
    expect(page.locator("#range-24h")).to_have_attribute("aria-current", "true")


def test_what_if_is_what_then_happens(page: Page, product: Product) -> None:
    page.goto(product.address + "/pools/api/")
    page.get_by_role("checkbox", name=re.compile("^api-2")).check()
    answer = page.locator("#what-if [role=status]")
    expect(answer).to_contain_text("All would be served.")
    expect(page).to_have_url(re.compile(r"lose=\d+"))
    told = {
        name: float(share)
        for name, share in re.findall(r"(api-\d)\s+([\d.]+)", str(answer.locator("dd svg").nth(1).get_attribute("aria-label")))
    }
    product.switch("api-2", "refuse")
    try:
        eventually(lambda: "api-2" not in shares(product), 30, "the share of api-2 has moved")
        assert told == pytest.approx({name: share / 100 for name, share in shares(product).items()}, abs=0.06)
        expect(page.locator("#pool-facts")).to_contain_text("Served by api-1, api-3 and api-4.", timeout=PATIENCE)
        expect(page.locator("#members tbody tr").last).to_contain_text("api-2", timeout=PATIENCE)
        expect(page.locator("#shares svg.chart")).to_contain_text("api-2 failed", timeout=PATIENCE)
    finally:
        product.switch("api-2", "healthy")
        eventually(lambda: shares(product).get("api-2") == 3000, 60, "api-2 has its share back")


def test_arrow_keys_walk_the_last_checks_and_the_next_one_counts_down(page: Page, product: Product) -> None:
    page.goto(product.address + "/nodes/1/")
    expect(page.locator("#schedule time").first).to_have_text(re.compile(r"^(\d+ s|now)$"))
    strip = page.locator("#checks svg.strip")
    strip.focus()
    tip = page.locator(".tip")
    expect(tip).to_contain_text("pass")
    first = tip.inner_text()
    page.keyboard.press("ArrowLeft")
    expect(tip).not_to_have_text(first, use_inner_text=True)
    expect(tip).to_contain_text("pass")
    assert re.search(r"\d\s?ms", tip.inner_text())


def test_pictures_are_files(page: Page, product: Product) -> None:
    page.goto(product.address + "/pools/api/?range=6h")
    with page.expect_download() as downloading:
        page.locator("#shares").get_by_role("link", name="PNG").click()
    assert downloading.value.suggested_filename == "api-shares-6h.png"
    address = page.locator("#shares").get_by_role("link", name="SVG").get_attribute("href")
    answer = page.request.get(product.address + str(address))
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "href" not in answer.text()


@pytest.mark.parametrize("width", [1440, 820, 390, 320])
def test_nothing_scrolls_sideways(page: Page, product: Product, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("/pools/api/?range=1y&lose=1&lose=2", "/nodes/1/?range=1y", "/pools/api/charts/shares/"):
        page.goto(product.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_on_a_phone_the_acts_are_in_one_menu(page: Page, product: Product) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(product.address + "/nodes/1/")
    expect(page.get_by_role("button", name="Drain…")).to_have_count(0)
    page.locator("#node-menu summary").click()
    page.get_by_role("button", name="Drain…").click()
    expect(page.locator("dialog[open]")).to_contain_text("Drain api-1?")
