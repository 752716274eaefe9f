"""The sentences of the verdict, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodes.engine.causes import causes
from nodes.engine.enums import AdminState, Guard, Health, State
from nodes.engine.fleet_verdict import Counts, FleetVerdict, fleet_verdict
from nodes.engine.service import FleetView, NodeView, PoolStatus, PoolView, Service
from nodes.engine.types import Hold

NOW = 1_000_000.0
CLEAR = FleetView()
REFUSED = "connection refused"


def failed(name: str, *, share: int = 0, message: str = REFUSED, ago: float = 240.0, refused_by: Guard | None = None) -> NodeView:
    return NodeView(name, share, health=Health.FAILED, fails=9, message=message, since=NOW - ago, refused_by=refused_by)


def pool(name: str, *nodes: NodeView, number: int = 1, **fields: object) -> PoolView:
    return PoolView(number, name, nodes, slug=name, epoch=5, **fields)  # type: ignore[arg-type]  # any of its fields


def fine(name: str, number: int = 50) -> PoolView:
    return pool(name, NodeView(f"{name}-1", 5_000), NodeView(f"{name}-2", 5_000), number=number)


API = pool("api", NodeView("api-1", 3_334), failed("api-2"), NodeView("api-3", 3_333), NodeView("api-4", 3_333), number=2)
DB = pool("db", failed("db-primary", message="answered 503, expected 200–299"), NodeView("db-standby", 10_000), number=3)
SEARCH = pool("search", failed("s-1"), NodeView("s-2", 10_000), number=4)
PAYMENTS = pool(
    "payments",
    failed("payments-1", message="answered 503, expected 200–299", ago=170.0),
    failed("payments-2", share=10_000, message="answered 503, expected 200-204", ago=161.0, refused_by=Guard.NO_CANDIDATE),
)
STUCK = pool("api", NodeView("api-1", 5_000), failed("api-2", share=5_000, ago=45.0, refused_by=Guard.COOLDOWN), cooled_at=NOW + 20)
ADA = Hold("change freeze", "ada", NOW - 60, NOW + 600)


def lines(verdict: FleetVerdict) -> list[str]:
    said = (sentence.as_text(NOW) for sentence in (verdict.first, verdict.second, verdict.third))
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in said if line]


@pytest.mark.parametrize(
    ("pools", "fleet", "acknowledged", "expected"),
    [
        pytest.param(
            [API, PAYMENTS, fine("web")], CLEAR, {1: "", 2: ""},
            [
                "payments is down: both nodes answer 503",
                "Users are hit for 3 min. Nothing can take over; traffic waits until a node passes. Nobody has acknowledged.",
                "api is served by api-1, api-3 and api-4; api-2 failed 4 min ago.",
            ],
            id="a pool is down, another has failed over",
        ),
        pytest.param(
            [DB, fine("web")], CLEAR, {3: "ada"},
            [
                "db is served by db-standby: db-primary answers 503",
                "No user is hit. Less reserve for 4 min. ada has acknowledged.",
            ],
            id="a completed failover",
        ),
        pytest.param(
            [DB, API, SEARCH], CLEAR, {},
            [
                "db is served by db-standby: db-primary answers 503",
                "No user is hit. Less reserve for 4 min.",
                "api is served by api-1, api-3 and api-4; api-2 failed 4 min ago. 1 more pool needs a look.",
            ],
            id="three failovers",
        ),
        pytest.param(
            [STUCK], CLEAR, {1: ""},
            [
                "api still sends 50 % to api-2: api-2 refuses connections",
                "Users are hit for 45 s. The failover is blocked by cool-down, for 20 s more. Nobody has acknowledged.",
            ],
            id="a guard blocks, and lifts",
        ),
        pytest.param(
            [STUCK], FleetView(paused=ADA), {},
            [
                "api still sends 50 % to api-2: api-2 refuses connections",
                "Users are hit for 45 s. The failover is blocked: ada paused automation, change freeze. Ends in 10 min.",
                "Nothing fails over by itself: ada paused automation, change freeze. Ends in 10 min.",
            ],
            id="a pause blocks",
        ),
        pytest.param(
            [pool("a", failed("a-1", share=10_000)), pool("b", failed("b-1", share=10_000, ago=30), number=2)],
            CLEAR, {1: "ada", 2: ""},
            [
                "a and b are down: all their nodes refuse connections",
                "Users are hit for 4 min. Nothing can take over; traffic waits until a node passes. Not all of it is acknowledged.",
            ],
            id="two pools are down",
        ),
        pytest.param(
            [fine(name, number) for number, name in enumerate("abc")], CLEAR, {},
            ["All 3 pools are served", "No user is hit, and nobody is out."], id="all is served",
        ),
        pytest.param(
            [fine("a", 1), fine("b", 2)], FleetView(paused=Hold("", "ada")), {},
            [
                "Both pools are served", "No user is hit, and nobody is out.",
                "Nothing fails over by itself: ada paused automation.",
            ],
            id="served, and paused",
        ),
        pytest.param(
            [fine("a", 1), replace(fine("b", 2), paused=ADA)], CLEAR, {},
            ["Both pools are served", "No user is hit, and nobody is out.", "Automation is paused in b."], id="one pool is paused",
        ),
        pytest.param(
            [fine("a", 1), pool("old", NodeView("o", admin=AdminState.DISABLED), number=2)], CLEAR, {},
            ["a is served; old is not in service", "No user is hit, and nobody is out."], id="one pool is idle",
        ),
        pytest.param(
            [pool("a", NodeView("a-1", 10_000), NodeView("a-2", admin=AdminState.MAINTENANCE))], CLEAR, {},
            ["a is served", "No user is hit; only who was taken out by a person is out."], id="a node is in maintenance",
        ),
        pytest.param(
            [pool("a", NodeView("a-1", 9_000), NodeView("a-2", 1_000, ramping=True))], CLEAR, {},
            ["a is served", "No user is hit; shares of a come back in steps."], id="a share comes back",
        ),
        pytest.param(
            [PAYMENTS], FleetView(blind="no checker is believed", blind_since=NOW - 90), {},
            [
                "The console cannot tell: no checker is believed",
                "Whether users are hit is not known. Shares stay as they are for 2 min.",
            ],
            id="no checker is believed",
        ),
        pytest.param(
            [fine("a"), pool("b", NodeView("b-1", 10_000, stale=True, observed_at=NOW - 40))], CLEAR, {},
            [
                "The console cannot tell how b is served: b-1 has no fresh check",
                "Whether users are hit is not known. Shares stay as they are for 40 s.",
            ],
            id="a pool is silent",
        ),
        pytest.param(
            [pool("a", NodeView("a-1", 10_000), NodeView("a-2", health=Health.RECOVERING, since=NOW - 70))], CLEAR, {},
            ["a is served by a-1: a-2 is recovering", "No user is hit. Less reserve for 1 min."], id="a node is recovering",
        ),
        pytest.param([], CLEAR, {}, ["No pool yet: an admin adds the first one"], id="no pool"),
        pytest.param(
            [PoolView(1, "new", (NodeView("n-1", health=Health.UNKNOWN, ever_eligible=False),))], CLEAR, {},
            ["new is not in service yet: no node has passed a check"], id="never checked",
        ),
        pytest.param(
            [fine("a")], FleetView(troubles=("3 checks are overdue",)), {},
            ["a is served", "No user is hit, and nobody is out.", "3 checks are overdue."], id="checks are late",
        ),
    ],
)  # fmt: skip  # a situation, then its lines
def test_what_the_verdict_says(pools: list[PoolView], fleet: FleetView, acknowledged: dict[int, str], expected: list[str]) -> None:
    assert lines(fleet_verdict(pools, fleet, acknowledged)) == expected


@pytest.mark.parametrize(
    ("pools", "fleet", "service", "tone", "shape", "title"),
    [
        ([API, PAYMENTS], CLEAR, Service.USERS_HIT, "bad", PoolStatus.DOWN, "✕ payments down"),
        ([STUCK], CLEAR, Service.USERS_HIT, "bad", PoolStatus.PENDING, "✕ api failover pending"),
        ([DB, fine("a")], CLEAR, Service.LESS_RESERVE, "warn", PoolStatus.DEGRADED, "▲ db degraded"),
        ([fine("a")], CLEAR, Service.SERVED, "ok", PoolStatus.HEALTHY, ""),
        ([fine("a")], FleetView(troubles=("late",)), Service.SERVED, "warn", PoolStatus.HEALTHY, ""),
        ([PAYMENTS], FleetView(blind="no checker is believed"), Service.UNKNOWN, "idle", PoolStatus.STALE, "? cannot tell"),
    ],
)
def test_what_tab_and_favicon_show(
    pools: list[PoolView], fleet: FleetView, service: Service, tone: str, shape: PoolStatus, title: str
) -> None:
    verdict = fleet_verdict(pools, fleet)
    assert (verdict.service, verdict.tone, verdict.shape, verdict.title) == (service, tone, shape, title)
    assert verdict.favicon == f"favicon-{service.value}.svg"


def test_the_lamps_count_each_pool_once_and_served_is_dark_while_the_console_cannot_tell() -> None:
    fleet = [API, PAYMENTS, fine("a", 7), fine("b", 8), pool("old", NodeView("o", admin=AdminState.DISABLED), number=9)]
    assert fleet_verdict(fleet, CLEAR).counts == Counts(users_hit=1, less_reserve=1, served=2, idle=1)
    assert fleet_verdict(fleet, FleetView(blind="no checker is believed")).counts == Counts(unknown=5)


def test_durations_are_instants_for_the_page_to_count_and_names_lead_to_pools() -> None:
    verdict = fleet_verdict([API, PAYMENTS], CLEAR)
    assert [part.slug for part in verdict.first.parts if part.slug] == ["payments"]
    assert [part.since for part in verdict.second.parts if part.since] == [NOW - 161.0]
    assert all(part.strong for part in verdict.second.parts[:3])


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([failed("a"), failed("b"), failed("c")], "all 3 nodes refuse connections"),
        ([failed("a"), failed("b"), NodeView("c", 1)], "a and b refuse connections"),
        ([failed("a"), failed("b", message="answered 503, expected 200")], "a refuses connections and b answers 503"),
        ([failed("a", message="no answer within 2 s"), NodeView("b", 1)], "a gives no answer within 2\N{NO-BREAK SPACE}s"),
        ([failed("a", message="the certificate has expired"), NodeView("b")], "a shows a certificate that has expired"),
        ([failed("a", message=""), NodeView("b")], "a fails its checks"),
        ([failed("a", message="odd " * 40), NodeView("b")], f"a fails: {('odd ' * 20).rstrip()}…"),
        ([NodeView("a", breaker=State.OPEN, opened="5 failures"), NodeView("b")], "a has its breaker open (5 failures)"),
        (
            [failed("a"), failed("b", message="timed out"), failed("c", message="host down"), failed("d", message=""), failed("e")],
            "a and e refuse connections, b gives no answer and 2 more fail",
        ),
    ],
)
def test_what_several_nodes_do_is_said_once(nodes: list[NodeView], said: str) -> None:
    assert (
        causes(pool("api", *nodes), [node for node in nodes if node.health is Health.FAILED or node.breaker is State.OPEN]) == said
    )
