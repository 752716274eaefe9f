"""Break each rule of the engine in turn, and show that a test goes red.

usage: python tests/mutations.py [--comparisons] [--only TEXT]

Every rule of the breaker's table leaves the breaker as it is, every rule of the health's leads to unknown, every entry of the
failure's leaves the failure as it is, or tells nothing, every end of a trouble ends none, no doubt speaks against a checker, and
every guard holds nothing.
`--comparisons` also moves each comparison of the engine by its boundary (< and <=, > and >=) or turns it round (== and !=).
The engine and its tests are copied to a temporary directory for that; nothing here is changed.  Prints a line for each break
with the first test that noticed; exits with 1 when one went unnoticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nodes.engine import belief, failure_lifecycle, health, transitions  # noqa: E402 - found by the path above
from nodes.engine.enums import Guard  # noqa: E402 - as above
from nodes.engine.event_types import TABLE  # noqa: E402 - as above

ENGINE = Path("nodes/engine")
BOUNDARIES: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.LtE(), ast.LtE: ast.Lt(), ast.Gt: ast.GtE(), ast.GtE: ast.Gt(), ast.Eq: ast.NotEq(), ast.NotEq: ast.Eq(),
}  # fmt: skip  # pairs
# Functions of the engine as they would be without their rule: the name of the break, module, function, what it is instead.
WAYS_OUT = (
    ("belief: nobody takes an isolation over", "belief", "take_over", "lambda checkers, host: (checkers, ())"),
    ("belief: nothing ends with the last runner of a host", "belief", "_forget_the_gone", "lambda checkers: (checkers, ())"),
    ("belief: whoever asks nobody looks right", "belief", "_looks_right", "lambda checker, seen, now: not seen.canary_trouble"),
    ("belief: what lasts is told over and over", "belief", "_is_earning", "lambda checkers: False"),
    ("checks: a failure counts whoever saw it", "apply_checks", "_is_withheld", "lambda *_: False"),
    ("checks: nobody else is asked", "apply_checks", "_ask_another", "lambda node, *_: node.health"),
    ("health: what failed meanwhile is forgotten", "health", "catch_up", "lambda health, policy, now: health"),
    ("health: results never alternate", "health", "_judge", "lambda health: health"),
    ("guards: a cool-down holds the last of a tier", "guards", "_is_last_of_its_tier", "lambda pool, node: False"),
    ("guards: no pool is down", "guards", "is_down", "lambda pool: False"),
    ("guards: no cool-down ever ends", "guards", "cooldown_until", "lambda pool: None"),
    ("failure: nobody waits to be verified", "failure_lifecycle", "unverified_at", "lambda node, pool: None"),
    ("troubles: no trial starves", "troubles", "waits_for_calls", "lambda node: False"),
)
PATIENCE = 40.0  # s; a break that makes a test run for ever was noticed


@dataclass(frozen=True)
class Break:
    """One module of the engine, as it is to be instead."""

    name: str
    module: str
    source: str


def rules() -> Iterator[Break]:
    """Every rule of the tables and every guard."""
    for state, signal in transitions.RULES:
        key = f"(State.{state.name}, Signal.{signal.name})"
        yield _appended(f"breaker: {state} on {signal}", "transitions", _replaced(key, "lambda breaker, cause: breaker"))
    for status, verdict in health.RULES:
        key = f"(Health.{status.name}, Verdict.{verdict.name})"
        yield _appended(f"health: {status} on {verdict}", "health", _replaced(key, "lambda health, policy, seen: Health.UNKNOWN"))
    for (stage, sign), entry in failure_lifecycle.RULES.items():
        key = f"(Stage.{stage.name}, Signal.{sign.name})"
        yield _appended(
            f"failure: {stage} on {sign}", "failure_lifecycle", _entry(key, "lambda failure, cause: failure", "RULES[{}].tells")
        )
        if entry.tells:
            yield _appended(f"failure: {stage} on {sign}, untold", "failure_lifecycle", _entry(key, "RULES[{}].rule", "()"))
    for kind, row in TABLE.items():
        if row.ends:
            key = f"EventType.{kind.name}"
            endless = f"from dataclasses import replace\n\nTABLE = {{**TABLE, {key}: replace(TABLE[{key}], ends=None)}}"
            yield _appended(f"event: {kind} ends nothing", "event_types", endless)
    for doubt in belief.Doubt:
        blind = f"{{name: why for name, why in _doubts(*seen).items() if name is not Doubt.{doubt.name}}}"
        yield _appended(f"belief: {doubt} speaks against nobody", "belief", f"_doubts = doubts\ndoubts = lambda *seen: {blind}")
    for name, module, function, instead in WAYS_OUT:
        yield _appended(name, module, f"{function} = {instead}")
    for guard in Guard:
        loose = f"(g, (lambda *_: (False, 'broken', None)) if g is Guard.{guard.name} else rule)"
        yield _appended(f"guard: {guard}", "guards", f"_RULES = tuple({loose} for g, rule in _RULES)")


def _replaced(key: str, rule: str) -> str:
    """The table with another rule, which keeps its words so that no test of words notices."""
    return f"_broken = {rule}\n_broken.__doc__ = RULES[{key}].__doc__\nRULES = MappingProxyType({{**RULES, {key}: _broken}})"


def _entry(key: str, rule: str, tells: str) -> str:
    """The failure's table with another entry."""
    return f"RULES = MappingProxyType({{**RULES, {key}: Entry({rule.format(key)}, {tells.format(key)})}})"


