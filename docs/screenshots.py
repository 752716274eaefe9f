"""Makes the pictures of the README from the running product: a demo node fails, and Chromium looks.

usage: .venv/bin/python docs/screenshots.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright  # noqa: E402 - after the path

from tests.browser.conftest import ARGUMENTS, CHROMIUM  # noqa: E402 - after the path
from tests.product import PASSWORD, eventually, running  # noqa: E402 - after the path

PICTURES = ROOT / "docs" / "pictures"


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with running("--demo") as product, sync_playwright() as playwright:
        healthy = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND length(recent) > 12"
        eventually(lambda: product.rows(healthy)[0]["n"] == 9, 120, "all demo nodes are healthy for a while")
        product.switch("api-2", "refuse")
        completed = "SELECT count(*) AS n FROM nodes_event WHERE type = 'failover_completed'"
        eventually(lambda: product.rows(completed)[0]["n"], 60, "the failover is complete")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme=scheme)  # type: ignore[arg-type]  # its two words
            page.goto(product.address)
            page.fill("#id_username", "admin")
            page.fill("#id_password", PASSWORD)
            page.click("main button[type=submit]")
            page.wait_for_selector("#headline")
            page.get_by_text("live", exact=True).wait_for()
            page.screenshot(path=PICTURES / f"dashboard-{scheme}.png")
            page.locator("#incidents h3 a").first.click()
            page.get_by_text("gives its share").wait_for()
            page.screenshot(path=PICTURES / f"decision-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
