"""Rows of the hot tables as values of the engine, and back.

A cursor here is a psycopg cursor with dictionary rows.  It may be Django's, which hands JSON over as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from nodes.engine import enums, types

Row = dict[str, Any]
V = TypeVar("V")
Cursor = psycopg.Cursor[Row]


def seconds(moment: datetime | None) -> float | None:
    """A database time as seconds since the epoch."""
    return None if moment is None else moment.timestamp()


def moment(instant: float | None) -> datetime | None:
    """Seconds since the epoch as a database time."""
    return None if instant is None else datetime.fromtimestamp(instant, UTC)


def plain(value: Any) -> Any:
    """The Python object of a JSON column, whichever connection it came from."""
    return json.loads(value) if isinstance(value, str) else value


def hold(value: Any) -> types.Hold | None:
    """A stored hold; one that cannot be read holds all the same, until a person resumes."""
    try:
        return _loaded(types.Hold, value)
    except (TypeError, ValueError) as error:
        return types.Hold(f"a stored hold cannot be read, resume to remove it: {error}", owner="", since=0.0)


def as_json(value: Any) -> Jsonb | None:
    """A frozen value for a JSON column."""
    return None if value is None else Jsonb(asdict(value))


def _loaded(kind: Callable[..., V], value: Any) -> V | None:
    return None if value is None else kind(**plain(value))


def failure(value: Any) -> types.Failure | None:
    loaded = plain(value)
    if loaded is None:
        return None
    fields = {name: part for name, part in loaded.items() if name != "id"}
    fields["receivers"] = tuple(fields["receivers"])
    fields["refused_by"] = fields["refused_by"] and enums.Guard(fields["refused_by"])
    told = fields.get("told_guards") or [fields["refused_by"]]  # a row of an older version knows the last guard alone
    fields["told_guards"] = tuple(enums.Guard(each) for each in told if each)
    return types.Failure(**fields)


def flapping(value: Any) -> types.Flapping | None:
    loaded = plain(value)
    return None if loaded is None else types.Flapping(**{name: part for name, part in loaded.items() if name != "id"})


def member(row: Mapping[str, Any]) -> types.Member:
    """One node as the engine sees it, from the join of its configuration, its policies and its hot row."""
    return types.Member(
        id=row["node_id"],
        name=row["name"],
        weight=row["weight"],
        priority=row["priority"],
        admin=enums.AdminState(row["admin_state"]),
        health_policy=health_policy(row),
        breaker_policy=breaker_policy(row),
        health=types.HealthState(
            status=enums.Health(row["health"]),
            fails=row["fails"],
            passes=row["passes"],
            since=seconds(row["health_since"]) or 0.0,
            first_bad_at=seconds(row["first_bad_at"]),
            observed_at=seconds(row["observed_at"]),
            seen_by=tuple(row["seen_by"]),
            confirm_until=seconds(row["confirm_until"]),
            due_interval=row["due_interval"],
            stale=row["stale"],
            ever_eligible=row["ever_able"],
            fault=row["fault"],
            results=row["results"],
            alternating=row["alternating"],
        ),
        breaker=_breaker(row),
        share=row["share"],
        failure=failure(row["failure"]),
        ramp=_loaded(types.Ramp, row["ramp"]),
        trial=_loaded(types.Trial, row["trial"]),
        enabled_by=row["enabled_by"],
        capacity=row["capacity"],
        load=_loaded(types.Load, row["load"]),
        last_failure=_loaded(types.LastFailure, row["last_failure"]),
        flapping=flapping(row["flapping"]),
        trials_epoch=row["trials_epoch"],
    )


def _breaker(row: Mapping[str, Any]) -> types.Breaker:
    return types.Breaker(
        state=enums.State(row["breaker_state"]),
        generation=row["breaker_generation"],
        failures=row["breaker_failures"],
        successes=row["breaker_successes"],
        opened_at=seconds(row["breaker_opened_at"]),
        first_opened_at=seconds(row["breaker_first_opened_at"]),
        reopened=row["breaker_reopened"],
        wait=row["breaker_wait"],
        opened_by=enums.Origin(row["breaker_opened_by"]) if row["breaker_opened_by"] else None,
        opened_why=row["breaker_opened_why"],
        window=window(row["breaker_window"]),
        reported=run(row["breaker_reported"]),
        trials=tuple(types.Lease(*lease) for lease in plain(row["breaker_trials"])),
        last_permit=row["breaker_last_permit"],
        mode=enums.Mode(row["breaker_mode"]),
        mode_reason=row["breaker_mode_reason"],
        mode_owner=row["breaker_mode_owner"],
        mode_until=seconds(row["breaker_mode_until"]),
        stats=types.BreakerStats(
            total=row["breaker_total"],
            successful=row["breaker_successful"],
            failed=row["breaker_failed"],
            rejected=row["breaker_rejected"],
            ignored=row["breaker_ignored"],
            late=row["breaker_late"],
            late_lapsed=row["breaker_late_lapsed"],
            opened=row["breaker_times_opened"],
            last_change=seconds(row["breaker_last_change"]),
            closings=row["breaker_closings"],
            open_seconds=row["breaker_open_seconds"],
        ),
    )


def window(stored: Any) -> types.Window:
    """The window of recent calls as it is stored."""
    if not (loaded := plain(stored)):
        return types.Window()
    calls, spans = loaded
    return types.Window(bytes.fromhex(calls), tuple((at, seen, failed, slow) for at, seen, failed, slow in spans))


def run(stored: Any) -> types.Run:
    """The run of reported calls as it is stored."""
    loaded = plain(stored)
    return types.Run(loaded[0], window(loaded[1])) if loaded else types.Run()


def _stored(window: types.Window) -> tuple[Any, ...]:
    return (window.calls.hex(), window.spans) if window.calls or window.spans else ()


def health_policy(row: Mapping[str, Any]) -> types.HealthPolicy:
    """The policy in force: what the node overrides, else its pool's.  Raises `PolicyError` when no time can be made of it."""

    def first(name: str) -> Any:
        return row[f"pool_{name}"] if row[f"node_{name}"] is None else row[f"node_{name}"]

    policy = types.HealthPolicy(
        interval=first("interval"),
        fast_interval=first("fast_interval"),
        down_interval=first("down_interval"),
        check_timeout=first("check_timeout"),
        failure_threshold=first("failure_threshold"),
        recovery_threshold=first("recovery_threshold"),
        degraded_latency=first("degraded_latency"),
    )
    for given in (policy.interval, policy.fast_interval, policy.down_interval, policy.check_timeout):
        if given is not None and not 0 < given < inf:
            raise types.PolicyError(f"an interval or a check timeout of {given} s cannot be kept, correct its policy or its node")
    return policy


