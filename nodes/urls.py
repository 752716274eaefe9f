"""Addresses of pages, their actions and the API; heartbeats go to `nodes.receiver`."""

from __future__ import annotations

from django.urls import path

from nodes.views import (
    actions,
    api,
    bulk,
    check_test,
    dashboard,
    events,
    fleet_actions,
    goto,
    incidents,
    node,
    outcomes,
    pool,
    reports,
    styleguide,
)

app_name = "nodes"
urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("together/", bulk.bulk_action, name="bulk_action"),
    path("nodes/<int:pk>/card/", dashboard.card, name="node_card"),
    path("goto/", goto.goto, name="goto"),
    path("keys/", goto.keys, name="keys"),
    path("styleguide/", styleguide.styleguide, name="styleguide"),
    path("automation/", fleet_actions.automation_action, name="automation_action"),
    path("checkers/believe/", fleet_actions.believe_checker, name="believe_checker"),
    path("pools/<slug:slug>/", pool.pool, name="pool"),
    path("pools/<slug:slug>/charts/<slug:chart>.svg", pool.pool_svg, name="pool_svg"),
    path("pools/<slug:slug>/charts/<slug:chart>/", pool.pool_table, name="pool_table"),
    path("pools/<slug:slug>/act/", actions.pool_action, name="pool_action"),
    path("nodes/<int:pk>/", node.node, name="node"),
    path("nodes/<int:pk>/charts/<slug:chart>.svg", node.node_svg, name="node_svg"),
    path("nodes/<int:pk>/charts/<slug:chart>/", node.node_table, name="node_table"),
    path("nodes/<int:pk>/act/", actions.node_action, name="node_action"),
    path("nodes/<int:pk>/test/", check_test.node_test, name="node_test"),
    path("failures/<int:pk>/", check_test.failure, name="failure"),
    path("events/", events.events, name="events"),
    path("events/<int:pk>/", events.event, name="event"),
    path("events.csv", events.events_csv, name="events_csv"),
    path("events.json", events.events_json, name="events_json"),
    path("incidents/", incidents.incidents, name="incidents"),
    path("incidents/<int:pk>/", incidents.incident, name="incident"),
    path("incidents/<int:pk>/decisions/", incidents.incident_decisions, name="incident_decisions"),
    path("incidents/<int:pk>/events/", incidents.incident_events, name="incident_events"),
    path("incidents/<int:pk>/acknowledge/", actions.acknowledge, name="acknowledge"),
    path("incidents/<int:pk>/note/", actions.add_note, name="incident_note"),
    path("incidents/<int:pk>/post-mortem/", incidents.post_mortem, name="post_mortem"),
    path("incidents/<int:pk>/post-mortem.md", incidents.post_mortem_file, name="post_mortem_file"),
    path("incidents/<int:pk>/shares.svg", incidents.incident_shares, name="incident_shares"),
    path("failovers/<int:pk>/", incidents.failover, name="failover"),
    path("reports/", reports.reports, name="reports"),
    path("reports.csv", reports.reports_csv, name="reports_csv"),
    path("reports.json", reports.reports_json, name="reports_json"),
    path("api/v1/pools/<slug:slug>/shares", api.shares, name="shares"),
    path("api/v1/nodes/<int:pk>/outcomes", outcomes.outcomes, name="outcomes"),
]
