"""Every page of the console that has an address of its own, found by the links of the running product and its database."""

from __future__ import annotations

from tests.product import Product

FIXED = {
    "dashboard": "/",
    "dashboard-cells": "/?show=cells",
    "incidents": "/incidents/",
    "events": "/events/",
    "alerts": "/alerts/",
    "destinations": "/alerts/destinations/",
    "reports": "/reports/",
    "styleguide": "/styleguide/",
    "goto": "/goto/?q=api",
    "keys": "/keys/",
    "account": "/accounts/",
    "password": "/accounts/password/",
    "not-found": "/no/such/page/",
    "admin": "/admin/",
    "admin-nodes": "/admin/nodes/node/",
    "admin-node-add": "/admin/nodes/node/add/",
    "admin-pools": "/admin/nodes/pool/",
    "admin-breaker-policies": "/admin/nodes/breakerpolicy/",
    "admin-failover-policies": "/admin/nodes/failoverpolicy/",
    "admin-destinations": "/admin/alerts/destination/",
    "admin-rules": "/admin/alerts/rule/",
    "admin-users": "/admin/auth/user/",
    "admin-tokens": "/admin/nodes/apitoken/",
    "admin-token-add": "/admin/nodes/apitoken/add/",
    "encryption-keys": "/admin/encryption-keys/",
}
_ONE = {
    "pool": ("SELECT '/pools/' || slug || '/' AS at FROM nodes_pool WHERE slug = 'api'"),
    "node": ("SELECT '/nodes/' || id || '/' AS at FROM nodes_node WHERE name = 'api-1'"),
    "node-failed": ("SELECT '/nodes/' || id || '/' AS at FROM nodes_node WHERE name = 'api-2'"),
    "node-test": ("SELECT '/nodes/' || id || '/test/' AS at FROM nodes_node WHERE name = 'api-1'"),
    "failure": ("SELECT '/failures/' || id || '/' AS at FROM nodes_failure ORDER BY id DESC LIMIT 1"),
    "incident": ("SELECT '/incidents/' || id || '/' AS at FROM nodes_incident ORDER BY id DESC LIMIT 1"),
    "decision": ("SELECT '/failovers/' || id || '/' AS at FROM nodes_failover ORDER BY id DESC LIMIT 1"),
    "event": ("SELECT '/events/' || id || '/' AS at FROM nodes_event ORDER BY id DESC LIMIT 1"),
    "post-mortem": ("SELECT '/incidents/' || id || '/post-mortem/' AS at FROM nodes_incident ORDER BY id DESC LIMIT 1"),
    "notification": ("SELECT '/alerts/' || id || '/' AS at FROM alerts_notification ORDER BY id DESC LIMIT 1"),
    "drain": ("SELECT '/nodes/' || id || '/act/?action=drain' AS at FROM nodes_node WHERE name = 'api-1'"),
    "admin-node": ("SELECT '/admin/nodes/node/' || id || '/change/' AS at FROM nodes_node WHERE name = 'api-2'"),
    "admin-token": ("SELECT '/admin/nodes/apitoken/' || max(id) || '/change/' AS at FROM nodes_apitoken"),
    "admin-token-rotate": ("SELECT '/admin/nodes/apitoken/' || max(id) || '/rotate/' AS at FROM nodes_apitoken"),
    "admin-pool": ("SELECT '/admin/nodes/pool/' || id || '/change/' AS at FROM nodes_pool WHERE slug = 'api'"),
}


def places(product: Product) -> dict[str, str]:
    """Name and path of each page; of pages about one thing the newest, so that a failure shows."""
    return FIXED | {name: str(product.rows(query)[0]["at"]) for name, query in _ONE.items()}
