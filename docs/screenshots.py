"""Makes the pictures of every page from the running demo, one of whose nodes has failed: wide and narrow, light and dark.

usage: .venv/bin/python docs/screenshots.py [name of a page ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402 - after the path

from tests.browser.conftest import ARGUMENTS, CHROMIUM  # noqa: E402 - after the path
from tests.browser.places import places  # noqa: E402 - after the path
from tests.product import PASSWORD, Product, eventually, running  # noqa: E402 - after the path

PICTURES = ROOT / "docs" / "pictures"
WIDTHS = {1440: 900, 390: 844}
MOST = 250 * 1024  # bytes of a picture


def main() -> None:
    with running("--demo") as product, sync_playwright() as playwright:
        healthy = "SELECT count(*) AS n FROM nodes_nodestate WHERE health = 'healthy' AND length(recent) > 30"
        eventually(lambda: product.rows(healthy)[0]["n"] == 9, 300, "all demo nodes are healthy for a while")
        product.switch("api-2", "refuse")
        notified = "SELECT count(*) AS n FROM alerts_notification WHERE status = 'delivered'"
        eventually(lambda: product.rows(notified)[0]["n"] > 1, 90, "somebody was notified")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        shown = {name: path for name, path in places(product).items() if name in sys.argv[1:] or not sys.argv[1:]}
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                _look(browser, product, shown, width, scheme)
        browser.close()


def _look(browser: Browser, product: Product, shown: dict[str, str], width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)  # type: ignore[arg-type]  # its two words
    page.goto(f"{product.address}/accounts/login/")
    page.screenshot(path=PICTURES / f"login-{width}-{scheme}.png")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#headline")
    for name, path in shown.items():
        page.goto(product.address + path)
        page.wait_for_load_state("networkidle") if path.startswith("/admin") else page.wait_for_timeout(1200)
        picture = PICTURES / f"{name}-{width}-{scheme}.png"
        page.screenshot(path=picture)
        print(f"{picture.relative_to(ROOT)} {picture.stat().st_size // 1024} KB")
        assert picture.stat().st_size <= MOST, picture
    page.close()


if __name__ == "__main__":
    main()
