"""Without a pointer: log in, find what fails, acknowledge it, drain a node, undo that; each stop of the Tab key can be seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.product import PASSWORD, Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PATIENCE = 30_000  # ms
MOST_STOPS = 120
RINGED = """() => {
  const style = getComputedStyle(document.activeElement), box = document.activeElement.getBoundingClientRect();
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.bottom > 0 && box.top < innerHeight;
}"""


@pytest.fixture
def keys(browser: Browser, product: Product) -> Iterator[Page]:
    """A page whose mouse nobody touches, at the log-in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(product.address)
    yield page
    context.close()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus; every stop on the way shows where the focus is."""
    expect(wanted).to_be_visible(timeout=PATIENCE)
    hidden = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if not page.evaluate(RINGED):
            hidden.append(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
        if wanted.evaluate("each => each === document.activeElement"):
            break
    else:
        pytest.fail(f"{wanted} is not reached by Tab")
    assert hidden == []


def test_a_failing_node_is_found_acknowledged_another_drained_and_undone(keys: Page, product: Product) -> None:
    page = keys
    product.switch("api-2", "refuse")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#headline")).to_contain_text("api-2", timeout=PATIENCE)

    tab_to(page, page.locator("#incidents .inc a").first)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Note"))
    page.keyboard.type("on it")
    tab_to(page, page.locator("#acknowledge"))
    page.keyboard.press("Enter")
    expect(page.locator("#acknowledgement")).to_contain_text("“on it”", timeout=PATIENCE)
    assert product.rows("SELECT acknowledged_by FROM nodes_incident")[0]["acknowledged_by"] == "admin"

    page.keyboard.press("Control+k")
    expect(page.locator("dialog #q")).to_be_focused(timeout=PATIENCE)
    page.keyboard.type("drain api-3")
    expect(page.locator("#places")).to_contain_text("api-3", timeout=PATIENCE)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#dialog-title")).to_contain_text("api-3", timeout=PATIENCE)
    tab_to(page, page.locator("#confirm"))
    page.keyboard.press("Enter")
    draining = "SELECT count(*) AS n FROM nodes_nodestate WHERE admin_state = 'draining'"
    eventually(lambda: product.rows(draining)[0]["n"] == 1, 15, "api-3 is draining")

    tab_to(page, page.locator("#undo"))
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_visible(timeout=PATIENCE)
    tab_to(page, page.locator("#confirm"))
    page.keyboard.press("Enter")
    eventually(lambda: product.rows(draining)[0]["n"] == 0, 15, "api-3 is enabled again")
