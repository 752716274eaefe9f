"""The pool's page: who serves and why, what would happen, the charts and their files; and that what-if is what then happens."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.test import Client
from django.urls import reverse

from nodes import operations
from nodes.engine.enums import Verdict
from nodes.models import FailoverPolicy, Node, NodeState, Pool
from nodes.series import Range
from tests.pages import fleet

CHARTS = {"HX-Request": "true", "HX-Target": "charts"}
REFUSES = (Verdict.FAIL, "connection refused")


def text(client: Client, address: str, **asked: object) -> str:
    """The words of the page, with plain spaces."""
    body = client.get(address, asked).content.decode()
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split())).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def pool(db: None, now: datetime) -> Pool:
    made = fleet.pool("Models", "models", ["m-1", "m-2", "m-3", "m-4"], now)
    Node.objects.filter(name="m-1").update(weight=300)
    fleet.rounds(made, now - timedelta(seconds=10), 2)
    return made


def ids(*names: str) -> list[int]:
    return list(Node.objects.filter(name__in=names).order_by("pk").values_list("pk", flat=True))


def shares() -> dict[str, int]:
    return dict(NodeState.objects.values_list("node__name", "share"))


# What if -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "lost"),
    [
        ({}, ("m-2",)),
        ({}, ("m-1", "m-3")),
        ({}, ("m-1", "m-2", "m-3", "m-4")),
        ({"max_failed_percent": 34}, ("m-1", "m-2")),
        ({"panic_threshold": 0.6}, ("m-1", "m-2")),
        ({"cooldown": 300.0}, ("m-2", "m-3")),
    ],
)
def test_it_is_what_then_really_happens(
    viewer: Client, pool: Pool, now: datetime, policy: dict[str, Any], lost: tuple[str, ...]
) -> None:
    FailoverPolicy.objects.update(**policy)
    answer = viewer.get(pool.get_absolute_url(), {"lose": ids(*lost)}).context["what_if"].verdict
    then = re.findall(r"([\w-]+) ([\d.]+)\s%", re.search(r'aria-label="Shares: ([^"]*)"', answer.then)[1])  # type: ignore[index]
    fleet.rounds(pool, now, 3, dict.fromkeys(lost, REFUSES))
    happened = {name: f"{share / 100:.1f}".removesuffix(".0") for name, share in shares().items() if share}
    assert dict(then) == happened
    stays = any(shares()[name] for name in lost)
    assert answer.bold == ("Users would be hit." if stays else "All would be served.")
    assert bool(answer.refusal) == stays


def test_it_says_which_guard_stops_it(viewer: Client, pool: Pool) -> None:
    FailoverPolicy.objects.update(max_failed_percent=34)
    shown = text(viewer, pool.get_absolute_url(), lose=ids("m-1", "m-2"))
    assert "limit on failed nodes would block it: 2 of 4 nodes would be out, the limit is 34 %" in shown
    assert "would stay on m-2 until somebody overrides the limit on failed nodes" in shown


def test_it_says_what_the_rest_would_carry(viewer: Client, pool: Pool) -> None:
    Node.objects.update(capacity=100.0)
    NodeState.objects.update(load={"last": 100.0, "high": 0})
    shown = text(viewer, pool.get_absolute_url(), lose=ids("m-1"))
    assert "and that is too much: m-2 at 133 %" in shown
    NodeState.objects.update(load={"last": 20.0, "high": 0})
    assert "the busiest at 27 % of its capacity" in text(viewer, pool.get_absolute_url(), lose=ids("m-1"))


def test_losing_nobody_and_losing_strangers(viewer: Client, pool: Pool) -> None:
    for asked in (["x"], ["999999999"], ["9" * 40], ["-1"]):
        page = viewer.get(pool.get_absolute_url(), {"lose": asked})
        assert page.status_code == 200
        assert page.context["what_if"].verdict is None


def test_ticks_stay_in_the_form_for_browsers_without_script(viewer: Client, pool: Pool) -> None:
    lost = ids("m-2")[0]
    body = viewer.get(pool.get_absolute_url(), {"lose": lost, "range": "7d"}).content.decode()
    assert re.search(rf'<input type="checkbox" name="lose" value="{lost}" id="lose-{lost}" checked>', body)
    assert '<input type="hidden" name="range" id="range" value="7d">' in body


# Head, figures, nodes -------------------------------------------------------------------------------------------------


def test_the_head_says_who_serves_and_what_is_waited_for(viewer: Client, api: Pool) -> None:
    shown = text(viewer, api.get_absolute_url())
    assert "Public API degraded Served by api-1, api-3 and api-4. api-2 failed" in shown
    assert "ago (connection refused); it is back after 2 good checks." in shown


def test_traffic_on_a_dead_node_is_said_first(viewer: Client, pool: Pool, now: datetime) -> None:
    operations.pause(pool.pk, actor="alice", reason="change freeze", until=None)
    fleet.rounds(pool, now - timedelta(seconds=15), 3, {"m-1": REFUSES})
    shown = text(viewer, pool.get_absolute_url())
    assert "Served by m-2, m-3 and m-4. 50 % is still sent to m-1." in shown
    assert "paused by alice: change freeze" in shown


def test_the_figures(viewer: Client, api: Pool) -> None:
    found = viewer.get(api.get_absolute_url()).context["figures"]
    assert (found.eligible, found.enabled, found.reserve) == (3, 4, "any one of them may fail")
    assert re.fullmatch(r"\d+\.\d\ss after the first bad check", found.switch)


def test_who_is_out_is_last_and_not_numbered(viewer: Client, api: Pool) -> None:
    members = viewer.get(api.get_absolute_url()).context["members"].shown
    assert [(each.node.name, each.place, each.out) for each in members] == [
        ("api-1", 1, False),
        ("api-3", 2, False),
        ("api-4", 3, False),
        ("api-2", None, True),
    ]
    assert [each.share.change for each in members] == [
        "+8.3\N{NO-BREAK SPACE}%",
        "+8.3\N{NO-BREAK SPACE}%",
        "+8.3\N{NO-BREAK SPACE}%",
        "\N{MINUS SIGN}25\N{NO-BREAK SPACE}%",
    ]


def test_a_countdown_stands_beside_an_open_breaker(viewer: Client, api: Pool, failed: Node) -> None:
    NodeState.objects.filter(node=failed).update(health="healthy", fails=0)
    body = viewer.get(api.get_absolute_url()).content.decode()
    assert re.search(rf'id="node-{failed.pk}-breaker">.*?trial in <time [^>]*data-until', body, re.DOTALL)


def test_only_operators_see_buttons_and_only_staff_edits(viewer: Client, operator: Client, admin_client: Client, api: Pool) -> None:
    address = api.get_absolute_url()
    assert "<button" not in re.sub(
        r"(?s)<header class=\"top\">.*?</header>|<noscript>.*?</noscript>", "", viewer.get(address).content.decode()
    )
    assert 'value="rebalance"' in operator.get(address).content.decode()
    assert "add node" not in operator.get(address).content.decode()
    assert f'href="/admin/nodes/node/add/?pool={api.pk}"' in admin_client.get(address).content.decode()


# Charts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", list(Range))
def test_each_range_has_its_charts_and_says_so(viewer: Client, api: Pool, span: Range) -> None:
    body = viewer.get(api.get_absolute_url(), {"range": span}).content.decode()
    assert re.search(rf'id="range-{span}"[^>]*aria-current="true"', body)
    assert body.count('aria-current="true"') == 1
    assert viewer.get(api.get_absolute_url(), {"range": "12 parsecs"}).context["charts"].range is Range.HOUR


def test_the_failover_is_pinned_with_cause_guards_and_epoch(viewer: Client, api: Pool) -> None:
    chart = viewer.get(api.get_absolute_url()).context["charts"].shares
    assert "api-2 failed, its 25\N{NO-BREAK SPACE}% moved in" in chart.svg
    assert "all 6 guards passed · automation · epoch" in chart.svg
    assert "at first" in chart.label


def test_what_a_person_did_is_pinned_to_the_person(viewer: Client, api: Pool, healthy: Node) -> None:
    operations.fail_over(healthy.pk, actor="mara", reason="kernel")
    chart = viewer.get(api.get_absolute_url()).context["charts"].shares
    assert "mara set api-1 to draining" in chart.svg
    assert "pin-hand" in chart.svg


def test_the_charts_alone_are_asked_for_by_script(viewer: Client, api: Pool) -> None:
    body = viewer.get(api.get_absolute_url(), {"range": "6h"}, headers=CHARTS).content.decode()
    assert {'id="shares"', 'id="latency"', 'id="what-if"'} <= set(re.findall(r'id="[\w-]+"', body))
    assert "<html" not in body
    assert 'id="members"' not in body
    assert viewer.get(reverse("nodes:pool", args=["none"]), headers=CHARTS).status_code == 404


@pytest.mark.parametrize("chart", ["shares", "latency"])
@pytest.mark.parametrize("theme", ["", "dark"])
def test_charts_are_files_that_need_nothing_else(viewer: Client, api: Pool, chart: str, theme: str) -> None:
    answer = viewer.get(reverse("nodes:pool_svg", args=[api.slug, chart]), {"range": "24h", "theme": theme})
    assert answer["Content-Type"] == "image/svg+xml"
    assert f'filename="{api.slug}-{chart}-24h.svg"' in answer["Content-Disposition"]
    document = answer.content.decode()
    assert ET.fromstring(document).tag == "{http://www.w3.org/2000/svg}svg"
    outside = re.sub(r'xmlns="[^"]*"', "", document)
    assert "http" not in outside
    assert "href" not in outside
    assert "url(#hatch)" in outside or "url(" not in outside


def test_the_table_behind_a_chart(viewer: Client, api: Pool) -> None:
    shown = text(viewer, reverse("nodes:pool_table", args=[api.slug, "shares"]))
    assert "Shares over time of Public API" in shown
    assert "api-1 api-2 api-3 api-4" in shown
    assert "33.3 % 0 % 33.3 % 33.3 %" in shown
    for name in ("range", "svg", "nothing"):
        assert viewer.get(reverse("nodes:pool_table", args=[api.slug, name])).status_code == 404
        assert viewer.get(reverse("nodes:pool_svg", args=[api.slug, name])).status_code == 404


# Cost -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [2, 60])
def test_a_page_asks_eight_times_whatever_the_size(
    viewer: Client, now: datetime, nodes: int, django_assert_max_num_queries: Any
) -> None:
    made = fleet.pool("Big", "big", [f"b-{number}" for number in range(nodes)], now)
    fleet.rounds(made, now - timedelta(seconds=10), 2)
    viewer.get(made.get_absolute_url())  # what is kept for some seconds is read by the first
    with django_assert_max_num_queries(8):
        viewer.get(made.get_absolute_url())
