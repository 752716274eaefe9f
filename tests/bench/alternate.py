"""One bench in two checkouts in turn, so that a machine that grows slower meanwhile is slower for both: the medians.

    git worktree add --detach ../before 1a2b3c4 && make -C ../before install
    python tests/bench/alternate.py ../before pipeline.py --nodes 4000 --seconds 15

Each checkout runs its own copy of the bench with its own `.venv`; the other goes first in every pair.  *here/other* is the median
of the ratios within the pairs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from rig import ROOT


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5, help="of each checkout")
    arguments.add_argument("other", type=Path, help="a checkout with its own .venv")
    arguments.add_argument("bench", help="a script of tests/bench")
    arguments.add_argument("words", nargs=argparse.REMAINDER, help="what the bench is given")
    given = arguments.parse_args()
    other: list[dict[str, float]] = []
    here: list[dict[str, float]] = []
    for _ in range(given.runs):
        other.append(_figures(given.other.resolve(), given.bench, given.words))
        here.append(_figures(ROOT, given.bench, given.words))
    print(f"{'':28}{'other':>12}{'here':>12}  here/other   each pair, other and here")
    for name in here[0]:
        if all(name in run for run in other):
            _tell(name, [run[name] for run in other], [run[name] for run in here])


def _figures(checkout: Path, bench: str, words: list[str]) -> dict[str, float]:
    ran = subprocess.run(
        [checkout / ".venv/bin/python", f"tests/bench/{bench}", *words],
        cwd=checkout,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = ran.stdout.splitlines()
    if ran.returncode or not lines:
        sys.exit(f"{bench} in {checkout} ended with {ran.returncode}: {ran.stdout[-2000:]}")
    figures: dict[str, float] = json.loads(lines[-1])["figures"]
    return figures


def _tell(name: str, other: list[float], here: list[float]) -> None:
    pairs = list(zip(other, here, strict=True))
    ratio = statistics.median(new / old if old else float("nan") for old, new in pairs)
    each = "  ".join(f"{old:,.1f} {new:,.1f}" for old, new in pairs)
    print(f"{name:28}{statistics.median(other):12,.1f}{statistics.median(here):12,.1f}{ratio:12.2f}   {each}")


if __name__ == "__main__":
    main()
