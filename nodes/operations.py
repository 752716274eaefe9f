"""What a person does, through the same ledger as the runners, on Django's connection.

Each function commits, then hints the browsers.  `actor` is a user name.  What cannot be raises `Refused`, a sentence.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

import psycopg
from django.db import connection, models, transaction
from django.db.models.functions import Now
from psycopg.rows import dict_row

from nodes import live
from nodes.engine import commands
from nodes.engine.enums import AdminState, EventType, Guard, Mode
from nodes.engine.event_types import event
from nodes.engine.step import Refused, Step
from nodes.engine.types import Event, Fleet, Hold
from nodes.engine.types import Pool as PoolValue
from nodes.engine.what_if import Command
from nodes.ledger import PoolGoneError, checkers, clock, fleet, pull_in_due_times, transact, undecided
from nodes.ledger.clock import database_now
from nodes.ledger.history import append
from nodes.ledger.pools import advance, lock_fleet
from nodes.ledger.rows import Cursor
from nodes.ledger.take_out import take_out
from nodes.models import BreakerPolicy, Check, Checker, FailoverPolicy, FleetState, Incident, Node, NodeState, Pool, PoolState

__all__ = [
    "Edit", "Refused", "acknowledge", "add_note", "automation_refusal", "before_edit", "belief_refusal", "believe_checker",
    "carry_out", "check_now", "configuration_saved", "fail_back", "fail_over", "force_breaker", "ledger",
    "pause", "pool_of", "release_breaker", "remove_node", "remove_pool", "reset_breaker", "resume",
    "set_admin_state",
]  # fmt: skip  # names beside names

_NO_GUARDS: frozenset[Guard] = frozenset()
_NO_LEASE = 0

_log = logging.getLogger(__name__)


class UndecidedError(Refused):
    """The pool cannot be decided."""


@contextmanager
def ledger() -> Iterator[Cursor]:
    """A transaction on Django's connection, with the psycopg cursor that the ledger takes."""
    with transaction.atomic(), connection.cursor() as wrapper:
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        yield cursor


def carry_out(pool_id: int, command: Command) -> Step:
    """One command of a person on one pool; who is enabled by it is checked at once, and the hint goes out after the commit."""
    enabled: set[int] = set()

    def decide(pool: PoolValue, held: Fleet, now: float) -> Step:
        step = command(pool, held, now)
        enabled.update(_enabled(step.pool) - _enabled(pool))
        return step

    try:
        with ledger() as cursor:
            applied = transact(cursor, pool_id, lambda pool, held, _, now: decide(pool, held, now))
            if enabled:
                _due_now(enabled)
    except PoolGoneError as error:
        raise Refused(str(error)) from None
    except (Refused, psycopg.Error):
        raise
    except Exception as error:  # a row of another version or edited by hand, a policy that cannot work, a fault of ours
        _log.warning("pool %s cannot be decided", pool_id, exc_info=error)
        raise UndecidedError(f"This pool cannot be decided: {undecided.cause(error)}") from None
    transaction.on_commit(partial(live.hint, [pool_id]))
    return applied.step


def _enabled(pool: PoolValue) -> set[int]:
    return {node.id for node in pool.members if node.admin == AdminState.ENABLED}


def pool_of(node_id: int) -> int:
    """The pool of a node; raises `Refused` when it was removed."""
    found = Node.objects.filter(pk=node_id, removed_at=None).values_list("pool_id", flat=True).first()
    if found is None:
        raise Refused("This node was removed; its history is kept.")
    return found


def set_admin_state(
    node_id: int, state: AdminState, *, actor: str, reason: str = "", override: frozenset[Guard] = _NO_GUARDS
) -> None:
    """Drain, put in maintenance, disable or enable a node; its share moves at once."""
    carry_out(pool_of(node_id), lambda p, f, now: commands.set_admin(p, f, now, node_id, state, actor, reason, override=override))


