"""How much of the figures a scrape holds, whose they are, and that Prometheus takes them."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from django.test import Client

from alerts.models import Destination
from failover_console.metrics.fleet import NODES_TOLD
from nodes.engine.enums import Guard
from nodes.engine.service import Service
from nodes.models import Node, NodeState, Pool
from tests.api.conftest import Ask, Token
from tests.api.scraping import Scrape
from tests.api.test_metrics import FIRST, NAMED, OF_THE_PROCESS
from tests.pages import fleet

PROMTOOL = shutil.which("promtool")


def test_help_says_whose_each_figure_is(scrape: Ask, api: Pool) -> None:
    told = scrape().families
    own = {name for name, family in told.items() if family.documentation.startswith("This process: ")}
    assert own == OF_THE_PROCESS
    assert {name for name, family in told.items() if family.documentation.startswith("Database-wide: ")} == told.keys() - own


def test_what_is_database_wide_can_be_scraped_once_and_the_rest_from_each_process(scrape: Ask, api: Pool) -> None:
    assert scrape(scope="process").families.keys() == OF_THE_PROCESS
    assert scrape(scope="database").families.keys() == NAMED.keys() - OF_THE_PROCESS
    assert scrape(scope="all").families.keys() == NAMED.keys()


def test_an_unknown_scope_is_refused(client: Client, token: Token) -> None:
    answer = client.get("/metrics?scope=mine", headers={"authorization": token("metrics")})
    assert (answer.status_code, answer.json()) == (400, {"error": "scope is one of all, database, process"})


def test_pools_can_be_scraped_apart(scrape: Ask, api: Pool, now: datetime) -> None:
    for slug in ("b", "c"):
        fleet.pool(slug, slug, ["n-1"], now)
    told = scrape(pool=["b", "c"])
    assert {each.labels.get("pool") for family in told.families.values() for each in family.samples} == {"b", "c", None}
    assert {name for name, family in told.families.items() if not any(each.labels for each in family.samples)} == {
        "failover_nodes_left_out"
    }


@pytest.mark.django_db(transaction=True, serialized_rollback=True)  # rendering is no idle time of a transaction
def test_so_many_nodes_are_told_the_troubled_ones_first(client: Client, token: Token, api: Pool, now: datetime) -> None:
    healthy = fleet.pool("Large", "large", [], now)
    names = [f"n-{number:04d}" for number in range(NODES_TOLD)]
    nodes = Node.objects.bulk_create([Node(pool=healthy, name=name, address="10.0.0.1") for name in names])
    fresh = {"pool_id": healthy.pk, "due_at": now, "health": "healthy", "observed_at": now, "checked_at": now}
    NodeState.objects.bulk_create([NodeState(node=node, **fresh) for node in nodes])
    NodeState.objects.filter(node__name=names[-1]).update(health="failed")
    text = client.get("/metrics", headers={"authorization": token("metrics")}).content.decode()  # too long to be parsed here
    assert text.count("\nfailover_node_up{") == NODES_TOLD
    assert "\nfailover_nodes_left_out 2.0\n" in text
    assert f'failover_node_up{{node="{names[0]}",pool="large"}} 1.0' in text
    assert f'failover_node_up{{node="{names[-1]}",pool="large"}} 0.0' in text
    assert 'failover_node_up{node="api-2",pool="public-api"} 0.0' in text
    assert f'failover_nodes_by_state{{state="healthy"}} {NODES_TOLD}.0' in text
    assert len(text) < 1_300 * NODES_TOLD  # bytes


def test_a_node_has_a_fixed_number_of_series(scrape: Ask, api: Pool) -> None:
    told = scrape()
    assert len([key for key in told.values if ("node", "api-1") in key[1]]) == 15
    of_the_pool = [key for key in told.values if ("pool", "public-api") in key[1] and "node" not in dict(key[1])]
    assert len(of_the_pool) == len(Guard) + len(Service)


def test_a_scraper_that_takes_gzip_gets_it(client: Client, token: Token, api: Pool) -> None:
    answer = client.get("/metrics", headers={"authorization": token("metrics"), "accept-encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert Scrape(gzip.decompress(answer.content).decode())("failover_node_up", **FIRST) == 1


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine; Debian has it in its package prometheus")
@pytest.mark.parametrize("query", [{}, {"scope": "database"}, {"scope": "process"}, {"pool": "public-api"}], ids=str)
def test_promtool_finds_nothing_to_complain_of(scrape: Ask, api: Pool, slack: Destination, query: dict[str, str]) -> None:
    assert PROMTOOL is not None  # or it is skipped
    found = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=scrape(**query).text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_every_figure_is_explained_in_the_papers() -> None:
    paper = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]*)\|", paper, re.MULTILINE)
    assert {(name.removesuffix("_total"), frozenset(labels.replace(",", " ").split())) for name, labels in rows} == {
        (name, frozenset(labels) - {"le"}) for name, (_, labels) in NAMED.items()
    }
