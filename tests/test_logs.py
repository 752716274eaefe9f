"""Log lines: one record, one line, whatever a node or a user put into it."""

from __future__ import annotations

import logging
import sys

import pytest

from failover_console.logs import OneLine

LINE = OneLine("%(levelname)s %(message)s")


def _record(message: str, *values: object, failed: bool = False) -> logging.LogRecord:
    raised = sys.exc_info() if failed else None
    return logging.LogRecord("nodes", logging.INFO, __file__, 1, message, values, raised)


@pytest.mark.parametrize(
    "forged", ["\nERROR forged", "\r\nERROR forged", "\x1b[2J", "\x00", "\x85next", "\u2028next", "\u202eright"]
)
def test_a_value_cannot_begin_a_line_or_steer_a_terminal(forged: str) -> None:
    line = LINE.format(_record("node said %s", forged))

    assert line.startswith("INFO node said ")
    assert line.isprintable()


def test_an_ordinary_line_is_left_as_it_is() -> None:
    assert LINE.format(_record("node %s is well – 12 µs", "eu-1")) == "INFO node eu-1 is well – 12 µs"


def test_a_traceback_is_marked_as_part_of_its_record() -> None:
    try:
        raise ValueError("first\nERROR forged")
    except ValueError:
        lines = LINE.format(_record("it broke", failed=True)).split("\n")

    assert lines[0] == "INFO it broke"
    assert all(line.startswith("    | ") for line in lines[1:])
    assert any("ERROR forged" in line for line in lines[1:])


def test_a_message_is_cut_but_its_traceback_is_kept() -> None:
    try:
        raise ValueError("the cause")
    except ValueError:
        line = LINE.format(_record("x" * 100_000, failed=True))

    assert len(line) < 10_000
    assert "the cause" in line


def test_addresses_that_hold_the_secrets_of_pushes_are_not_written() -> None:
    assert not logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO)
