"""*Test this check* as a person meets it: on the node's page, and in the form before it is saved, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(300)]
WIDTHS = (1440, 390)


def node_of(product: Product, name: str) -> int:
    return int(product.rows(f"SELECT id FROM nodes_node WHERE name = '{name}'")[0]["id"])


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("width", WIDTHS)
def test_on_its_page_it_shows_what_the_node_answers(page: Page, product: Product, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{product.address}/nodes/{node_of(product, 'api-1')}/")
    page.click("button:text('Test this check')")
    page.wait_for_selector("h1:has-text('Test of api-1')")

    shown = page.inner_text("main")
    for text in ("pass", "HTTP/1.1 200 OK", "api-1 is healthy", "first byte", "200-299"):
        assert text in shown
    assert fits(page)
    page.click("summary:text('Request')")
    assert "GET /healthz HTTP/1.1" in page.inner_text("main")
    page.click("button:text('Test again')")
    page.wait_for_selector("button:text('Test again')")


@pytest.mark.parametrize("width", WIDTHS)
def test_in_the_form_it_is_tested_before_it_is_saved(page: Page, product: Product, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{product.address}/admin/nodes/node/{node_of(product, 'api-2')}/change/")
    page.click("summary:has-text('What is expected of the answer')")
    page.fill("[name=checks-0-body_contains]", "a text that never comes")
    with page.context.expect_page() as opened:
        page.click("button:text('Test this check')")
    tested = opened.value
    tested.wait_for_selector("h1:has-text('Test of api-2')")
    assert "without the text “a text that never comes”" in tested.inner_text("main")
    assert fits(tested)
    assert page.input_value("[name=checks-0-body_contains]") == "a text that never comes"  # the form is as it was
    assert product.rows("SELECT count(*) AS n FROM nodes_check WHERE body_contains = 'a text that never comes'")[0]["n"] == 0
    tested.close()


def test_what_was_seen_is_kept_with_the_failure(page: Page, product: Product) -> None:
    product.switch("api-3", "answer 500")
    kept = "SELECT count(*) AS n FROM nodes_failure WHERE evidence IS NOT NULL"
    eventually(lambda: product.rows(kept)[0]["n"] > 0, 60, "the evidence is kept")
    product.switch("api-3", "healthy")
    page.goto(f"{product.address}/nodes/{node_of(product, 'api-3')}/")
    page.click("a:text('evidence')")
    page.wait_for_selector("h1:has-text('What the last failing check met')")
    assert "HTTP/1.1 5" in page.inner_text("main")
