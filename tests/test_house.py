"""The rules of the house that no tool checks: sizes, names, templates, the lock file."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("failover_console", "alerts", "nodes")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if not path.match("*/migrations/0*.py"))
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.suffix in {".html", ".txt", ".svg"})
NOBODY = {"utils", "helpers", "common", "base", "manager", "misc"}

MODULE_LINES, FUNCTION_LINES, TEMPLATE_LINES, README_LINES = 400, 40, 120, 120

UNSAFE = {
    "a value marked safe": re.compile(r"\|\s*safe\b|autoescape off|mark_safe"),
    "an inline script": re.compile(r"<script(?![^>]*\bsrc=)", re.IGNORECASE),
    "an inline style": re.compile(r"<style\b|\sstyle\s*=", re.IGNORECASE),
    "an inline handler": re.compile(r"\s(on[a-z]+|hx-on[:a-z-]*)\s*=", re.IGNORECASE),
    "an unquoted attribute": re.compile(r"<[a-z][^<>]*\s[a-z-]+=\{\{", re.IGNORECASE),
    "another host": re.compile(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//", re.IGNORECASE),
}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Place and name, and the lines without the docstring."""
    for part in ast.walk(ast.parse(path.read_text())):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.end_lineno:
            said = len((ast.get_docstring(part) or "").splitlines())
            yield f"{path.relative_to(ROOT)}:{part.lineno} {part.name}", part.end_lineno - part.lineno + 1 - said


def test_no_module_is_longer_than_its_budget() -> None:
    assert {str(path.relative_to(ROOT)): _lines(path) for path in MODULES if _lines(path) > MODULE_LINES} == {}


def test_no_function_is_longer_than_its_budget() -> None:
    assert {name: length for path in MODULES for name, length in _functions(path) if length > FUNCTION_LINES} == {}


def test_no_template_is_longer_than_its_budget() -> None:
    assert {str(path.relative_to(ROOT)): _lines(path) for path in TEMPLATES if _lines(path) > TEMPLATE_LINES} == {}


def test_the_readme_fits_its_budget() -> None:
    assert _lines(ROOT / "README.md") <= README_LINES


def test_no_module_bears_a_name_that_says_nothing() -> None:
    assert [path for path in MODULES if path.stem in NOBODY or path.parent.name in NOBODY] == []


def test_no_comment_postpones_work() -> None:
    postponed = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")

    assert [path for path in MODULES if postponed.search(path.read_text())] == []


def test_every_exception_from_a_tool_carries_its_code_and_its_reason() -> None:
    bare = re.compile(r"#\s*noqa(?!: [A-Z]+\d+(, ?[A-Z]+\d+)* +[-#–(]).*|#\s*type: ignore(?!\[[a-z, -]+\] +[-#–(]).*")

    assert [f"{path.relative_to(ROOT)}: {found.group()}" for path in MODULES for found in bare.finditer(path.read_text())] == []


@pytest.mark.parametrize("what", UNSAFE)
def test_no_template_holds(what: str) -> None:
    assert [str(path.relative_to(ROOT)) for path in TEMPLATES if UNSAFE[what].search(path.read_text())] == []


@pytest.mark.parametrize("what", UNSAFE)
def test_each_template_rule_can_fail(what: str) -> None:
    samples = "<p style='a'>{{ x|safe }}</p><script>1</script><a onclick='x' title={{ y }} href=\"//host.example\">"

    assert UNSAFE[what].search(samples)


def test_the_lock_names_no_address_and_hashes_every_package() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[a-z0-9].*==.*\\\n +--hash=sha256:", lock, re.MULTILINE)

    assert not re.search(r"https?://|file:/|--(extra-)?index-url|--find-links|--trusted-host", lock)
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", lock, re.MULTILINE))


def test_the_lock_holds_every_dependency_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        re.split(r"[\[<>=!~]", text)[0].lower() for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    }
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

    assert wanted <= locked
