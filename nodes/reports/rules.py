"""The figures of a report and how each one is counted; pages, CSV and JSON print these very sentences."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One column: its key in `Row`, its heading, its unit for people, and its rule."""

    key: str
    title: str
    unit: str  # "percent", "seconds", "count", "latency" or "moment"
    rule: str


RULES = (
    Figure(
        "availability",
        "Availability",
        "percent",
        "Node: 1 − downtime ÷ measured time. Pool: the part of the measured time in which not every measured node was down. "
        "Measured time is the part of the range in which the node existed, without maintenance, disabled and unmonitored time.",
    ),
    Figure(
        "downtime",
        "Downtime",
        "seconds",
        "Node: from the first bad check of each failure until the node was eligible again, inside measured time; one that is "
        "still open counts until now. Pool: time in which all its measured nodes were down together.",
    ),
    Figure(
        "counted",
        "Measured time",
        "seconds",
        "The range, from the node's creation on and until its removal or now, without the time in maintenance, disabled or "
        "unmonitored: all of it is up or down. Pool: time in which at least one node was measured.",
    ),
    Figure(
        "set_aside",
        "Excluded",
        "seconds",
        "Time in maintenance or disabled inside the range, in which nothing counts as downtime. "
        "Pool: such time of a node while no node was measured.",
    ),
    Figure(
        "unwatched",
        "Unmonitored",
        "seconds",
        "Time without a failure in which no check had a result for longer than twice the interval and the check's time-out (12 s "
        "at least), say while this console was off: it counts neither as up nor as down. To the minute in a range of up to a day "
        "of the last 30, to the hour up to 100 days, else to the day. Pool: such time of a node while no node was measured.",
    ),
    Figure(
        "unknown",
        "Unknown checks",
        "percent",
        "Checks whose outcome we could not learn for reasons of our own ÷ all checks. They count neither for nor against the node.",
    ),
    Figure(
        "failures",
        "Failures",
        "count",
        "Failures marked inside the range. Pool: failures of its nodes; incidents are counted beside them.",
    ),
    Figure("last_failure", "Last failure", "moment", "When the last of these failures was marked."),
    Figure(
        "incidents",
        "Incidents",
        "count",
        "Incidents of the pool detected inside the range, those of its flapping nodes too. "
        "Node: incidents that one of its failures belongs to.",
    ),
    Figure(
        "failovers",
        "Failovers",
        "count",
        "Failovers in the range that moved a share, by automation or by a person who overrode a guard; refusals, drains and the "
        "share of a failed trial are none.",
    ),
    Figure("last_failover", "Last failover", "moment", "When the last of these failovers moved its share."),
    Figure(
        "moved_out",
        "Out now",
        "count",
        "Failures whose share had moved and which were still open at the end of the range.",
    ),
    Figure("recoveries", "Recoveries", "count", "Failures that ended inside the range, the node being eligible again or excluded."),
    Figure("last_recovery", "Last recovery", "moment", "When the last of these failures ended."),
    Figure(
        "rebalances",
        "Rebalances",
        "count",
        "Changes of shares in the range that brought them to their weights, by schedule or by hand, and first shares of new nodes. "
        "Node: those that were about it alone.",
    ),
    Figure("last_rebalance", "Last rebalance", "moment", "When the last of these rebalances was made."),
    Figure(
        "to_detect",
        "Time to detect (MTTD)",
        "seconds",
        "Mean of: start of the first bad check → failure marked, over failures marked in the range.",
    ),
    Figure(
        "to_fail_over",
        "Time to fail over",
        "seconds",
        "Mean of: failure marked → its share had moved, over failures marked in the range that had a share to move and moved it.",
    ),
    Figure(
        "to_recover",
        "Time to recover (MTTR)",
        "seconds",
        "Mean of: failure marked → eligible again, over failures that ended in the range.",
    ),
    Figure(
        "between_failures",
        "Time between failures (MTBF)",
        "seconds",
        "(Measured time − downtime) ÷ failures, summed over the nodes of a pool; empty without a failure.",
    ),
    Figure(
        "recovery_success",
        "Recovery success",
        "percent",
        "recovery_completed ÷ recovery_started events in the range; empty without an attempt. "
        "An attempt that began before the range can make it exceed 100 %. "
        "Of the trials of an open breaker the first and every tenth count.",
    ),
    Figure(
        "breaker_opens",
        "Breaker opens",
        "count",
        "breaker_opened events in the range; a reopening from half-open is no new opening.",
    ),
    Figure(
        "rejected_trials",
        "Rejected trials",
        "count",
        "Trials that failed and opened the breaker again: for each opening the highest reopening number in the range, less the "
        "highest before it, by breaker_reopened events (one for the first and then every tenth, so that up to nine may be "
        "missing yet).",
    ),
    Figure(
        "p50", "Latency p50", "latency", "From the roll-ups' histograms of passing and warning checks; exact to one bucket (9.3 %)."
    ),
    Figure("p95", "Latency p95", "latency", "As p50."),
    Figure("p99", "Latency p99", "latency", "As p50."),
    Figure("checks", "Checks", "count", "Checks in the roll-ups of the range; the last two minutes may not be rolled up yet."),
)

# The columns that a page shows together, by the word of the group in its address; exports have all of them.
GROUPS = {
    "availability": ("availability", "downtime", "counted", "set_aside", "unwatched", "unknown", "checks"),
    "failures": ("failures", "last_failure", "incidents", "failovers", "last_failover", "moved_out", "recoveries", "last_recovery"),
    "speed": ("to_detect", "to_fail_over", "to_recover", "between_failures", "p50", "p95", "p99"),
    "breakers": ("recovery_success", "breaker_opens", "rejected_trials", "rebalances", "last_rebalance"),
}


def group(name: str) -> tuple[Figure, ...]:
    """The columns of a group, in its order."""
    by_key = {figure.key: figure for figure in RULES}
    return tuple(by_key[key] for key in GROUPS[name])