def remove_node(node_id: int, *, actor: str, reason: str = "", override: frozenset[Guard] = _NO_GUARDS) -> None:
    """Take a node out for good; its name is free again, its history stays."""
    pool_id = pool_of(node_id)
    with transaction.atomic():
        carry_out(pool_id, lambda p, f, now: commands.remove(p, f, now, node_id, actor, reason, override=override))
        Node.objects.filter(pk=node_id).update(removed_at=database_now())


def remove_pool(pool_id: int, *, actor: str) -> None:
    """Take a pool and all its nodes out for good, also one that cannot be decided; slug and name are free again."""
    pool = Pool.objects.filter(pk=pool_id, removed_at=None).first()
    if pool is None:
        raise Refused("This pool was removed already.")
    with transaction.atomic():
        _remove_nodes(pool, actor)
        with ledger() as cursor:
            undecided.removed(cursor, pool_id)
        mark = f"removed-{pool.pk}"
        Pool.objects.filter(pk=pool_id).update(
            removed_at=database_now(), slug=f"{pool.slug[:60]}-{mark}", name=f"{pool.name[:60]} ({mark})"
        )


def _remove_nodes(pool: Pool, actor: str) -> None:
    nodes = Node.objects.filter(pool=pool, removed_at=None)
    try:
        with transaction.atomic():
            for node in nodes.order_by("pk"):
                remove_node(node.pk, actor=actor, reason=f"pool {pool.name} removed", override=frozenset(Guard))
    except UndecidedError:
        with ledger() as cursor:
            take_out(cursor, pool.pk, pool.name, actor=actor, now=clock.now(cursor))
        nodes.update(removed_at=database_now())


def force_breaker(
    node_id: int, mode: Mode, *, actor: str, reason: str, until: datetime | None, override: frozenset[Guard] = _NO_GUARDS
) -> None:
    """Take the breaker out of automatic mode, for good or until an instant; forced open, its node's share moves at once."""
    ends = until.timestamp() if until else None
    carry_out(
        pool_of(node_id),
        lambda p, f, now: commands.force_breaker(p, f, now, node_id, mode, reason, actor, ends, override=override),
    )


def release_breaker(node_id: int, *, actor: str, reason: str = "") -> None:
    """Give the breaker back to its own counts."""
    carry_out(pool_of(node_id), lambda p, f, now: commands.release_breaker(p, f, now, node_id, actor, reason))


def reset_breaker(node_id: int, *, actor: str, reason: str = "") -> None:
    """Close the breaker and forget its counts."""
    carry_out(pool_of(node_id), lambda p, f, now: commands.reset_breaker(p, f, now, node_id, actor, reason))


def fail_over(node_id: int, *, actor: str, reason: str = "", override: frozenset[Guard] = _NO_GUARDS) -> None:
    """Move an eligible node's share away now, by draining it."""
    carry_out(pool_of(node_id), lambda p, f, now: commands.fail_over(p, f, now, node_id, actor, reason, override=override))


def fail_back(node_id: int, *, actor: str, reason: str = "") -> None:
    """Bring a drained node back, or traffic back to the node's better tier."""
    carry_out(pool_of(node_id), lambda p, f, now: commands.fail_back(p, f, now, node_id, actor, reason))


def check_now(node_ids: Iterable[int], *, actor: str) -> int:
    """Make these nodes due at once; returns how many are checked at all.  No event: a check changes nothing by itself."""
    return _due_now(node_ids)


def _due_now(node_ids: Iterable[int]) -> int:
    with transaction.atomic():
        found = NodeState.objects.filter(node_id__in=list(node_ids)).exclude(admin_state=AdminState.DISABLED)
        locked = list(found.order_by("pk").select_for_update().values_list("pk", flat=True))
        return NodeState.objects.filter(pk__in=locked).update(due_at=Now(), version=models.F("version") + 1)


