"""Names as the system's resolver answers them or does not: each scenario in a process with a name server of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import nameserver
from tests.product import ROOT

pytestmark = pytest.mark.skipif(
    not nameserver.can_tell(Path(tempfile.mkdtemp()), network=True), reason="this system lets nobody have a network of his own"
)


def found(directory: Path, scenario: str) -> dict[str, Any]:
    line = nameserver.asking_it(directory, sys.executable, "-m", "tests.probes.inside", scenario, network=True)
    answer = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


def test_a_resolver_that_hangs_is_our_trouble_and_is_noticed(tmp_path: Path) -> None:
    seen = found(tmp_path, "a_resolver_that_hangs")

    assert seen["seen"] == [["unknown"]]
    assert seen["first"] == ["unknown", "our resolver did not answer for node-0.example in time"]
    assert seen["before"] is False
    assert seen["trouble"].startswith("our resolver did not answer for node-")
    assert seen["back"] == ["pass", ""]
    assert seen["after"] == ["", True]


def test_while_the_resolver_is_away_the_last_good_answer_serves(tmp_path: Path) -> None:
    seen = found(tmp_path, "the_last_good_answer")

    assert seen["first"] == ["pass", ""]
    assert seen["away"] == [["pass", ""]] * 5
    assert seen["blocking"] == ["127.0.0.1"]
    assert seen["took"] < 4.0  # a new answer is waited for once, and shortly


def test_dead_names_take_nothing_from_good_ones(tmp_path: Path) -> None:
    seen = found(tmp_path, "dead_names")

    assert seen["good"] == [["pass", ""]] * 3
    assert seen["took"] < 2.0
    assert seen["dead"] == ["unknown"]
    assert seen["late"] == ["pass", ""]


def test_a_name_in_another_script_is_redirected_on_its_own_server(tmp_path: Path) -> None:
    seen = found(tmp_path, "a_name_in_another_script")

    assert seen["seen"] == ["pass", ""]
    assert [each.partition(" HTTP")[0] for each in seen["requests"]] == ["GET /", "GET /a", "GET /caf%C3%A9"]
    assert all("\r\nHost: xn--bcher-kva.example:" in each and "\r\nX-Key: 1" in each for each in seen["requests"])


def test_all_addresses_of_a_name_are_tried_within_the_checks_time(tmp_path: Path) -> None:
    seen = found(tmp_path, "several_addresses")

    assert seen["refusing"][:2] == seen["hanging"][:2] == [["pass", ""]] * 2
    assert seen["asked"] == 4
    verdict, message = seen["refusing"][2]
    assert (verdict, message.startswith("none of its 2 addresses answers: ")) == ("fail", True)
    assert {"10.0.0.1: connection refused", "8.8.4.4: connection refused"} == set(message.partition("answers: ")[2].split(", "))
    verdict, message = seen["hanging"][2]
    assert verdict == "fail"
    assert message.startswith("no answer within 1 s (")
    assert {"10.0.0.1: no answer", "8.8.4.4: connection refused"} == set(message.partition("(")[2].removesuffix(")").split(", "))


def test_names_that_nodes_tell_us_are_bounded(tmp_path: Path) -> None:
    seen = found(tmp_path, "names_without_end_by_redirects")

    assert seen["seen"] == [["fail", "redirected more than 3 times"]]
    assert seen["kept"] == [50, 0]
    assert seen["other"] == ["pass", ""]
    assert seen["took"] < 2.0


def test_what_the_resolver_takes_is_not_the_nodes_time(tmp_path: Path) -> None:
    seen = found(tmp_path, "a_slow_resolver")

    assert seen["seen"] == ["pass", ""]
    assert 0.5 <= seen["latency"] < 0.7


def test_a_name_that_does_not_exist_is_the_nodes_trouble(tmp_path: Path) -> None:
    assert found(tmp_path, "a_name_that_ends") == {"seen": ["fail", "the name node.invalid does not exist"]}


def test_a_public_node_redirects_to_public_addresses_only(tmp_path: Path) -> None:
    seen = found(tmp_path, "redirects")
    refused = "which a public node may not reach by a redirect"

    assert seen["seen"] == [
        ["fail", f"redirected to where it may not: 10.0.0.1 is a private address, {refused}"],
        ["fail", f"redirected to where it may not: 10.0.0.1 is a private address, {refused}"],
        ["fail", f"redirected to where it may not: name.example (127.0.0.1) is a loopback address, {refused}"],
        ["pass", ""],
        ["pass", ""],
    ]
    assert seen["asked privately"] == 1
