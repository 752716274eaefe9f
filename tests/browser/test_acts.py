"""Actions in a real browser: each asks first, does nothing until it is pressed, and is undone; live changes disturb nobody."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PATIENCE = 20_000  # ms
WIDTHS = (1440, 390)
OF_NODE = ("fail_over", "drain", "maintenance", "disable", "force_open", "force_closed", "metrics_only")
CHANGES = 20
COUNT = """part => {
  window.changes = 0;
  document.addEventListener("htmx:wsAfterMessage", event => { if (event.detail.message.includes(part)) window.changes += 1; });
}"""


def node_id(product: Product, name: str) -> int:
    return int(product.rows("SELECT id FROM nodes_node WHERE name = %s", name)[0]["id"])


def done(product: Product) -> Any:
    """All that actions of people could have changed."""
    return (
        product.rows("SELECT node_id, admin_state, breaker_mode FROM nodes_nodestate ORDER BY node_id"),
        product.rows("SELECT pool_id, paused FROM nodes_poolstate ORDER BY pool_id"),
        product.rows("SELECT paused FROM nodes_fleetstate"),
        product.rows("SELECT count(*) AS n FROM nodes_event WHERE actor = 'admin'"),
        product.rows("SELECT count(*) AS n FROM nodes_node WHERE removed_at IS NULL"),
    )


def state(product: Product, node: int) -> tuple[str, str]:
    row = product.rows("SELECT admin_state, breaker_mode FROM nodes_nodestate WHERE node_id = %s", node)[0]
    return row["admin_state"], row["breaker_mode"]


def look_and_cancel(page: Page, button: str, by: str) -> None:
    page.locator(button).click()
    dialog = page.locator("dialog[open]")
    expect(dialog).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#cancel")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), button
    if by == "Cancel":
        page.locator("#cancel").click()
    else:
        page.keyboard.press(by)
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(button)).to_be_focused()


@pytest.mark.parametrize("width", WIDTHS)
def test_each_dangerous_button_asks_and_cancel_does_nothing(page: Page, product: Product, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    before = done(product)
    page.goto(f"{product.address}/nodes/{node_id(product, 'api-2')}/")
    narrow = width < 640
    if narrow:
        page.locator("#node-menu > summary").click()
    for number, name in enumerate(OF_NODE):
        look_and_cancel(page, f"#action-{name}{'-s' if narrow else ''}", ("Cancel", "Escape", "Enter")[number % 3])
    page.goto(f"{product.address}/pools/db/")
    for name in ("rebalance", "fail_back", "pause"):
        look_and_cancel(page, f"#action-{name}", "Cancel")
    page.goto(product.address)
    look_and_cancel(page, "#action-pause", "Escape")
    look_and_cancel(page, "#remove-demo", "Enter")
    assert done(product) == before


@pytest.mark.parametrize("name", OF_NODE)
def test_what_is_pressed_is_done_and_undone(page: Page, product: Product, name: str) -> None:
    node = node_id(product, "api-3")
    page.goto(f"{product.address}/nodes/{node}/")
    page.locator(f"#action-{name}").click()
    page.get_by_label("Reason").fill("a try")
    page.locator("#confirm").click()
    expect(page.locator("#undo")).to_be_visible(timeout=PATIENCE)
    assert state(product, node) != ("enabled", "auto")
    page.locator("#undo").click()
    page.locator("#confirm").click()
    eventually(lambda: state(product, node) == ("enabled", "auto"), 10, "it is undone")
    share = "SELECT share FROM nodes_nodestate WHERE node_id = %s"
    eventually(lambda: product.rows(share, node)[0]["share"] == 2000, 20, "its share is back")


def test_a_pause_is_pressed_and_undone(page: Page, product: Product) -> None:
    for address, table in (("/", "nodes_fleetstate"), ("/pools/api/", "nodes_poolstate")):
        held = f"SELECT 1 FROM {table} WHERE paused IS NOT NULL"
        page.goto(product.address + address)
        page.locator("#action-pause").click()
        page.get_by_label("Reason").fill("a freeze")
        page.locator("#confirm").click()
        expect(page.locator("#undo")).to_be_visible(timeout=PATIENCE)
        assert product.rows(held)
        page.locator("#undo").click()
        page.locator("#confirm").click()
        eventually(lambda held=held: not product.rows(held), 10, "it is undone")


def test_enter_in_the_reason_does_nothing(page: Page, product: Product) -> None:
    before = done(product)
    page.goto(f"{product.address}/nodes/{node_id(product, 'api-2')}/")
    for name in ("fail_over", "force_open"):
        page.locator(f"#action-{name}").click()
        page.get_by_label("Reason").fill("half a reason")
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")
        expect(page.get_by_label("Reason")).to_have_value("half a reason")
        page.keyboard.press("Escape")
    assert done(product) == before


def test_an_open_dialog_says_that_it_is_out_of_date_and_asks_anew(page: Page, product: Product) -> None:
    node = node_id(product, "model-a")
    other = page.context.new_page()  # what Chromium itself logs of a conflict is no fault here
    other.goto(f"{product.address}/nodes/{node}/")
    other.locator("#action-drain").click()
    other.get_by_label("Reason").fill("new kernel")
    product.switch("model-b", "refuse")
    expect(other.locator("#outdated")).to_contain_text("Out of date", timeout=PATIENCE)
    other.locator("#confirm").click()
    expect(other.locator("dialog[open]")).to_contain_text("nothing was done", timeout=PATIENCE)
    expect(other.get_by_label("Reason")).to_have_value("new kernel")
    assert state(product, node) == ("enabled", "auto")
    product.switch("model-b", "healthy")
    balanced = "SELECT 1 FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id WHERE n.name = 'model-b' AND s.share > 3000"
    eventually(lambda: product.rows(balanced), 60, "model-b is back")


def live_changes(page: Page, product: Product, part: str, change: str, *values: Any) -> None:
    """So many changes of the part of the page, each of them seen by it."""
    page.evaluate(COUNT, part)
    for number in range(CHANGES):
        product.do(change, *values)
        page.wait_for_function("least => window.changes > least", arg=number, timeout=PATIENCE)


def test_focus_and_selection_survive_live_changes(page: Page, product: Product) -> None:
    node = node_id(product, "api-2")
    page.goto(f"{product.address}/pools/api/")
    expect(page.locator("html")).to_have_attribute("data-link", "live", timeout=PATIENCE)
    row, checks = page.locator(f"#row-{node}"), page.locator(f"#node-{node}-checks")
    row.get_by_role("link", name="api-2", exact=True).focus()
    page.evaluate("id => getSelection().selectAllChildren(document.querySelector(`#row-${id} .name .sub`))", node)
    chosen = page.evaluate("getSelection().toString()")
    assert "127.0.0.1" in chosen
    strip = checks.inner_html()
    change = """UPDATE nodes_nodestate SET recent = right(recent, 39) || CASE right(recent, 1) WHEN 'p' THEN 'w' ELSE 'p' END,
                version = version + 1 WHERE node_id = %s"""
    live_changes(page, product, f'id="node-{node}-checks"', change, node)
    assert checks.inner_html() != strip
    expect(row.get_by_role("link", name="api-2", exact=True)).to_be_focused()
    assert page.evaluate("getSelection().toString()") == chosen


def test_half_typed_text_and_its_caret_survive_live_changes(page: Page, product: Product) -> None:
    product.switch("api-4", "refuse")
    page.locator("#incidents h3 a").first.click(timeout=PATIENCE)
    note = page.get_by_label("Note")
    note.fill("looking at it")
    note.evaluate("node => node.setSelectionRange(3, 7)")
    change = """WITH a AS (UPDATE nodes_incident SET acknowledgement = acknowledgement || 'x' WHERE closed_at IS NULL)
                UPDATE nodes_poolstate SET version = version + 1"""
    live_changes(page, product, 'id="acknowledgement"', change)
    expect(note).to_be_focused()
    assert note.evaluate("node => [node.value, node.selectionStart, node.selectionEnd]") == ["looking at it", 3, 7]
    product.switch("api-4", "healthy")


def test_messages_leave_by_themselves_errors_stay_and_both_can_be_dismissed(page: Page, product: Product) -> None:
    other = page.context.new_page()
    other.goto(f"{product.address}/nodes/{node_id(product, 'db-standby')}/")
    other.locator("#action-check").click()
    expect(other.locator("#messages .success")).to_contain_text("The next check starts now", timeout=PATIENCE)
    other.mouse.move(0, 0)
    other.evaluate("document.activeElement.blur()")
    expect(other.locator("#messages .toast")).to_have_count(0, timeout=PATIENCE)
    # At once: the next live change would put the button's value right.
    other.evaluate("""const button = document.querySelector("#action-check"); button.value = "explode"; button.click()""")
    expect(other.locator("#messages .error")).to_be_visible(timeout=PATIENCE)
    assert other.locator("#messages .error").evaluate("each => each.getAnimations().length") == 0  # it has no time to leave
    other.get_by_role("button", name="Dismiss").click()
    expect(other.locator("#messages .toast")).to_have_count(0)


def test_the_dialog_works_without_script(page: Page, product: Product) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    plain = context.new_page()
    node = node_id(product, "api-1")
    plain.goto(f"{product.address}/nodes/{node}/")
    plain.locator("#action-drain").click()
    expect(plain.get_by_role("heading", name="Drain api-1?")).to_be_visible()
    plain.get_by_label("Reason").press("Enter")
    assert state(product, node)[0] == "enabled"
    plain.get_by_role("button", name="Drain", exact=True).click()
    assert state(product, node)[0] == "draining"
    plain.get_by_role("link", name=re.compile("Undo")).click()
    plain.get_by_role("button", name="Enable", exact=True).click()
    assert state(product, node)[0] == "enabled"
    context.close()
