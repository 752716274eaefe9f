"""The dashboard's list: what a filter shows, how pools are drawn, what lasts, the card of a node."""

from __future__ import annotations

import gzip
import re
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from nodes import operations
from nodes.engine.enums import AdminState, Mode, Verdict
from nodes.models import Incident, Node, NodeState, Pool
from nodes.screens.wanted import Wanted
from tests.pages import fleet

REFUSED = (Verdict.FAIL, "connection refused")


@pytest.fixture
def quiet(db: None, now: datetime) -> Pool:
    """Healthy, elsewhere, with a tag."""
    made = fleet.pool("Quiet", "quiet", ["q-1", "q-2"], now)
    fleet.rounds(made, now - timedelta(seconds=20), 3)
    Node.objects.filter(pool=made).update(zone="north", tags=["edge"])
    return made


def listed(client: Client, query: str = "") -> list[str]:
    """The pools of the list and of the wall, in order."""
    text = client.get(f"/?{query}").content.decode()
    text = text[text.index('id="pools"') :]
    return re.findall(r'href="/pools/([\w-]+)/"(?: data-stop)?>[^O]', text)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["public-api", "quiet"]),
        ("state=less_reserve", ["public-api"]),
        ("state=served", ["quiet"]),
        ("state=users_hit", []),
        ("state=degraded", ["public-api"]),
        ("state=failed", ["public-api"]),
        ("state=none-of-these", ["public-api", "quiet"]),
        ("q=Q-2", ["quiet"]),
        ("q=north+edge", ["quiet"]),
        ("q=10.20", ["public-api", "quiet"]),
        ("q=nothing", []),
        ("tag=edge", ["quiet"]),
        ("zone=north&state=less_reserve", []),
        ("zone=a-east", ["public-api"]),
        ("view=look", ["public-api"]),
        ("view=breakers", ["public-api"]),
        ("view=people", []),
        ("show=cells", ["public-api", "quiet"]),
        ("q=" + "x" * 100, ["public-api", "quiet"]),
    ],
)
def test_the_address_says_which_pools_are_shown(viewer: Client, api: Pool, quiet: Pool, query: str, shown: list[str]) -> None:
    assert list(dict.fromkeys(listed(viewer, query))) == shown


def test_a_filter_says_how_many_it_shows_and_leads_back(viewer: Client, api: Pool, quiet: Pool) -> None:
    every, some, none = (viewer.get(f"/{query}").content.decode() for query in ("", "?tag=edge", "?q=nothing"))
    assert "2 pools, 6 nodes" in every
    assert "1 of 2 pools, 2 nodes" in some
    assert "No pool matches" in none
    assert 'ws-connect="/ws/live/?fleet=tag%3Dedge"' in some
    assert 'id="lamp-served" href="/?state=served&amp;tag=edge"' in some


@given(st.dictionaries(st.sampled_from([*Wanted.__dataclass_fields__, "other"]), st.text(max_size=90)))
def test_whatever_is_asked_has_one_address_and_is_read_back_from_it(asked: dict[str, str]) -> None:
    wanted = Wanted.read(asked)
    found = Wanted.of_address(wanted.query)
    assert found == wanted or not wanted.query.isprintable() or len(wanted.query) > 600


def test_a_lamp_that_is_chosen_leads_back_to_all(viewer: Client, api: Pool) -> None:
    text = viewer.get("/?state=less_reserve").content.decode()
    assert 'aria-current="true" id="lamp-less_reserve" href="/"' in text


def test_few_pools_are_all_tall_and_among_many_the_healthy_ones_are_lines(viewer: Client, api: Pool, now: datetime) -> None:
    names = ["b", "c", "d"]
    for name in names:
        fleet.rounds(fleet.pool(name, name, [f"{name}-1", f"{name}-2"], now), now - timedelta(seconds=20), 3)
    assert viewer.get("/").content.decode().count('class="pool hot"') == 4
    fleet.rounds(fleet.pool("e", "e", ["e-1"], now), now - timedelta(seconds=20), 3)
    text = viewer.get("/").content.decode()
    assert text.count('class="pool hot"') == 1
    assert text.count('class="pool one"') == 4
    assert "4 healthy" in text


def test_a_tall_line_says_who_is_out_and_where_its_share_is(viewer: Client, api: Pool, now: datetime) -> None:
    text = " ".join(re.sub(r"<[^>]*>", " ", viewer.get("/").content.decode()).replace("\xa0", " ").split())
    assert "Served by api-1, api-3 and api-4. api-2 refuses connections, for" in text
    assert "Its 25 % has been on api-1, api-3 and api-4 for" in text
    assert "api-1 33.34 % +8.34 %" in text


def test_nodes_that_were_never_checked_are_no_alarm(viewer: Client, now: datetime) -> None:
    for number in range(5):
        fleet.pool(f"New {number}", f"new-{number}", [f"n-{number}"], now)
    text = viewer.get("/").content.decode()
    assert "5 not in service" in text
    assert 'class="pool hot"' not in text
    assert 'class="verdict lost"' in text


