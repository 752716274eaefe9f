"""A chart as a file: the same picture, 1200 px wide, with title and range, and with nothing that it would have to load.

Colours stand in attributes, since a page's policy forbids styles inside of an image that is opened by its address.
"""

from __future__ import annotations

from enum import StrEnum
from xml.etree import ElementTree as ET

from nodes.charts import palette
from nodes.charts.markup import readable
from nodes.charts.values import Chart

Theme = StrEnum("Theme", ["LIGHT", "DARK"])

WIDTH = 1200  # px
_MARGIN, _HEAD, _LEGEND, _SIDE = 24, 64, 32, 120  # px
_GUTTER = 44  # px, for labels left of a chart
_FONT = "Inter, system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans SC', sans-serif"
_HATCH = {"id": "hatch", "width": "6", "height": "6", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
_LETTER, _SAMPLE = 6.4, 16  # px


def standalone(chart: Chart, *, title: str, subtitle: str, theme: Theme = Theme.LIGHT) -> str:
    """A whole SVG document."""
    dark = theme is Theme.DARK
    drawn = ET.fromstring(chart.svg)  # noqa: S314 - our own markup, made a moment ago
    height = float(drawn.attrib["height"])
    gutter = _SIDE if chart.sides else _GUTTER if "gutter" in drawn.attrib["class"].split() else 0
    full = _HEAD + height + _LEGEND + _MARGIN
    left, right = _MARGIN + gutter, _MARGIN + (_SIDE - 2 * _MARGIN if chart.sides else 0)
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": f"{WIDTH}",
            "height": f"{full:g}",
            "viewBox": f"0 0 {WIDTH} {full:g}",
            "font-family": _FONT,
            "font-size": "11",
            "role": "img",
            "aria-label": readable(chart.label),
        },
    )
    ET.SubElement(root, "title").text = readable(title)
    ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": palette.colour("surface", dark=dark)})
    _hatch(root, dark)
    _text(root, title, _MARGIN, 32, dark, "text", {"font-size": "20", "font-weight": "650"})
    _text(root, subtitle, _MARGIN, 50, dark, "text-2", {"font-size": "12"})
    for side in chart.sides:
        _text(root, side.left, _MARGIN, _HEAD + side.y, dark, "text", {})
        _text(root, side.right, WIDTH - _MARGIN, _HEAD + side.y, dark, "text-2", {"text-anchor": "end"})
    root.append(_placed(drawn, left, WIDTH - left - right, dark))
    _legend(root, chart, left, _HEAD + height + _LEGEND - 8, dark)
    return ET.tostring(root, encoding="unicode")


def _placed(drawn: ET.Element, x: float, width: float, dark: bool) -> ET.Element:
    for parent in drawn.iter():
        for child in list(parent):
            if "narrow" in child.attrib.get("class", "").split():
                parent.remove(child)
    for each in drawn.iter():
        _inlined(each, dark)
    for name in ("role", "aria-label", "tabindex"):
        drawn.attrib.pop(name, None)
    drawn.attrib.update({"x": f"{x:g}", "y": f"{_HEAD}", "width": f"{width:g}", "overflow": "visible"})
    return drawn


def _inlined(each: ET.Element, dark: bool) -> None:
    """Classes become attributes, what only scripts read goes."""
    classes = each.attrib.pop("class", "")
    for name in [name for name in each.attrib if name.startswith("data-")]:
        value = each.attrib.pop(name)
        each.text = value if name == "data-end" else each.text  # a file has no now
    if each.tag == "text":
        each.attrib.update(palette.coloured(palette.TEXT, dark=dark))
    if each.tag != "svg":
        each.attrib.update(palette.attributes(classes, dark=dark))


def _hatch(root: ET.Element, dark: bool) -> None:
    pattern = ET.SubElement(ET.SubElement(root, "defs"), "pattern", _HATCH)
    ET.SubElement(pattern, "path", {"d": "M0 0v6", **palette.attributes("hat", dark=dark)})


def _text(root: ET.Element, text: str, x: float, y: float, dark: bool, token: str, more: dict[str, str]) -> None:
    place = {"x": f"{x:g}", "y": f"{y:g}", "fill": palette.colour(token, dark=dark)}
    ET.SubElement(root, "text", {**place, **more}).text = readable(text)


def _legend(root: ET.Element, chart: Chart, x: float, y: float, dark: bool) -> None:
    at = x
    for entry in chart.legend:
        kind, shape = palette.shape(entry.mark)
        place = {"d": shape, "transform": f"translate({at:g} {y - 9:g})"}
        ET.SubElement(root, "path", {**place, **palette.attributes(kind, dark=dark)})
        if entry.mark == palette.RECEIVED:
            ET.SubElement(root, "path", {**place, "fill": "url(#hatch)"})
        words = f"{entry.text} {entry.value}".strip()
        _text(root, words, at + _SAMPLE, y, dark, "text-2", {})
        at += _SAMPLE + len(words) * _LETTER + 16
