"""Addresses of pages, their actions, the API and the heartbeats of nodes."""

from __future__ import annotations

from django.urls import path

from nodes.views import actions, api, dashboard, events, fleet_actions, incidents, node, outcomes, pool, reports

app_name = "nodes"
urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("automation/", fleet_actions.automation_action, name="automation_action"),
    path("checkers/believe/", fleet_actions.believe_checker, name="believe_checker"),
    path("pools/<slug:slug>/", pool.pool, name="pool"),
    path("pools/<slug:slug>/act/", actions.pool_action, name="pool_action"),
    path("nodes/<int:pk>/", node.node, name="node"),
    path("nodes/<int:pk>/act/", actions.node_action, name="node_action"),
    path("events/", events.events, name="events"),
    path("incidents/", incidents.incidents, name="incidents"),
    path("incidents/<int:pk>/", incidents.incident, name="incident"),
    path("incidents/<int:pk>/decisions/", incidents.incident_decisions, name="incident_decisions"),
    path("incidents/<int:pk>/events/", incidents.incident_events, name="incident_events"),
    path("incidents/<int:pk>/acknowledge/", actions.acknowledge, name="acknowledge"),
    path("failovers/<int:pk>/", incidents.failover, name="failover"),
    path("reports/", reports.reports, name="reports"),
    path("reports.csv", reports.reports_csv, name="reports_csv"),
    path("reports.json", reports.reports_json, name="reports_json"),
    path("api/v1/pools/<slug:slug>/shares", api.shares, name="shares"),
    path("api/v1/nodes/<int:pk>/outcomes", outcomes.outcomes, name="outcomes"),
    path("push/<int:pk>/<str:secret>/", api.push, name="push"),
]
