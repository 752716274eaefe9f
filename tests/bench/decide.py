"""What a decision costs: `decide` for a pool in which one node of many has failed and holds a share.

Every node holds a share, every guard is asked, every node is considered with its rule.  The figure is the least of the
rounds, in microseconds.  `step` is a whole batch of one passing check in a pool of which no failover is pending, `outlook` what the
page of such a pool asks for its 20 greatest shares.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import replace

from rig import Target, conclude, parser

from nodes.engine.enums import Health, Verdict
from nodes.engine.outlook import outlook
from nodes.engine.pool_step import decide, step
from nodes.engine.types import Failure, Fleet, HealthState, Member, Observation, Pool, PoolPolicy

NOW = 1_000_000.0
SIZES = (3, 100, 1000)
FLEET = Fleet()
POLICY = PoolPolicy(panic_threshold=0.3, max_failed_percent=60, cooldown=30.0)
TARGETS = [Target("decide_3_us", 20), Target("decide_100_us", 500), Target("decide_1000_us", 5000)]


def pool(size: int) -> Pool:
    """All nodes healthy, their shares by weight."""
    well = HealthState(Health.HEALTHY, since=NOW - 100, observed_at=NOW - 1, ever_eligible=True)
    names = [f"node-{number}" for number in range(size)]
    members = tuple(Member(number, name, health=well) for number, name in enumerate(names, start=1))
    made = Pool(1, "bench", members, policy=POLICY)
    share, left = divmod(10_000, size)
    return replace(made, members=tuple(replace(node, share=share + (node.id <= left)) for node in made.members))


def with_a_failure(well: Pool) -> Pool:
    first = well.members[0]
    health = replace(first.health, status=Health.FAILED, fails=3, first_bad_at=NOW - 5)
    failed = replace(first, health=health, failure=Failure(NOW - 5, NOW, "health", had_share=True))
    return replace(well, members=(failed, *well.members[1:]))


def micro(act: Callable[[], object], rounds: int) -> float:
    timer = timeit.Timer(act)
    loops = max(1, int(0.05 / (timer.timeit(1) + 1e-9)))
    return min(timer.repeat(rounds, loops)) / loops * 1e6


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    figures = {}
    print(f"{'nodes':>8}{'decide µs':>14}{'step µs':>14}{'outlook µs':>14}")
    for size in SIZES:
        well = pool(size)
        failed = with_a_failure(well)
        seen = {2: Observation(Verdict.PASS, "", 0.01, NOW, NOW)}
        decision = decide(failed, FLEET, NOW)
        assert decision is not None
        assert decision.refused_by is None
        row = (
            micro(lambda failed=failed: decide(failed, FLEET, NOW), given.rounds),
            micro(lambda well=well, seen=seen: step(well, FLEET, NOW, observations=seen), given.rounds),
            micro(lambda well=well: outlook(well, FLEET, NOW, most=20), 2),
        )
        print(f"{size:>8}" + "".join(f"{value:>14,.1f}" for value in row))
        figures |= {f"{name}_{size}_us": round(value, 1) for name, value in zip(("decide", "step", "outlook"), row, strict=True)}
    conclude(figures, TARGETS, check=given.check)


if __name__ == "__main__":
    main()
