"""What an operator sees: a node of the demo fleet fails and comes back, without one reload."""

from __future__ import annotations

import re

import psycopg
import pytest
from playwright.sync_api import Page, expect

from failover_console.addresses import database_url
from tests.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PATIENCE = 30_000  # ms
NODE = "api-2"


def test_a_node_fails_is_taken_over_for_explained_notified_and_comes_back(page: Page, product: Product) -> None:
    expect(page.locator("#headline")).to_contain_text("All 3 pools are served", timeout=PATIENCE)
    page.evaluate("window.neverReloaded = true")
    pool = page.locator("li.pool", has=page.get_by_role("link", name="api", exact=True))
    row = pool.locator(".chip", has=page.get_by_role("link", name=NODE, exact=True))
    expect(row).to_contain_text("30 %")

    switches = page.context.new_page()
    switches.goto(product.demo)
    switches.locator("li", has_text=NODE).get_by_role("button", name="refuse").click()

    expect(pool.locator(".name")).to_contain_text("degraded", timeout=PATIENCE)
    expect(row).to_contain_text(re.compile(r"0\s%open"), timeout=PATIENCE)
    expect(page.locator("#headline")).to_contain_text("is served by", timeout=PATIENCE)
    incident = page.locator("#incidents").get_by_role("link", name=re.compile("api: 1 of 4 nodes down, all traffic on"))
    expect(incident).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("window.neverReloaded") is True

    decision = page.context.new_page()
    decision.goto(product.address + str(incident.get_attribute("href")))
    expect(decision.get_by_text("gives its share")).to_be_visible()
    expect(decision.get_by_text("3 nodes can take over")).to_be_visible()
    expect(decision.locator("#notifications")).to_contain_text("Demo PagerDuty", timeout=PATIENCE)

    receiver = page.context.new_page()
    eventually(lambda: [a for a in product.received()["alerts"] if a["state"] == "triggered"], 20, "PagerDuty has the alert")
    eventually(lambda: [m for m in product.received()["messages"] if m["service"] == "slack"], 20, "Slack has the message")
    receiver.goto(f"{product.demo}/messages")
    expect(receiver.get_by_role("cell", name=re.compile(f"{NODE} failed 3 checks in a row"))).to_be_visible()

    switches.goto(product.demo)
    switches.locator("li", has_text=NODE).get_by_role("button", name="healthy").click()

    expect(pool.locator(".name")).to_contain_text("healthy", timeout=PATIENCE)
    expect(row).to_contain_text("30 %", timeout=PATIENCE)
    expect(page.locator("#incidents")).to_contain_text("None open", timeout=PATIENCE)
    expect(page.locator("#headline")).to_contain_text("All 3 pools are served", timeout=PATIENCE)
    assert page.evaluate("window.neverReloaded") is True
    eventually(lambda: all(a["state"] == "resolved" for a in product.received()["alerts"]), 20, "the alert is resolved")
    triggers = [m for m in product.received()["messages"] if m["service"] == "pagerduty" and m["action"] == "trigger"]
    assert len(triggers) == 1


def test_draining_from_the_node_page_moves_the_share_and_says_who(page: Page, product: Product) -> None:
    page.get_by_role("link", name="model-a", exact=True).first.click()
    page.get_by_role("button", name="Drain…").click()
    expect(page.locator("dialog[open]")).to_contain_text("from model-a")
    page.get_by_label("Reason").fill("new kernel")
    page.get_by_role("button", name="Drain", exact=True).click()

    expect(page.get_by_text("admin set model-a from enabled to draining: new kernel").first).to_be_visible(timeout=PATIENCE)
    share = "SELECT share FROM nodes_nodestate s JOIN nodes_node n ON n.id = s.node_id WHERE n.name = 'model-a'"
    assert product.rows(share)[0]["share"] == 0

    page.get_by_role("button", name="Enable…").click()
    page.get_by_role("button", name="Enable", exact=True).click()
    expect(page.locator("#messages")).to_contain_text("model-a: Enabled", timeout=PATIENCE)
    eventually(lambda: product.rows(share)[0]["share"] > 3000, 20, "the share is back")


@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_scrolls_sideways(page: Page, product: Product, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("/", "/pools/api/", "/nodes/1/", "/incidents/", "/events/", "/reports/", "/alerts/", "/alerts/destinations/"):
        page.goto(product.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_an_action_that_comes_to_nothing_says_so(page: Page, product: Product) -> None:
    assert page.context.browser is not None
    apart = page.context.browser.new_context(storage_state=page.context.storage_state())
    other = apart.new_page()  # what Chromium itself logs of a refused answer is no fault here
    other.goto(product.address)
    other.locator("#action-pause").click()
    other.get_by_label("Reason").fill("a freeze")
    with psycopg.connect(database_url(product.directory)) as keeper:
        keeper.execute("SELECT 1 FROM nodes_fleetstate FOR UPDATE")
        other.get_by_role("button", name="Pause all automation").click()
        expect(other.locator("dialog[open]")).to_contain_text("nothing was done; try again", timeout=PATIENCE)
    expect(other.get_by_label("Reason")).to_have_value("a freeze")
    apart.set_offline(True)
    other.get_by_role("button", name="Pause all automation").click()
    expect(other.locator("#messages")).to_contain_text("The console did not answer: see whether it was done", timeout=PATIENCE)
    apart.close()
    assert product.rows("SELECT paused FROM nodes_fleetstate") == [{"paused": None}]