def test_what_a_person_did_is_told_with_owner_and_reason(viewer: Client, api: Pool, quiet: Pool, healthy: Node) -> None:
    operations.set_admin_state(healthy.pk, AdminState.MAINTENANCE, actor="li", reason="new kernel")
    node = Node.objects.get(name="q-1")
    until = timezone.now() + timedelta(hours=1)
    operations.force_breaker(node.pk, Mode.FORCED_CLOSED, actor="mara", reason="false alarm", until=until)
    text = " ".join(re.sub(r"<[^>]*>", " ", viewer.get("/").content.decode()).split())
    assert "q-1 forced closed false alarm · mara · ends in " in text
    assert "api-1 in maintenance new kernel · li" in text
    assert "2 things are not on automatic" in text
    assert "api-1 is in maintenance by li: new kernel." in text
    assert set(listed(viewer, "view=people")) == {"public-api", "quiet"}


def test_incidents_never_push_the_pools_down(operator: Client, now: datetime) -> None:
    for number in range(5):
        made = fleet.pool(f"P{number}", f"p{number}", [f"p{number}-1"], now)
        Incident.objects.create(pool=made, opened_at=now, detected_at=now, severity="critical", summary=f"trouble {number}")
    text = operator.get("/").content.decode()
    assert text.count('class="inc"') == 3
    assert ">2 more</a>" in text
    assert text.count(">Acknowledge</button>") == 3
    assert text.index('id="incidents"') < text.index('id="pools"')


def test_a_viewer_has_no_menu_and_nothing_to_tick(viewer: Client, operator: Client, api: Pool) -> None:
    seen, acting = (client.get("/?select=1").content.decode() for client in (viewer, operator))
    for part in ('id="bulk"', 'type="checkbox" form', ">Actions "):
        assert part not in seen
        assert part in acting


def test_the_card_of_a_node_says_state_breaker_and_share(viewer: Client, api: Pool, failed: Node, healthy: Node) -> None:
    text = " ".join(re.sub(r"<[^>]*>", " ", viewer.get(f"/nodes/{failed.pk}/card/").content.decode()).replace("\xa0", " ").split())
    assert text.startswith("api-2 10.20.")
    assert "failed for" in text
    assert "connection refused" in text
    assert "0 % of Public API, was 25 %. Node · why" in text
    operations.set_admin_state(healthy.pk, AdminState.DRAINING, actor="li", reason="new kernel")
    assert "by li: new kernel" in viewer.get(f"/nodes/{healthy.pk}/card/").content.decode()
    Node.objects.filter(pk=failed.pk).update(removed_at=timezone.now())
    assert viewer.get(f"/nodes/{failed.pk}/card/").status_code == 404
    assert Client().get(f"/nodes/{healthy.pk}/card/").status_code == 302


@pytest.fixture
def wall(db: None, now: datetime) -> None:
    """200 pools of five nodes each, as healthy as rows can say; one node has failed."""
    breaker, failover = fleet.policies()
    fleet.pool("First", "first", ["first-1"], now)
    pools = Pool.objects.bulk_create(
        Pool(name=f"pool-{n:03}", slug=f"pool-{n:03}", breaker_policy=breaker, failover_policy=failover) for n in range(199)
    )
    nodes = Node.objects.bulk_create(
        Node(pool=pool, name=f"{pool.slug}-{n}", address=f"10.0.0.{n}", zone="ab"[n % 2], tags=[f"team-{pool.pk % 7}"])
        for pool in pools
        for n in range(5)
    )
    since = now - timedelta(hours=2)
    state = {"due_at": now, "checked_at": now, "observed_at": now, "health": "healthy", "health_since": since, "share": 2000}
    NodeState.objects.bulk_create(NodeState(node=node, pool_id=node.pool_id, ever_able=True, **state) for node in nodes)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO nodes_poolstate (pool_id, epoch, version, failback_told, low_capacity, missing_told, busy)"
                       " SELECT id, 1, 1, false, false, false, false FROM nodes_pool WHERE slug LIKE 'pool-%'")  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE nodes_pool, nodes_poolstate, nodes_node, nodes_nodestate")
    NodeState.objects.filter(node__name="pool-007-3").update(health="failed", fails=3, share=0, first_bad_at=since)


def test_a_thousand_nodes_are_cells_small_and_read_in_few_queries(operator: Client, wall: None) -> None:
    operator.get("/")
    with CaptureQueriesContext(connection) as captured:
        body = operator.get("/").content
    assert len(captured) <= 8
    assert len(gzip.compress(body, 6)) < 60_000
    text = body.decode()
    assert "200 pools, 996 nodes" in text
    assert text.count('class="pool slim"') == 1
    assert text.count('class="tile"') == 198
    assert "<h3>team-" in text
    assert 'class="pool one"' in operator.get("/?show=rows").content.decode()
    assert "<h3>P</h3>" in operator.get("/?by=name").content.decode()