def pause(pool_id: int | None, *, actor: str, reason: str, until: datetime | None = None) -> None:
    """Hold automation back, in one pool or (None) everywhere."""
    ends = until.timestamp() if until else None
    if pool_id is not None:
        carry_out(pool_id, lambda p, f, at: commands.pause(p, f, at, actor, reason, ends))
        return
    with ledger() as cursor:
        now = clock.now(cursor)
        if not fleet.pause(cursor, Hold(reason, owner=actor, since=now, until=ends), now):
            raise Refused("All automation is paused already.")
    transaction.on_commit(partial(live.hint, []))


def automation_refusal(*, paused: bool) -> str:
    """Why all automation cannot be paused, or resumed, as it stands now; empty when it can be."""
    held = FleetState.objects.filter(paused__isnull=False).exists()
    return "" if held != paused else "All automation is paused already." if paused else "Automation is not paused."


def belief_refusal(host: str) -> str:
    """Why this checker cannot be believed; empty when it is isolated."""
    if "\0" not in host and Checker.objects.filter(host=host).exclude(doubt="").exists():
        return ""
    return f"Checker {host[:60] or '(none)'} is not isolated; reload the page."


def believe_checker(host: str, *, actor: str) -> None:
    """Believe an isolated checker in spite of what speaks against it; what failed meanwhile counts from now on."""
    with ledger() as cursor:
        if not checkers.believe(cursor, host, actor):
            raise Refused(f"Checker {host[:60] or '(none)'} is not isolated; reload the page.")
    transaction.on_commit(partial(live.hint, []))


def resume(pool_id: int | None, *, actor: str) -> None:
    """Let automation act again, in one pool or (None) everywhere."""
    if pool_id is not None:
        carry_out(pool_id, lambda p, f, now: commands.resume(p, f, now, actor))
        return
    with ledger() as cursor:
        if not fleet.resume(cursor, actor, clock.now(cursor)):
            raise Refused("Automation is not paused.")
    transaction.on_commit(partial(live.hint, []))


def acknowledge(incident_id: int, *, actor: str, note: str) -> None:
    """Say that somebody is at it; lifts the pool's cool-down.  The first acknowledgement stays.

    Locks: the pool, then the incident, as whoever closes it does.
    """
    pool_id, flapping = Incident.objects.values_list("pool_id", "node_id").get(pk=incident_id)
    with transaction.atomic():
        carry_out(pool_id, lambda p, f, now: commands.acknowledge(p, f, now, actor, note, flapping))
        incident = Incident.objects.select_for_update().get(pk=incident_id)
        if incident.acknowledged_at is not None:
            raise Refused(f"{incident.acknowledged_by} acknowledged this incident already.")
        if incident.closed_at is not None:
            raise Refused("This incident is closed.")
        incident.acknowledged_at, incident.acknowledged_by, incident.acknowledgement = database_now(), actor, note[:500]
        incident.save(update_fields=["acknowledged_at", "acknowledged_by", "acknowledgement"])


def add_note(incident_id: int, *, actor: str, note: str) -> None:
    """Write something beside an incident that is acknowledged, or over.

    Locks: the pool, as every event of a pool does.
    """
    incident = Incident.objects.get(pk=incident_id)
    if incident.acknowledged_at is None and incident.closed_at is None:
        raise Refused("Acknowledge the incident first; a note can be added then.")
    with ledger() as cursor:
        PoolState.objects.filter(pool=incident.pool_id).update(version=models.F("version") + 1)
        told = event(EventType.NOTE_ADDED, f"{actor} noted: {note}", detail={"note": note}, actor=actor)
        append(cursor, told, clock.now(cursor), pool=incident.pool_id, incident=incident_id)
    transaction.on_commit(partial(live.hint, [incident.pool_id]))


def before_edit() -> None:
    """Call it first in the transaction that saves configuration: the fleet is locked before rows that events refer to."""
    with ledger() as cursor:
        lock_fleet(cursor, exclusive=True)