def breaker_policy(row: Mapping[str, Any]) -> types.BreakerPolicy:
    return types.BreakerPolicy(**{name: row[f"breaker_policy_{name}"] for name in BREAKER_POLICY_FIELDS})


BREAKER_POLICY_FIELDS = tuple(types.BreakerPolicy.__dataclass_fields__)
HEALTH_POLICY_FIELDS = tuple(types.HealthPolicy.__dataclass_fields__)


def columns(node: types.Member) -> Row:
    """The hot row's columns that the engine rules, as the database takes them."""
    health = node.health
    return _breaker_columns(node.breaker) | {
        "admin_state": node.admin.value,
        "health": health.status.value,
        "health_since": moment(health.since) if health.since else None,
        "fails": health.fails,
        "passes": health.passes,
        "first_bad_at": moment(health.first_bad_at),
        "observed_at": moment(health.observed_at),
        "seen_by": list(health.seen_by),
        "confirm_until": moment(health.confirm_until),
        "due_interval": health.due_interval,
        "stale": health.stale,
        "ever_able": health.ever_eligible,
        "fault": health.fault[:200],
        "results": health.results,
        "alternating": health.alternating,
        "share": node.share,
        "ramp": asdict(node.ramp) if node.ramp else None,
        "trial": asdict(node.trial) if node.trial else None,
        "enabled_by": node.enabled_by[:150],
        "load": asdict(node.load) if node.load else None,
        "last_failure": asdict(node.last_failure) if node.last_failure else None,
        "trials_epoch": node.trials_epoch,
    }


