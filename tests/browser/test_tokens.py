"""A token as its admin and its program meet it: made for one pool, rotated without a gap, its overlap ended, revoked."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Page

from tests.product import Product

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(300)]


def asked(product: Product, token: str, slug: str) -> tuple[int, str]:
    """Status and error of the API about a pool."""
    request = urllib.request.Request(f"{product.address}/api/v1/pools/{slug}/shares", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, str(json.load(error)["error"])


def shown_once(page: Page) -> str:
    found = re.search(r"fc_[0-9a-f]{16}_\S+", page.locator("#messages, .messagelist").first.inner_text())
    assert found
    return found[0]


def act(page: Page, product: Product, action: str) -> None:
    """One of the list's actions on the token named here."""
    page.goto(f"{product.address}/admin/nodes/apitoken/?q=edge")
    page.check("#result_list tbody input[type=checkbox]")
    page.select_option("select[name=action]", action)
    page.click("button[name=index]")
    page.click("button[name=apply]")


def test_a_token_is_bound_rotated_and_revoked(page: Page, product: Product) -> None:
    page.goto(f"{product.address}/admin/nodes/apitoken/add/")
    page.fill("#id_name", "edge proxies")
    page.check("input[name=scopes][value=shares]")
    pool = product.rows("SELECT id FROM nodes_pool WHERE slug = 'api'")[0]["id"]
    page.check(f"#id_pools input[value='{pool}']")
    page.click("input[name=_continue]")
    first = shown_once(page)
    assert asked(product, first, "api") == (200, "")
    assert asked(product, first, "models") == (403, "this bearer token is bound to other pools and not for this pool")

    page.click("text=Rotate…")
    page.check("text=in 24 hours")
    page.set_viewport_size({"width": 390, "height": 900})
    page.click("main button[type=submit]")
    second = shown_once(page)
    assert first != second
    assert [asked(product, each, "api")[0] for each in (first, second)] == [200, 200]
    page.reload()
    secrets = page.locator("section:has(#beside-secrets)").inner_text()
    assert first[:19] in secrets
    assert "from 127.0.0.1" in secrets
    assert second not in page.content()

    page.set_viewport_size({"width": 1440, "height": 900})
    act(page, product, "end_overlap")
    assert [asked(product, each, "api")[0] for each in (first, second)] == [401, 200]
    act(page, product, "revoke")
    assert asked(product, second, "api") == (401, "this bearer token is unknown, revoked or expired")
    told = [row["message"] for row in product.rows("SELECT message FROM nodes_event WHERE type = 'account_changed' ORDER BY id")]
    assert [each.partition(":")[0] for each in told if "edge" in each] == [
        "admin added API token edge proxies",
        "admin rotated (the former secret ends in 24 hours) API token edge proxies",
        "admin ended the former secret of API token edge proxies",
        "admin revoked API token edge proxies",
    ]