class Edit(StrEnum):
    """What a person did to a row of the configuration; the words are used in messages."""

    ADDED = "added"
    EDITED = "edited"
    DELETED = "deleted"


def configuration_saved(
    instance: models.Model,
    *,
    actor: str,
    before: Mapping[str, str],
    after: Mapping[str, str],
    edit: Edit = Edit.EDITED,
    address: str = "",
) -> None:
    """Call it in the transaction that saved `instance`: adds missing state rows, tells the change, lets the engine see it.

    `before` and `after` hold the text of the changed fields alone, by label, secrets as the word “changed”; `address` is the
    actor's.
    """
    now = database_now()
    pools = _pools_touched(instance)
    for pool_id in pools:
        PoolState.objects.get_or_create(pool_id=pool_id)
        _add_missing_nodes(pool_id, actor, now)
    with ledger() as cursor:
        fleet.edited(cursor)
        if before or after or edit != Edit.EDITED:
            told = _change_event(instance, actor, before, after, edit)
            told = replace(told, detail={**told.detail, "address": address}) if address else told
            append(cursor, told, now.timestamp(), pool=_event_pool(instance))
        for pool_id in pools:
            _advance(cursor, pool_id)
        pull_in_due_times(cursor)
    transaction.on_commit(partial(live.hint, pools))


def _advance(cursor: Cursor, pool_id: int) -> None:
    """One pool that cannot be decided keeps nobody from editing: the edit may be what mends it, or the policy is another's too."""
    try:
        with transaction.atomic():
            advance(cursor, pool_id)
    except psycopg.Error:
        raise
    except Exception as error:
        _log.warning("pool %s cannot be decided", pool_id, exc_info=error)
        undecided.note(cursor, pool_id, _NO_LEASE, (), undecided.cause(error))


def _pools_touched(instance: models.Model) -> list[int]:
    live_pools = Pool.objects.filter(removed_at=None)
    match instance:
        case Pool():
            found = live_pools.filter(pk=instance.pk)
        case Node():
            found = live_pools.filter(pk=instance.pool_id)
        case Check():
            found = live_pools.filter(pk=instance.node.pool_id)
        case BreakerPolicy():
            found = live_pools.filter(breaker_policy=instance)
        case FailoverPolicy():
            found = live_pools.filter(failover_policy=instance)
        case _:
            found = live_pools.none()
    return list(found.order_by("pk").values_list("pk", flat=True))


def _event_pool(instance: models.Model) -> int | None:
    match instance:
        case Pool():
            return instance.pk
        case Node():
            return instance.pool_id
        case Check():
            return instance.node.pool_id
    return None


def _add_missing_nodes(pool_id: int, actor: str, now: datetime) -> None:
    """State rows for new nodes; their first checks are spread over one interval."""
    missing = Node.objects.filter(pool_id=pool_id, removed_at=None, state=None).select_related("pool__failover_policy")
    for node in missing:
        interval = node.interval or node.pool.failover_policy.interval
        NodeState.objects.create(
            node=node, pool_id=pool_id, due_at=now + timedelta(seconds=random.random() * min(interval, 10.0)), health_since=now
        )
        added = event(EventType.NODE_ADDED, f"{node.name} added to {node.pool.name}", node=node.pk, actor=actor)
        with ledger() as cursor:
            append(cursor, added, now.timestamp(), pool=pool_id)


def _change_event(instance: models.Model, actor: str, before: Mapping[str, str], after: Mapping[str, str], edit: Edit) -> Event:
    kind = instance._meta.verbose_name
    labels = ", ".join(sorted({*before, *after}))
    node = instance.pk if isinstance(instance, Node) else instance.node_id if isinstance(instance, Check) else None
    return event(
        EventType.CONFIG_CHANGED,
        f"{actor} {edit} {kind} {instance}{f': {labels}' if labels else ''}",
        node=node,
        actor=actor,
        detail={"object": f"{kind} {instance}", "before": dict(before), "after": dict(after)},
    )
