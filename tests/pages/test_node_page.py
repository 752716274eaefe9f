"""The node's page: its state and why, countdowns, charts, checks, breaker and uptime; also once it is removed."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nodes import operations
from nodes.engine.enums import Mode, Verdict
from nodes.models import Node, NodeState, Pool
from nodes.series import Range
from tests.pages import fleet
from tests.pages.test_pool_page import text


def test_the_head_says_what_it_is_and_why(viewer: Client, failed: Node) -> None:
    shown = text(viewer, failed.get_absolute_url())
    assert "api-2 failed 0 % of the traffic. Failed for" in shown
    assert "failures in a row: connection refused" in shown


def test_a_node_below_its_limit_is_suspect(viewer: Client, api: Pool, healthy: Node, now: datetime) -> None:
    fleet.rounds(api, now, 1, {"api-1": (Verdict.FAIL, "timed out")})
    assert "api-1 suspect 33.3 % of the traffic." in text(viewer, healthy.get_absolute_url())


def test_the_next_check_and_the_end_of_forcing_count_down(viewer: Client, healthy: Node) -> None:
    until = timezone.now() + timedelta(hours=2)
    operations.force_breaker(healthy.pk, Mode.FORCED_OPEN, actor="mara", reason="bad disk", until=until)
    body = viewer.get(healthy.get_absolute_url()).content.decode()
    assert re.search(r'id="schedule"><span>Next check</span><b class="long"><time [^>]*data-until="now"', body)
    assert re.search(r"Its breaker is forced open; that ends in <time [^>]*data-until", body)
    shown = text(viewer, healthy.get_absolute_url())
    assert "Mode forced open by mara: bad disk; ends in" in shown
    assert "b-forced-open" in body
    assert "api-1 forced open 0 % of the traffic. Healthy but out of service." in shown


def test_that_it_flaps_is_said_in_words(viewer: Client, healthy: Node) -> None:
    assert "flapping" not in text(viewer, healthy.get_absolute_url()).partition("Check and policy")[0]
    now = timezone.now().timestamp()
    NodeState.objects.filter(node=healthy).update(
        flapping={"since": now - 400, "failed_at": now - 100, "failures": 4, "quiet_since": None}
    )
    assert "It is flapping: failed 4 times in 5 min." in text(viewer, healthy.get_absolute_url())
    quiet = {"since": now - 400, "failed_at": now - 100, "failures": 4, "quiet_since": now - 60}
    NodeState.objects.filter(node=healthy).update(flapping=quiet)
    assert "failed 4 times in 5 min; quiet since, over in 9 min." in text(viewer, healthy.get_absolute_url())
    NodeState.objects.filter(node=healthy).update(flapping={"since": "x"})
    assert "cannot be read" in text(viewer, healthy.get_absolute_url())


def test_the_strip_names_each_check(viewer: Client, failed: Node) -> None:
    body = viewer.get(failed.get_absolute_url()).content.decode()
    strip = re.search(r'<svg class="strip checks"[^>]*data-points="([^"]*)"', body)
    assert strip is not None
    stops = json.loads(unescape(strip[1]))
    assert len(stops) == 10
    assert stops[-1][3] == "fail"
    assert "connection refused" in stops[-1][4]
    assert "ms" in stops[0][4]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stops[-1][2])
    assert 'tabindex="0"' in strip[0]


def test_the_breaker_panel_has_its_history_and_its_buttons(viewer: Client, operator: Client, healthy: Node) -> None:
    operations.force_breaker(healthy.pk, Mode.FORCED_OPEN, actor="mara", reason="bad disk", until=None)
    page = viewer.get(healthy.get_absolute_url())
    assert [event.type for event in page.context["opens"]] == ["breaker_forced"]
    assert 'name="action"' not in page.content.decode()
    body = operator.get(healthy.get_absolute_url()).content.decode()
    panel = re.search(r'<section class="card" id="breaker".*?</section>', body, re.DOTALL)
    assert panel is not None
    assert 'value="release"' in panel[0]
    ids = re.findall(r' id="([^"]+)"', body)
    assert len(ids) == len(set(ids))


def test_uptime_over_the_usual_ranges(viewer: Client, failed: Node) -> None:
    page = viewer.get(failed.get_absolute_url())
    assert [over for over, _ in page.context["uptime"]] == [Range.DAY, Range.WEEK, Range.MONTH, Range.QUARTER]
    assert all(value is None or value < 1 for _, value in page.context["uptime"])


def test_overrides_are_told(viewer: Client, healthy: Node) -> None:
    assert "Its own, not" not in text(viewer, healthy.get_absolute_url())
    Node.objects.filter(pk=healthy.pk).update(interval=7.0, failure_threshold=9)
    shown = text(viewer, healthy.get_absolute_url())
    assert "Its own, not its pool's: interval 7.0 , failure threshold 9 ." in shown
    assert "A node is asked every 7 s ; it fails after 9 bad checks" in shown


@pytest.mark.parametrize("chart", ["latency", "availability"])
def test_its_charts_are_files_and_tables(viewer: Client, healthy: Node, chart: str) -> None:
    for span in Range:
        page = viewer.get(healthy.get_absolute_url(), {"range": span})
        assert re.search(rf'id="range-{span}"[^>]*aria-current="true"', page.content.decode())
    answer = viewer.get(reverse("nodes:node_svg", args=[healthy.pk, chart]), {"range": "7d"})
    assert answer["Content-Type"] == "image/svg+xml"
    assert "href" not in answer.content.decode()
    assert "of api-1" in text(viewer, reverse("nodes:node_table", args=[healthy.pk, chart]))
    part = viewer.get(healthy.get_absolute_url(), headers={"HX-Request": "true", "HX-Target": "charts"}).content.decode()
    assert f'id="{chart}"' in part
    assert "<html" not in part


def test_a_removed_node_keeps_its_history_and_has_no_buttons(operator: Client, failed: Node) -> None:
    operations.remove_node(failed.pk, actor="mara")
    page = operator.get(failed.get_absolute_url())
    shown = text(operator, failed.get_absolute_url())
    assert "This node was removed" in shown
    assert 'name="action"' not in page.content.decode()
    assert len(page.context["checks"].lines) == 10
    assert page.context["failures"]
    assert page.context["charts"].latency.svg


def test_a_page_asks_eight_times(
    viewer: Client, api: Pool, failed: Node, now: datetime, django_assert_max_num_queries: Any
) -> None:
    viewer.get(failed.get_absolute_url())  # what is kept for some seconds is read by the first
    with django_assert_max_num_queries(8):
        viewer.get(failed.get_absolute_url())