def _breaker_columns(breaker: types.Breaker) -> Row:
    reported = breaker.reported
    return {
        "breaker_state": breaker.state.value,
        "breaker_generation": breaker.generation,
        "breaker_failures": breaker.failures,
        "breaker_successes": breaker.successes,
        "breaker_opened_at": moment(breaker.opened_at),
        "breaker_first_opened_at": moment(breaker.first_opened_at),
        "breaker_reopened": breaker.reopened,
        "breaker_wait": breaker.wait,
        "breaker_opened_by": breaker.opened_by.value if breaker.opened_by else "",
        "breaker_opened_why": breaker.opened_why[:120],
        "breaker_window": _stored(breaker.window),
        "breaker_reported": (reported.failures, _stored(reported.window)) if reported != types.Run() else (),
        "breaker_trials": tuple((lease.permit, lease.ends_at, lease.generation) for lease in breaker.trials),
        "breaker_last_permit": breaker.last_permit,
        "breaker_mode": breaker.mode.value,
        "breaker_mode_reason": breaker.mode_reason[:200],
        "breaker_mode_owner": breaker.mode_owner[:150],
        "breaker_mode_until": moment(breaker.mode_until),
        "breaker_total": breaker.stats.total,
        "breaker_successful": breaker.stats.successful,
        "breaker_failed": breaker.stats.failed,
        "breaker_rejected": breaker.stats.rejected,
        "breaker_ignored": breaker.stats.ignored,
        "breaker_late": breaker.stats.late,
        "breaker_late_lapsed": breaker.stats.late_lapsed,
        "breaker_times_opened": breaker.stats.opened,
        "breaker_last_change": moment(breaker.stats.last_change),
        "breaker_closings": breaker.stats.closings,
        "breaker_open_seconds": breaker.stats.open_seconds,
    }


def pool_columns(pool: types.Pool) -> Row:
    """The pool's state row as the database takes it, without what only the ledger knows."""
    return {
        "epoch": pool.epoch,
        "active_tier": pool.active_tier,
        "last_failover_at": moment(pool.last_failover_at),
        "cooldown_lifted_at": moment(pool.cooldown_lifted_at),
        "better_tier_since": moment(pool.better_tier_since),
        "failback_told": pool.failback_told,
        "rebalanced_at": moment(pool.rebalanced_at),
        "low_capacity": pool.low_capacity,
        "down": pool.down,
    }


def pool(row: Mapping[str, Any], members: tuple[types.Member, ...]) -> types.Pool:
    return types.Pool(
        id=row["pool_id"],
        name=row["name"],
        members=members,
        strategy=enums.Strategy(row["strategy"]),
        policy=types.PoolPolicy(
            panic_threshold=row["panic_threshold"],
            max_failed_percent=row["max_failed_percent"],
            cooldown=row["cooldown"],
            failback=enums.Failback(row["failback"]),
            failback_delay=row["failback_delay"],
            auto_rebalance=row["auto_rebalance"],
            rebalance_interval=row["rebalance_interval"],
            slow_start=row["slow_start"],
            flapping_within=row["flapping_within"],
            heal_unreported_after=row["heal_unreported_after"],
            page_on=enums.PageOn(row["page_on"]),
        ),
        epoch=row["epoch"],
        active_tier=row["active_tier"],
        paused=hold(row["paused"]),
        last_failover_at=seconds(row["last_failover_at"]),
        cooldown_lifted_at=seconds(row["cooldown_lifted_at"]),
        better_tier_since=seconds(row["better_tier_since"]),
        failback_told=row["failback_told"],
        rebalanced_at=seconds(row["rebalanced_at"]),
        low_capacity=row["low_capacity"],
        down=row["down"],
    )
