"""TCP, push and composite checks, names, and whose trouble it is when one cannot be made."""

from __future__ import annotations

import errno
import resource
import socket
import time
from ipaddress import ip_network

import pytest

from nodes.egress import Egress, ResolverTroubleError
from nodes.engine.enums import Verdict
from nodes.probes import probe
from nodes.probes.outcome import explain
from nodes.probes.spec import CheckSpec, parse_status_set
from tests.probes.servers import hang, reply, says, serving


async def test_tcp_passes_where_somebody_listens(egress: Egress) -> None:
    async with serving(hang, reads=False) as served:
        seen = await probe(CheckSpec("tcp", "127.0.0.1", served.port), egress)

    assert seen.verdict == Verdict.PASS
    assert seen.latency is not None


async def test_tcp_fails_where_nobody_does(egress: Egress) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        seen = await probe(CheckSpec("tcp", "127.0.0.1", held.getsockname()[1]), egress)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "connection refused")


async def test_a_name_that_does_not_exist_is_the_nodes_trouble(egress: Egress) -> None:
    seen = await probe(CheckSpec("tcp", "nope.invalid", 80), egress)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "the name nope.invalid does not exist")


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "::", "fe80::1"])
async def test_what_may_not_be_reached_is_not_asked_and_not_held_against_the_node(egress: Egress, host: str) -> None:
    seen = await probe(CheckSpec("tcp", host, 80), egress)

    assert seen.verdict == Verdict.UNKNOWN
    assert seen.message.startswith("not asked: ")


async def test_loopback_is_reached_only_by_the_list() -> None:
    seen = await probe(CheckSpec("tcp", "127.0.0.1", 80), Egress.for_checks([ip_network("10.0.0.0/8")]))

    assert seen.verdict == Verdict.UNKNOWN
    assert "EGRESS_ALLOW" in seen.message


async def test_having_no_descriptor_left_is_our_trouble(egress: Egress) -> None:
    async with serving(hang, reads=False) as served:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as probing:
            lowest = probing.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            seen = await probe(CheckSpec("tcp", "127.0.0.1", served.port), egress)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (seen.verdict, seen.message) == (Verdict.UNKNOWN, "we have no descriptor left")


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.ENOMEM, errno.EPERM, errno.EIO])
def test_trouble_of_this_machine_is_unknown(number: int) -> None:
    assert explain(OSError(number, "trouble"), 5)[0] == Verdict.UNKNOWN


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNABORTED])
def test_trouble_on_the_way_to_the_node_is_a_failure(number: int) -> None:
    verdict, message = explain(OSError(number, "trouble"), 5)

    assert verdict == Verdict.FAIL
    assert message in ("host unreachable", "timed out", "connection aborted")


def test_our_resolver_and_our_own_bugs_are_unknown() -> None:
    assert explain(ResolverTroubleError("our resolver failed"), 5) == (Verdict.UNKNOWN, "our resolver failed")
    assert explain(KeyError("x"), 5) == (Verdict.UNKNOWN, "our own check broke: KeyError: 'x'")


async def test_a_kind_that_nobody_knows_is_unknown(egress: Egress) -> None:
    seen = await probe(CheckSpec("carrier pigeon", "127.0.0.1", 80), egress)

    assert (seen.verdict, seen.message) == (Verdict.UNKNOWN, "there is no check of the kind carrier pigeon")


@pytest.mark.parametrize(
    ("beat", "since", "until", "verdict", "message"),
    [
        (-10, -1000, 0, "pass", ""),
        (-16, -1000, 0, "fail", "the node last called 16 s ago, 15 s are allowed"),
        (-16, -1000, 60, "fail", "the node last called 16 s ago, 15 s are allowed"),
        (-16, -1000, -5, "unknown", "no web process of ours has answered since a call was due"),
        (-21, -1000, -5, "fail", "the node last called 21 s ago, 15 s are allowed"),
        (None, -1000, 0, "fail", "the node has never called"),
        (None, -1000, -990, "unknown", "we have not listened long enough to miss a call"),
        (-16, -10, 0, "unknown", "we have not listened long enough to miss a call"),
        (None, None, None, "unknown", "no web process of ours could have received a call"),
        (-10, None, None, "pass", ""),
    ],
)
async def test_a_node_that_calls_us_is_missed_only_by_those_who_listened(
    egress: Egress, beat: float | None, since: float | None, until: float | None, verdict: str, message: str
) -> None:
    now = time.time()
    spec = CheckSpec(
        "push",
        interval=10,
        grace=5,
        last_heartbeat_at=None if beat is None else now + beat,
        listening_since=None if since is None else now + since,
        listening_until=None if until is None else now + until,
    )

    seen = await probe(spec, egress)

    assert (seen.verdict, seen.message) == (verdict, message)
    assert seen.latency is None


@pytest.mark.parametrize(
    ("quorum", "good", "bad", "verdict"),
    [
        ("all", 3, 0, "pass"),
        ("all", 2, 1, "fail"),
        ("any", 1, 2, "warn"),
        ("any", 0, 3, "fail"),
        ("majority", 3, 0, "pass"),
        ("majority", 2, 1, "warn"),
        ("majority", 1, 2, "fail"),
    ],
)
async def test_a_composite_is_what_its_children_add_up_to(egress: Egress, quorum: str, good: int, bad: int, verdict: str) -> None:
    async with serving(says(reply("200 OK"))) as well, serving(says(reply("500 Oh"))) as ill:
        children = tuple(CheckSpec("http", "127.0.0.1", port) for port in [well.port] * good + [ill.port] * bad)
        seen = await probe(CheckSpec("composite", quorum=quorum, children=children), egress)

    assert seen.verdict == verdict
    assert seen.message.count(f"http {ill.port}: answered 500") == bad


@pytest.mark.parametrize("text", ["", "20", "2000", "200-", "299-200", "600", "99", "2xx", "200;204", "٢٠٠"])
def test_a_set_of_statuses_that_is_none_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no status|is outside"):
        parse_status_set(text)


def test_a_set_of_statuses_is_read() -> None:
    assert [(span.start, span.stop) for span in parse_status_set("200-299, 301,404 - 404")] == [(200, 300), (301, 302), (404, 405)]
