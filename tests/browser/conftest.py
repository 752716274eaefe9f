"""A real Chromium and the running product, shared by the tests of a module: an open Playwright keeps an event loop running."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.product import PASSWORD, Product, eventually, running

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
REPLACED = ("htmx:afterRequest,", "htmx:sendAbort,")  # a request in whose place another one was sent; htmx calls that an error
LEFT = "[object Event]"  # a socket whose page was left before it was open; one that is refused says so in another line as well
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("--demo") as product:
        healthy = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy'"
        eventually(lambda: product.rows(healthy)[0]["n"] == 9, 60, "all demo nodes are healthy")
        product.let_nothing_flap()
        yield product


@pytest.fixture
def page(browser: Browser, product: Product) -> Iterator[Page]:
    """A page of a person who is logged in as admin; a refused style, script or address fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(product.address)
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#headline")
    yield page
    context.close()
    assert [each for each in complaints if not each.startswith(REPLACED) and each != LEFT] == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what its page read, and what the console had written."""
    report = yield
    asked: dict[str, Any] = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed:
        if "page" in asked:
            report.sections.append((f"page {asked['page'].url}", asked["page"].locator("body").inner_text()))
        if "product" in asked:
            report.sections.append(("console", asked["product"].log.read_text()[-2000:]))
    return report
