"""The dashboard in a browser: filters in the address, stillness, cards, actions on many."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Error, Page, Route, WebSocket, expect

from tests.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(600)]

PATIENCE = 30_000  # ms
ORDER = "[...document.querySelectorAll('#pools > .pool')].map(each => each.id)"


def node_id(product: Product, name: str) -> int:
    return int(product.rows("SELECT id FROM nodes_node WHERE name = %s", name)[0]["id"])


def test_filters_live_in_the_address_with_script_and_without(page: Page, product: Product) -> None:
    sockets: list[WebSocket] = []

    def opened(socket: WebSocket) -> None:
        sockets.append(socket)

    page.on("websocket", opened)
    page.goto(product.address)
    page.evaluate("window.neverReloaded = true")
    page.locator("#lamp-served").click()
    expect(page).to_have_url(f"{product.address}/?state=served", timeout=PATIENCE)
    expect(page.get_by_label("State")).to_have_value("served")
    page.keyboard.press("/")
    page.keyboard.type("db-stand")
    expect(page).to_have_url(f"{product.address}/?q=db-stand&state=served", timeout=PATIENCE)
    expect(page.locator("#pools > .pool")).to_have_count(1)
    expect(page.locator("#counted")).to_contain_text("1 of 3 pools, 2 nodes")
    expect(page.get_by_label("Pool, node, address, tag")).to_be_focused()
    expect(page.locator("#socket")).to_have_attribute("ws-connect", "/ws/live/?fleet=q%3Ddb-stand%26state%3Dserved")
    expect(page.locator("html")).to_have_attribute("data-link", "live", timeout=PATIENCE)
    topic = product.address.replace("http", "ws") + "/ws/live/?fleet=q%3Ddb-stand%26state%3Dserved"
    eventually(
        lambda: page.evaluate("1") and [each.url for each in sockets if not each.is_closed()] == [topic], 30, "one socket, of this"
    )
    page.locator("#counted").get_by_role("link", name="clear").click()
    expect(page.locator("#pools > .pool")).to_have_count(3, timeout=PATIENCE)
    expect(page.get_by_label("Pool, node, address, tag")).to_have_value("")
    assert page.evaluate("window.neverReloaded") is True
    page.go_back()
    expect(page.locator("#pools > .pool")).to_have_count(1, timeout=PATIENCE)
    context = page.context.browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())  # type: ignore[union-attr]  # it has one
    plain = context.new_page()
    plain.goto(f"{product.address}/?q=db-stand")
    expect(plain.locator("#pools > .pool")).to_have_count(1)
    plain.locator("#lamp-users_hit").click()
    expect(plain.locator("#pools")).to_contain_text("No pool matches")
    context.close()


def test_a_late_answer_for_a_former_filter_changes_nothing(page: Page, product: Product) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.goto(product.address)
    page.route(lambda address: "q=db-stand" in address, hold)
    page.keyboard.press("/")
    page.keyboard.type("db-stand")
    eventually(lambda: page.evaluate("1") and held, PATIENCE / 1000, "it is asked for")
    page.locator("#lamp-served").click()  # which takes the focus from the field, and asks for what was typed once more
    expect(page).to_have_url(f"{product.address}/?state=served", timeout=PATIENCE)
    for route in held:
        with suppress(Error):  # the page has given it up
            route.continue_()
    page.wait_for_load_state("networkidle")
    expect(page).to_have_url(f"{product.address}/?state=served")
    expect(page.get_by_label("Pool, node, address, tag")).to_have_value("")


def test_cells_are_walked_by_keys_and_open_a_card(page: Page, product: Product) -> None:
    page.goto(f"{product.address}/?q=api-1")
    strip = page.locator("#pools [data-nodes]").first
    strip.focus()
    card = page.locator("#card")
    expect(card).to_contain_text("api-1", timeout=PATIENCE)
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("api-2", timeout=PATIENCE)
    expect(card).to_contain_text(re.compile(r"30\s% of api"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{product.address}/nodes/{node_id(product, 'api-2')}/", timeout=PATIENCE)


def done(product: Product) -> Any:
    return product.rows("SELECT node_id, admin_state FROM nodes_nodestate ORDER BY node_id")


def test_many_are_drained_by_one_dialog_cancelled_done_and_undone(page: Page, product: Product) -> None:
    before = done(product)
    page.goto(f"{product.address}/?select=1")
    for name in ("api-3", "model-c"):
        page.get_by_label(name, exact=True).check()
    page.locator("#bulk-drain").click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_contain_text("Drain 2 nodes?", timeout=PATIENCE)
    page.locator("#cancel").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert done(product) == before
    page.locator("#bulk-drain").click()
    page.locator("#confirm").click()
    expect(page.locator("#messages")).to_contain_text("api-3 and model-c are draining now", timeout=PATIENCE)
    states = "SELECT count(*) AS n FROM nodes_nodestate WHERE admin_state = 'draining'"
    assert product.rows(states)[0]["n"] == 2
    expect(page.locator("#lasting")).to_contain_text("2 things are not on automatic", timeout=PATIENCE)
    page.locator("#undo").click()
    page.locator("#confirm").click()
    eventually(lambda: done(product) == before, 15, "all are enabled again")


def test_a_frozen_feed_stands_still_until_it_is_let_go(page: Page, product: Product) -> None:
    page.goto(product.address)
    freeze = page.get_by_role("button", name="freeze")
    freeze.click()
    expect(freeze).to_have_attribute("aria-pressed", "true")
    shown = page.locator("#events").inner_text()
    product.switch("model-a", "refuse")
    expect(page.locator("#headline")).to_contain_text("model-a", timeout=PATIENCE)
    assert page.locator("#events").inner_text() == shown
    freeze.click()
    expect(page.locator("#events")).to_contain_text("model-a failed", timeout=PATIENCE)
    product.switch("model-a", "healthy")
    expect(page.locator("#headline")).to_contain_text("are served", timeout=2 * PATIENCE)


def test_nothing_is_sorted_under_the_pointer(page: Page, product: Product) -> None:
    page.goto(product.address)
    page.mouse.move(5, 5)
    before = page.evaluate(ORDER)
    page.locator("#pools > .pool").first.hover()
    product.switch("model-b", "refuse")
    expect(page.locator("#headline")).to_contain_text("model-b", timeout=PATIENCE)
    expect(page.locator("#resort")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate(ORDER) == before
    page.locator("#resort").click()
    expect(page.locator("#pools > .pool").first).to_contain_text("model-b", timeout=PATIENCE)
    product.switch("model-b", "healthy")
    expect(page.locator("#headline")).to_contain_text("are served", timeout=2 * PATIENCE)


def test_what_is_ticked_stays_ticked_though_the_pool_changes(page: Page, product: Product) -> None:
    page.goto(product.address)
    page.get_by_role("link", name="Select…").click()
    page.get_by_label("db-standby", exact=True).check(timeout=PATIENCE)
    product.switch("model-c", "refuse")
    expect(page.locator("#headline")).to_contain_text("model-c", timeout=PATIENCE)
    expect(page.get_by_label("db-standby", exact=True)).to_be_checked()
    product.switch("model-c", "healthy")
    expect(page.locator("#headline")).to_contain_text("are served", timeout=2 * PATIENCE)
    expect(page.get_by_label("db-standby", exact=True)).to_be_checked()
