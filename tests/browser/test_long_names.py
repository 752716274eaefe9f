"""A name of eighty letters without a space widens no page, whatever it is the name of."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.places import FIXED
from tests.product import PASSWORD, Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.timeout(600)]

WIDTHS = (1440, 390, 320)
RENAME = (
    "UPDATE nodes_pool SET name = rpad('Pool' || id, 80, 'W'), slug = rpad('pool' || id, 80, 'w')",
    "UPDATE nodes_node SET name = rpad('Node' || id, 80, 'W'), zone = repeat('Z', 80), tags = tags || ARRAY[repeat('t', 40)]",
    "UPDATE nodes_failoverpolicy SET name = rpad('Policy' || id, 80, 'W')",
    "UPDATE nodes_breakerpolicy SET name = rpad('Policy' || id, 80, 'W')",
    "UPDATE nodes_apitoken SET name = rpad('Token' || id, 80, 'W')",
    "UPDATE alerts_destination SET name = rpad('Destination' || id, 80, 'W')",
    "UPDATE auth_user SET username = rpad('admin', 80, 'W') WHERE username = 'admin'",
    "UPDATE alerts_rule SET name = rpad('Rule' || id, 80, 'W')",
    "UPDATE nodes_fleetstate SET version = version + 1, config_version = config_version + 1",
)
# The newest of each kind: its names are long ones.
QUERIES = {
    "pool": "SELECT '/pools/' || slug || '/' AS at FROM nodes_pool WHERE id = %s",
    "pool-what-if": "SELECT '/pools/' || slug || '/?lost=' || (SELECT min(id) FROM nodes_node) AS at FROM nodes_pool WHERE id = %s",
    "pool-chart": "SELECT '/pools/' || slug || '/charts/shares/' AS at FROM nodes_pool WHERE id = %s",
    "pool-pause": "SELECT '/pools/' || slug || '/act/?action=pause' AS at FROM nodes_pool WHERE id = %s",
    "node": "SELECT '/nodes/' || max(id) || '/' AS at FROM nodes_node WHERE pool_id = %s",
    "node-failed": "SELECT '/nodes/' || min(node_id) || '/' AS at FROM nodes_nodestate WHERE health = 'failed' AND pool_id = %s",
    "node-drain": "SELECT '/nodes/' || max(id) || '/act/?action=drain' AS at FROM nodes_node WHERE pool_id = %s",
    "node-test": "SELECT '/nodes/' || max(id) || '/test/' AS at FROM nodes_node WHERE pool_id = %s",
    "failure": "SELECT '/failures/' || max(id) || '/' AS at FROM nodes_failure WHERE %s > 0",
    "events-of-pool": "SELECT '/events/?pool=' || slug AS at FROM nodes_pool WHERE id = %s",
    "incident": "SELECT '/incidents/' || max(id) || '/' AS at FROM nodes_incident WHERE pool_id = %s",
    "post-mortem": "SELECT '/incidents/' || max(id) || '/post-mortem/' AS at FROM nodes_incident WHERE pool_id = %s",
    "decision": "SELECT '/failovers/' || max(id) || '/' AS at FROM nodes_failover WHERE pool_id = %s",
    "event": "SELECT '/events/' || max(id) || '/' AS at FROM nodes_event WHERE node_id IS NOT NULL AND pool_id = %s",
    "notification": "SELECT '/alerts/' || max(n.id) || '/' AS at FROM alerts_notification n WHERE %s > 0",
    "admin-node": "SELECT '/admin/nodes/node/' || max(id) || '/change/' AS at FROM nodes_node WHERE pool_id = %s",
    "admin-node-remove": "SELECT '/admin/nodes/node/' || max(id) || '/delete/' AS at FROM nodes_node WHERE pool_id = %s",
    "admin-node-edits": "SELECT '/admin/nodes/node/' || max(id) || '/history/' AS at FROM nodes_node WHERE pool_id = %s",
    "admin-pool": "SELECT '/admin/nodes/pool/' || id || '/change/' AS at FROM nodes_pool WHERE id = %s",
    "admin-policy": "SELECT '/admin/nodes/failoverpolicy/' || min(id) || '/change/' AS at FROM nodes_failoverpolicy WHERE %s > 0",
    "admin-destination": "SELECT '/admin/alerts/destination/' || min(id) || '/change/' AS at FROM alerts_destination WHERE %s > 0",
    "admin-rule": "SELECT '/admin/alerts/rule/' || min(id) || '/change/' AS at FROM alerts_rule WHERE %s > 0",
    "admin-user": "SELECT '/admin/auth/user/' || max(id) || '/change/' AS at FROM auth_user WHERE %s > 0",
    "admin-token": "SELECT '/admin/nodes/apitoken/' || max(id) || '/change/' AS at FROM nodes_apitoken WHERE %s > 0",
    "admin-token-rotate": "SELECT '/admin/nodes/apitoken/' || max(id) || '/rotate/' AS at FROM nodes_apitoken WHERE %s > 0",
}  # fmt: skip  # a table
MORE = {
    "dashboard-searched": "/?text=Node", "goto-long": f"/goto/?q={'W' * 80}", "admin-events": "/admin/nodes/event/",
    "admin-incidents": "/admin/nodes/incident/", "admin-failovers": "/admin/nodes/failover/",
    "admin-notifications": "/admin/alerts/notification/", "admin-groups": "/admin/auth/group/",
}  # fmt: skip  # few lines


STICKS_OUT = """() => [...document.querySelectorAll('body *')].filter(each => {
  for (let up = each.parentElement; up; up = up.parentElement)
    if (getComputedStyle(up).overflowX !== 'visible') return false;
  return each.getBoundingClientRect().right > innerWidth + 1;
}).slice(-3).map(each => `${each.tagName}.${each.className} in ${each.parentElement.tagName}.${each.parentElement.className}`)"""


def rename(product: Product) -> int:
    """Long names everywhere, then a failure, so that events, messages and incidents have them; the number of its pool."""
    failing = product.rows("SELECT pool_id FROM nodes_node WHERE name = 'api-2'")[0]
    for statement in RENAME:
        product.do(statement)
    product.switch("api-2", "refuse")
    told = "SELECT count(*) AS n FROM alerts_notification WHERE incident_id IS NOT NULL"
    eventually(lambda: product.rows(told)[0]["n"], 60, "a failover with its message")
    product.do("UPDATE nodes_event SET actor = rpad('admin', 80, 'W') WHERE actor <> 'engine'")
    return int(failing["pool_id"])


def places(product: Product, pool: int) -> dict[str, str]:
    """Name and path of every page, of those about one thing one with long names."""
    return {**FIXED, **MORE, **{name: str(product.rows(query, pool)[0]["at"]) for name, query in QUERIES.items()}}


def wide(page: Page, address: str) -> list[str]:
    """The widths at which the page is wider than the window, with what sticks out."""
    page.goto(address)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{width}: {page.evaluate(STICKS_OUT)}")
    return found


def test_no_page_is_widened_by_a_name(browser: Browser, product: Product) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{product.address}/accounts/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_selector("#headline")
    pool = rename(product)
    found = {name: wide(page, product.address + path) for name, path in places(product, pool).items()}
    context.close()
    assert {name: sticks for name, sticks in found.items() if sticks} == {}
