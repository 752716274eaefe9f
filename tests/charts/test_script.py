"""The tooltip by pointer and by keys, and the PNG, in a real browser under the policy of the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, sync_playwright

from nodes.charts import hatch, heat_map, shares_band, standalone
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.charts.examples import HOUR, ORDER, PINS, SEGMENTS, heat_rows

pytestmark = [pytest.mark.browser]

SCRIPT = Path(settings.BASE_DIR) / "failover_console" / "static" / "chart.js"
SITE = "http://charts.test"
POLICY = "; ".join(f"{name} {' '.join(values)}" for name, values in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items())
BAND = shares_band(SEGMENTS, ORDER, HOUR, subject="api", pins=PINS)
HTML = "<!doctype html><meta charset=utf-8><a href=/band.svg data-png=api.png>PNG</a>{}<script type=module src=/chart.js></script>"


def _answer(route: Route) -> None:
    rows, days = heat_rows(3, 5)
    bodies = {
        "/": ("text/html", HTML.format(hatch() + BAND.svg + heat_map(rows, days).svg)),
        "/chart.js": ("text/javascript", SCRIPT.read_text()),
        "/band.svg": ("image/svg+xml", standalone(BAND, title="Shares of api", subtitle="1 h")),
    }
    kind, body = bodies[route.request.url.removeprefix(SITE)]
    route.fulfill(body=body, content_type=kind, headers={"Content-Security-Policy": POLICY})


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route(f"{SITE}/**", _answer)
        page.goto(f"{SITE}/")
        yield page
        browser.close()
        assert complaints == []


def _tip(page: Page) -> str:
    return page.locator(".tip").inner_text().replace("\u00a0", " ")


def test_the_pointer_reads_the_segment_under_it(page: Page) -> None:
    box = page.locator("svg.band").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 100)

    assert _tip(page).startswith("2026-11-27T01:38:00Z")
    assert "mara changed a weight" in _tip(page)


def test_the_tooltip_leaves_with_the_pointer(page: Page) -> None:
    page.locator("svg.band").hover()
    page.mouse.move(1, 699)

    assert page.locator(".tip").is_hidden()


def test_arrow_keys_walk_from_the_newest_on(page: Page) -> None:
    page.locator("[data-png]").focus()
    page.keyboard.press("Tab")
    assert "api-1 57.1 %" in _tip(page)
    page.keyboard.press("ArrowLeft")
    assert "api-1 40 %" in _tip(page)
    for _ in range(5):
        page.keyboard.press("ArrowLeft")

    assert "api-1 44.4 %" in _tip(page)
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()


def test_in_a_heat_map_they_walk_over_rows_too(page: Page) -> None:
    page.keyboard.press("Shift")  # who uses keys gets the newest, who points what is pointed at
    page.locator("svg.heat").focus()
    assert "pool-2: 100 %" in _tip(page)
    page.keyboard.press("ArrowUp")

    assert "pool-1: not measured" in _tip(page)


def test_a_chart_is_saved_as_a_picture(page: Page) -> None:
    with page.expect_download() as waiting:
        page.click("[data-png]")
    saved = Path(waiting.value.path()).read_bytes()

    assert waiting.value.suggested_filename == "api.png"
    assert saved.startswith(b"\x89PNG")
    assert int.from_bytes(saved[16:20], "big") == 2400
