"""The tokens of a stylesheet and how well what stands on what can be told apart, by WCAG 2.2; text in, numbers out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

TEXT, SHAPE = 4.5, 3.0  # the least contrast
_TOKEN = re.compile(r"--([a-z0-9-]+): (?:light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)|(#[0-9a-f]+));")
_GROUNDS = ("bg", "surface", "raised", "sunk")
_HUES = ("accent", "ok", "warn", "bad", "hand")
_SOFT = tuple(f"{hue}-soft" for hue in _HUES)


class Colour(NamedTuple):
    """One token, as #rrggbb in each theme."""

    light: str
    dark: str


class Pair(NamedTuple):
    """`upper` is read on `ground`; `least` is the contrast that it must have in both themes."""

    upper: str
    ground: str
    least: float


def colours(css: str) -> dict[str, Colour]:
    """Every token of one plain colour, or of one for each theme."""
    return {name: Colour(_long(light or both), _long(dark or both)) for name, light, dark, both in _TOKEN.findall(css)}


def pairs() -> Iterator[Pair]:
    """What pages put on what."""
    for ground in (*_GROUNDS, *_SOFT):
        yield from (Pair(text, ground, TEXT) for text in ("text", "text-2", "text-3"))
    for hue in _HUES:
        yield from (Pair(hue, ground, TEXT) for ground in (*_GROUNDS, f"{hue}-soft"))
    yield from (Pair(f"on-{hue}", f"{hue}-fill", TEXT) for hue in ("accent", "warn", "bad"))
    yield from (Pair(f"on-t{number}", f"t{number}", TEXT) for number in range(1, 7))
    yield from (Pair(f"t{number}", "surface", SHAPE) for number in range(1, 7))
    for shape in ("edge", "accent-fill", "ok-fill", "warn-mark", "bad-fill", "hand-fill", "off-fill"):
        yield from (Pair(shape, ground, SHAPE) for ground in ("bg", "surface"))


def lowest(tokens: Mapping[str, Colour], pair: Pair) -> float:
    """The contrast of a pair in the theme in which it is less."""
    upper, ground = tokens[pair.upper], tokens[pair.ground]
    return min(contrast(upper.light, ground.light), contrast(upper.dark, ground.dark))


def contrast(one: str, other: str) -> float:
    """From 1, the same, to 21, black on white."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _long(colour: str) -> str:
    return colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
