"""What a page says of itself: live, polling or old; in a browser, with the web process hung rather than dead."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.product import PASSWORD, Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PATIENCE = 30_000  # ms


def links(page: Page, state: str) -> None:
    expect(page.locator("html")).to_have_attribute("data-link", state, timeout=PATIENCE)


def test_a_page_whose_web_process_hangs_says_so_lets_nobody_act_and_comes_back(page: Page, product: Product) -> None:
    node = product.rows("SELECT id FROM nodes_node WHERE name = 'api-1'")[0]["id"]
    other = page.context.new_page()  # what Chromium itself logs of a lost connection is no fault here
    other.goto(f"{product.address}/nodes/{node}/")
    links(other, "live")
    page.goto("about:blank")
    stopped = [product.process.pid, *product.pids("uvicorn")]  # and the supervisor, which would begin another one
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        links(other, "polling")
        links(other, "not live")
        expect(other.locator("#stale")).to_be_visible()
        expect(other.locator("[data-link-word]").first).to_have_text("not live")
        other.locator("#action-drain").click()
        expect(other.locator("#messages")).to_contain_text("actions wait until the console answers")
        expect(other.locator("dialog")).to_have_count(0)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    links(other, "live")
    expect(other.locator("#stale")).to_be_hidden()


def test_times_are_in_the_readers_zone_and_say_utc_beside_it(browser: Browser, product: Product) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo")
    page = context.new_page()
    page.goto(f"{product.address}/accounts/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#headline")
    expect(page.locator("#clocks")).to_contain_text("here")
    when = page.locator("#events time").first
    zone = page.evaluate(
        "([at]) => new Date(at).toLocaleTimeString('en-GB', {timeZone: 'Asia/Tokyo'})", [when.get_attribute("datetime")]
    )
    expect(when).to_have_text(zone)
    assert "UTC" in str(when.get_attribute("title"))
    page.locator("#user-menu > summary").click()
    page.get_by_role("button", name="UTC", exact=True).click()
    page.wait_for_selector("html[data-zone=UTC]")
    instant = str(page.locator("#events time").first.get_attribute("datetime"))
    expect(page.locator("#events time").first).to_have_text(instant[11:19])
    context.close()


def test_the_keys_go_anywhere_search_and_list_themselves(page: Page, product: Product) -> None:
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_contain_text("Go to any pool")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(page.locator("dialog[open] #q")).to_be_focused()
    page.keyboard.type("model-b")
    expect(page.locator("#places a").first).to_contain_text("model-b", timeout=PATIENCE)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/nodes/*/")
    expect(page.locator("h1")).to_contain_text("model-b")
    page.keyboard.press("Control+k")
    expect(page.locator("dialog[open] #q")).to_be_focused()
    page.keyboard.type("drain model-b")
    expect(page.locator("#places a").first).to_contain_text("Drain model-b", timeout=PATIENCE)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("Drain model-b?")
    page.keyboard.press("Escape")
    assert product.rows("SELECT count(*) AS n FROM nodes_nodestate WHERE admin_state <> 'enabled'")[0]["n"] == 0


def test_a_theme_is_kept_and_the_system_rules_again_when_it_is_taken_back(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#user-menu > summary").click()
    page.get_by_role("button", name="dark", exact=True).click()
    page.wait_for_selector("html[data-theme=dark]")
    eventually(lambda: page.evaluate(ground) != light, 5, "the page is dark")
    page.locator("#user-menu > summary").click()
    page.get_by_role("button", name="as the system", exact=True).click()
    page.wait_for_selector("html:not([data-theme])")
    assert page.evaluate(ground) == light