def _appended(name: str, module: str, line: str) -> Break:
    return Break(name, module, f"{(ROOT / ENGINE / module).with_suffix('.py').read_text()}\n\n{line}\n")


def comparisons() -> Iterator[Break]:
    """Every comparison that has a boundary or a contrary."""
    for path in sorted((ROOT / ENGINE).glob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in BOUNDARIES:
                kept, before = node.ops[0], ast.unparse(node)
                node.ops[0] = BOUNDARIES[type(kept)]
                yield Break(f"{path.stem}:{node.lineno}: {before}", path.stem, ast.unparse(tree))
                node.ops[0] = kept


def noticed_by(each: Break) -> tuple[str, float]:
    """The first test that fails without the rule, empty when none does, and how long that took (s)."""
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        for folder in (ENGINE, "nodes/circuit", "tests/engine"):
            shutil.copytree(ROOT / folder, here / folder)
        for package in ("nodes", "tests"):
            (here / package / "__init__.py").touch()
        (here / "pytest.ini").write_text("[pytest]\n")
        (here / ENGINE / f"{each.module}.py").write_text(each.source)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:django",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "tests",
        ]
        began = time.monotonic()
        try:
            ran = subprocess.run(
                command,
                cwd=here,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
                env={**os.environ, "PYTHONPATH": place},
            )
        except subprocess.TimeoutExpired:
            return "a test that never ended", PATIENCE
        took = time.monotonic() - began
    if ran.returncode == 0:
        return "", took
    failed = [line.split(" ")[1] for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (failed[0].rsplit("/", 1)[-1] if failed else "the import"), took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", action="store_true", help="also move every comparison of the engine")
    parser.add_argument("--only", default="", help="breaks whose name holds this text")
    options = parser.parse_args()
    breaks = [*rules(), *(comparisons() if options.comparisons else ())]
    chosen = [each for each in breaks if options.only in each.name]
    if noticed := noticed_by(Break("", "guards", (ROOT / ENGINE / "guards.py").read_text()))[0]:
        print(f"The tests fail with nothing broken: {noticed}")
        return 1
    unnoticed = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for each, (test, took) in zip(chosen, pool.map(noticed_by, chosen), strict=True):
            unnoticed += not test
            print(f"{each.name:<60} {test or 'NOBODY NOTICED':<90} {took:4.1f} s", flush=True)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} breaks noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    raise SystemExit(main())
