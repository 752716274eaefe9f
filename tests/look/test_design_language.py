"""The paper, the sheet and the sprite say the same, and whatever is read can be read, in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nodes.contrast import Colour, Pair, colours, contrast, lowest, pairs
from nodes.look import BREAKERS, STATES, TONES

ROOT = Path(__file__).resolve().parents[2]
PAPER = (ROOT / "docs/design-language.md").read_text()
STATIC = ROOT / "failover_console/static"
TOKENS = colours((STATIC / "console.css").read_text())
ROWS = {
    name: (light, dark, least)
    for name, light, dark, least in re.findall(
        r"^\| `([\w-]+)` \| (#\w+) \| (#\w+) \| [^|]+ \| ?([^|]*?) ?\|$", PAPER, re.MULTILINE
    )
}
HUES = {"ok": "green", "warn": "amber", "bad": "red", "acc": "blue", "hand": "violet", "off": "grey"}


def test_the_papers_tokens_are_those_of_the_sheet() -> None:
    assert {name: Colour(light, dark) for name, (light, dark, _) in ROWS.items()} == TOKENS


def test_the_sheet_declares_no_colour_that_the_tokens_miss() -> None:
    declared = re.findall(r"--([a-z0-9-]+): (?:light-dark\(#|#)", (STATIC / "console.css").read_text())
    assert sorted(declared) == sorted(TOKENS)


@pytest.mark.parametrize("pair", list(pairs()), ids=lambda pair: f"{pair.upper} on {pair.ground}")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_read_can_be_read(pair: Pair, theme: str) -> None:
    upper, ground = (getattr(TOKENS[name], theme) for name in (pair.upper, pair.ground))
    assert contrast(upper, ground) >= pair.least


def test_the_paper_prints_the_least_contrast_of_each_token() -> None:
    for name, (_, _, said) in ROWS.items():
        found = [(lowest(TOKENS, pair), pair) for pair in pairs() if name in (pair.upper, pair.ground)]
        least = min(found, key=lambda each: each[0], default=None)
        assert said == ("" if least is None else f"{least[1].upper} on {least[1].ground} {least[0]:.2f}"), name


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("#000000", "#ffffff", 21.0), ("#ffffff", "#ffffff", 1.0), ("#767676", "#ffffff", 4.54), ("#0000ff", "#ffffff", 8.59)],
)
def test_contrast_is_that_of_the_standard(one: str, other: str, expected: float) -> None:
    assert contrast(one, other) == pytest.approx(expected, abs=0.005)
    assert contrast(other, one) == contrast(one, other)


def test_the_paper_has_every_state_and_position_with_its_hue() -> None:
    said = dict(re.findall(r"^\| ([a-z -]+) \| [a-z, ]+ \| (green|amber|red|blue|violet|grey) \|$", PAPER, re.MULTILINE))
    assert said == {word: HUES[look.hue] for word, look in (STATES | BREAKERS).items()}


def test_every_shape_is_in_the_sprite() -> None:
    symbols = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))
    assert {look.icon for look in (STATES | BREAKERS | TONES).values()} <= symbols
