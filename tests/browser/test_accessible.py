"""axe-core finds nothing on any page, wide and narrow, light and dark; nothing scrolls sideways or asks outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Request

from tests.browser.places import places
from tests.product import PASSWORD, Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(600)]

NODE = "api-2"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
COLOURS = ["color-contrast", "link-in-text-block"]
WIDTHS = (1440, 820, 390, 320)


@pytest.fixture(scope="module")
def failing(product: Product) -> Product:
    """One node has failed and its share has moved: every kind of page has something to show."""
    product.switch(NODE, "refuse")
    moved = "SELECT count(*) AS n FROM nodes_event WHERE type = 'failover_completed'"
    eventually(lambda: product.rows(moved)[0]["n"], 60, "the failover is complete")
    eventually(lambda: product.rows("SELECT count(*) AS n FROM alerts_notification")[0]["n"], 30, "somebody was notified")
    return product


@pytest.fixture(params=(1440, 390))
def looking(request: pytest.FixtureRequest, browser: Browser, failing: Product) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": request.param, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{failing.address}/accounts/login/")
    assert _violations(page) == []
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#headline")
    yield page
    context.close()


def _violations(page: Page) -> list[str]:
    """By every rule in the first scheme, by those of colours alone in the others: nothing else of a page differs."""
    page.evaluate(AXE_SCRIPT)
    page.add_style_tag(content="* { transition: none !important; }")  # a colour on its way is none of the scheme's
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        which = {"resultTypes": ["violations"]} | ({} if scheme == SCHEMES[0] else {"runOnly": COLOURS})
        answer: dict[str, Any] = page.evaluate("which => axe.run(document, which)", which)
        found += [
            f"{scheme}: {each['id']}: {node['target']} {node['failureSummary']}"
            for each in answer["violations"]
            for node in each["nodes"]
        ]
    return found


def test_axe_finds_nothing_on_any_page(looking: Page, failing: Product) -> None:
    found = {}
    for name, path in places(failing).items():
        looking.goto(failing.address + path)
        if violations := _violations(looking):
            found[name] = violations
    assert found == {}


def test_no_page_scrolls_sideways_reports_a_broken_policy_or_asks_outside(browser: Browser, failing: Product) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    here = ""
    page.on("console", lambda message: complaints.append(f"{here} {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(f"{here} {error}"))

    def outside(request: Request) -> None:
        if urlsplit(request.url).scheme != "data" and not request.url.startswith(failing.address):
            complaints.append(f"{here} asks {request.url}")

    page.on("request", outside)
    page.goto(f"{failing.address}/accounts/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#headline")
    wide = []
    for name, path in places(failing).items():
        here = name
        page.goto(failing.address + path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append(f"{name} at {width}")
    context.close()
    missing = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    assert [each for each in complaints if each != f"not-found {missing}"] == []
    assert wide == []
