"""The fleet in three sentences: who is what and why, the truth for users and what is waited for, and the next truth.  Pure.

In: all pools, what the console knows of itself, and who has acknowledged what.  Out: a `FleetVerdict` with tone, shape, the
counts of the three lamps, and what tab and favicon show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nodes.engine.causes import causes, common_cause, who
from nodes.engine.enums import AdminState, Guard
from nodes.engine.headline import MOST_NAMED, listed
from nodes.engine.sentences import NOTHING, Part, Sentence, joined, lasting, plain, strong
from nodes.engine.service import FleetView, NodeView, PoolStatus, PoolView, Service, Truth, truth
from nodes.engine.types import FULL_SHARE, Hold

_TONES = {Service.USERS_HIT: "bad", Service.UNKNOWN: "idle", Service.LESS_RESERVE: "warn", Service.SERVED: "ok"}
_GROUNDS = {tone: service.value for service, tone in _TONES.items()} | {"idle": "lost"}
_MARKS = {Service.USERS_HIT: "✕", Service.UNKNOWN: "?", Service.LESS_RESERVE: "▲"}  # a tab's title, where nothing has a shape

Acknowledged = Mapping[int, str]  # pool with an open incident -> who has acknowledged it; empty: nobody


@dataclass(frozen=True, slots=True)
class Counts:
    """Pools by what their users feel; `idle` are those that nobody is to be served by."""

    users_hit: int = 0
    less_reserve: int = 0
    served: int = 0
    unknown: int = 0
    idle: int = 0


@dataclass(frozen=True, slots=True)
class FleetVerdict:
    """`tone` is bad, warn, ok or idle; `shape` the word of the worst pool's shape; `title` empty while all is served."""

    service: Service
    shape: PoolStatus
    tone: str
    first: Sentence
    second: Sentence = NOTHING
    third: Sentence = NOTHING
    title: str = ""
    counts: Counts = Counts()

    @property
    def ground(self) -> str:
        """The class of its ground: that of the truth its tone has, `lost` while the console cannot tell."""
        return _GROUNDS[self.tone]

    @property
    def favicon(self) -> str:
        return f"favicon-{self.service}.svg"


@dataclass(frozen=True, slots=True)
class Judged:
    """A pool and its truth."""

    pool: PoolView
    truth: Truth

    @property
    def name(self) -> str:
        return self.pool.name


def fleet_verdict(pools: Sequence[PoolView], fleet: FleetView, acknowledged: Acknowledged | None = None) -> FleetVerdict:
    judged = sorted((Judged(pool, truth(pool, fleet)) for pool in pools), key=lambda each: each.truth.rank)
    counts = _counts(judged)
    if not judged or fleet.blind:
        return replace(_blind(fleet) if fleet.blind else _NO_POOL, counts=counts, third=_third([], fleet))
    worst = _worst(judged)
    rest = [each for each in judged[len(worst) :] if each.truth.in_use]
    service = worst[0].truth.service
    if all(each.truth.service is Service.SERVED for each in judged if each.truth.in_use):
        return _calm(judged, counts, fleet)
    return FleetVerdict(
        service,
        worst[0].truth.status,
        _TONES[service],
        _what(worst),
        _for_users(worst, fleet, acknowledged or {}),
        _third(rest, fleet, [each.pool for each in judged]),
        _title(worst),
        counts,
    )


def _worst(judged: Sequence[Judged]) -> list[Judged]:
    """What line 1 is about: of pools that are served the first alone, since it says by whom; of others all in the same state."""
    first = judged[0]
    if first.truth.service in (Service.LESS_RESERVE, Service.SERVED):
        return [first]
    return [each for each in judged if each.truth.rank == first.truth.rank]


def _counts(judged: Sequence[Judged]) -> Counts:
    used = [each.truth.service for each in judged if each.truth.in_use]
    return Counts(
        users_hit=used.count(Service.USERS_HIT),
        less_reserve=used.count(Service.LESS_RESERVE),
        served=used.count(Service.SERVED),
        unknown=used.count(Service.UNKNOWN),
        idle=len(judged) - len(used),
    )


_NO_POOL = FleetVerdict(Service.UNKNOWN, PoolStatus.IDLE, "idle", plain("No pool yet: an admin adds the first one"))


def _blind(fleet: FleetView) -> FleetVerdict:
    return FleetVerdict(
        Service.UNKNOWN,
        PoolStatus.STALE,
        "idle",
        plain(f"The console cannot tell: {fleet.blind}"),
        joined((strong("Whether users are hit is not known."), lasting("Shares stay as they are", fleet.blind_since))),
        title=f"{_MARKS[Service.UNKNOWN]} cannot tell",
    )


def _calm(judged: Sequence[Judged], counts: Counts, fleet: FleetView) -> FleetVerdict:
    """No pool needs a look; those that nobody is to be served by are no trouble."""
    served = [each.pool for each in judged if each.truth.in_use]
    third = _third([], fleet, [each.pool for each in judged])
    if not served:
        return FleetVerdict(Service.UNKNOWN, judged[0].truth.status, "idle", plain(_unused(judged)), third=third, counts=counts)
    idle = f"; {_pools([each for each in judged if not each.truth.in_use])} not in service" if counts.idle else ""
    moving = [each.pool for each in judged if each.truth.status is PoolStatus.RECOVERING]
    second = f"No user is hit; shares of {_names(moving)} come back in steps." if moving else "No user is hit, and nobody is out."
    if any(node.admin is not AdminState.ENABLED for pool in served for node in pool.nodes) and not moving:
        second = "No user is hit; only who was taken out by a person is out."
    return FleetVerdict(
        Service.SERVED,
        PoolStatus.HEALTHY,
        "warn" if fleet.troubles else "ok",
        plain(f"{_all(served)} served{idle}"),
        plain(second),
        third,
        counts=counts,
    )


def _unused(judged: Sequence[Judged]) -> str:
    one = len(judged) == 1
    if all(each.truth.status is PoolStatus.UNKNOWN for each in judged):
        return f"{_names([each.pool for each in judged])} {'is' if one else 'are'} not in service yet: no node has passed a check"
    return f"{_names([each.pool for each in judged])} {'is' if one else 'are'} not in service"


def _all(pools: Sequence[PoolView]) -> str:
    if len(pools) == 1:
        return f"{pools[0].name} is"
    return "Both pools are" if len(pools) == 2 else f"All {len(pools)} pools are"


def _pools(judged: Sequence[Judged]) -> str:
    return f"{_names([each.pool for each in judged])} {'is' if len(judged) == 1 else 'are'}"


def _names(pools: Sequence[PoolView]) -> str:
    more = len(pools) - MOST_NAMED
    names = [pool.name for pool in pools]
    return listed(names) if more <= 0 else listed([*names[:MOST_NAMED], f"{more} more"])


# Line 1 -----------------------------------------------------------------------------------------------------------------


def _what(worst: Sequence[Judged]) -> Sentence:
    """Who is what, and why; of several in the same state the names."""
    if len(worst) == 1:
        return _what_of(worst[0])
    status, pools = worst[0].truth.status, [each.pool for each in worst]
    state = {
        PoolStatus.PENDING: "have a failover pending",
        PoolStatus.STALE: "have no fresh checks",
        PoolStatus.UNKNOWN: "cannot be decided",
    }.get(status, "are down")
    shared = common_cause([(pool, _failing(pool)) for pool in pools]) if status is not PoolStatus.UNKNOWN else ""
    return plain(f"{_names(pools)} {state}{f': {shared}' if shared else ''}")


def _what_of(each: Judged) -> Sentence:
    pool, status = each.pool, each.truth.status
    name = Part(pool.name, slug=pool.slug)
    if status is PoolStatus.DOWN:
        return Sentence((name, Part(f" is down: {causes(pool, _failing(pool)) or 'no node holds traffic'}")))
    if status is PoolStatus.PENDING:
        return Sentence((name, Part(_sent_astray(pool))))
    if each.truth.service is Service.UNKNOWN:
        why = pool.undecided or causes(pool, _failing(pool))
        return Sentence((Part("The console cannot tell how "), name, Part(f" is served: {why}")))
    return Sentence((name, Part(f" is served by {_servers(pool)}{_reason(pool)}")))


def _sent_astray(pool: PoolView) -> str:
    """The part of the traffic that is where it should not be."""
    nodes = [node for node in pool.nodes if node.misdirected]
    points = sum(node.share for node in nodes)
    much = "all traffic" if points == FULL_SHARE else f"{points / 100:g}\N{NO-BREAK SPACE}%"
    return f" still sends {much} to {who(pool, nodes)}: {causes(pool, nodes)}"


def _failing(pool: PoolView) -> list[NodeView]:
    """Who should serve and does not, those that hold a share before all others."""
    bad = [node for node in pool.nodes if node.out or node.misdirected or (node.wanted and node.in_doubt)]
    return bad or [node for node in pool.nodes if not node.eligible]


def _servers(pool: PoolView) -> str:
    serving = pool.serving
    if len(serving) == len(pool.nodes) or len(serving) > MOST_NAMED:
        return f"{len(serving)} of {len(pool.nodes)} nodes" if len(serving) < len(pool.nodes) else who(pool, serving)
    return listed([node.name for node in serving])


def _reason(pool: PoolView) -> str:
    out = [node for node in pool.nodes if node.out or (node.wanted and node.in_doubt)]
    if out:
        return f": {causes(pool, out)}"
    return ": less than half of the weight is left" if pool.low_capacity else ""


# Line 2 -----------------------------------------------------------------------------------------------------------------


def _for_users(worst: Sequence[Judged], fleet: FleetView, acknowledged: Acknowledged) -> Sentence:
    """The truth for users, since when, what is waited for, and whether somebody is on it."""
    service = worst[0].truth.service
    since = min((each.truth.since for each in worst if each.truth.since is not None), default=None)
    if service is Service.USERS_HIT:
        hit = lasting("Users are hit", since, is_strong=True)
        return joined((hit, _awaited(worst[0].pool, fleet), _acknowledgement(worst, acknowledged)))
    if service is Service.UNKNOWN:
        return joined((strong("Whether users are hit is not known."), lasting("Shares stay as they are", since)))
    return joined((strong("No user is hit."), lasting("Less reserve", since), _acknowledgement(worst, acknowledged)))


def _awaited(pool: PoolView, fleet: FleetView) -> Sentence:
    """What keeps the traffic where it is not served."""
    pause = fleet.paused or pool.paused
    if pause is not None and any(node.misdirected for node in pool.nodes):
        return _blocked("The failover is blocked", pause)
    guard = next((node.refused_by for node in pool.nodes if node.misdirected and node.refused_by is not None), None)
    if guard is Guard.COOLDOWN and pool.cooled_at is not None:
        return Sentence((Part("The failover is blocked by cool-down, for "), Part(until=pool.cooled_at), Part(" more.")))
    if guard is not None and guard is not Guard.NO_CANDIDATE:
        return plain(f"The failover is blocked by {guard.words}.")
    if any(node.weight > 0 and node.eligible for node in pool.nodes):
        return plain("Other nodes can take over.")
    return plain("Nothing can take over; traffic waits until a node passes.")


def _blocked(what: str, pause: Hold) -> Sentence:
    ends = (Part(" Ends in "), Part(until=pause.until), Part(".")) if pause.until is not None else ()
    owner = pause.owner or "somebody"
    return Sentence((Part(f"{what}: {owner} paused automation{f', {pause.reason}' if pause.reason else ''}."), *ends))


def _acknowledgement(worst: Sequence[Judged], acknowledged: Acknowledged) -> Sentence:
    people = [acknowledged[each.pool.id] for each in worst if each.pool.id in acknowledged]
    if not people:
        return NOTHING
    if not all(people):
        return plain("Nobody has acknowledged." if not any(people) else "Not all of it is acknowledged.")
    return plain(f"{listed(list(dict.fromkeys(people)))} {'has' if len(set(people)) == 1 else 'have'} acknowledged.")


# Line 3 -----------------------------------------------------------------------------------------------------------------


def _third(rest: Sequence[Judged], fleet: FleetView, pools: Sequence[PoolView] = ()) -> Sentence:
    """The next truth, how many follow, and what holds automation or alerts back."""
    others = [each for each in rest if each.truth.service is not Service.SERVED]
    said = [_next(others[0])] if others else []
    if len(others) > 1:
        more = len(others) - 1
        said.append(plain(f"{more} more {'pool needs' if more == 1 else 'pools need'} a look."))
    if fleet.paused is not None:
        said.append(_blocked("Nothing fails over by itself", fleet.paused))
    elif paused := [pool for pool in pools if pool.paused is not None]:
        said.append(plain(f"Automation is paused in {_names(paused)}."))
    if fleet.troubles:
        text = "; ".join(fleet.troubles)
        said.append(plain(f"{text[:1].upper()}{text[1:]}."))
    return joined(said)


def _next(each: Judged) -> Sentence:
    """As the first line, with the truth marked, and since when."""
    pool, known = each.pool, each.truth
    if known.service is Service.LESS_RESERVE and known.status is not PoolStatus.PENDING:
        out = [node for node in pool.nodes if node.out]
        state = (Part(f"{pool.name} is served", strong=True, slug=pool.slug), Part(f" by {_servers(pool)}"))
        if out and known.since is not None and known.status is PoolStatus.DEGRADED:
            return Sentence((*state, Part(f"; {who(pool, out)} failed "), Part(since=known.since), Part(" ago.")))
        return Sentence((*state, Part(f"{_reason(pool)}.")))
    said = _what_of(each).parts
    return Sentence((*(replace(part, strong=part.slug != "") for part in said), Part(".")))


def _title(worst: Sequence[Judged]) -> str:
    """The tab's first words: mark, names, state."""
    first = worst[0].truth
    word = "cannot tell" if first.service is Service.UNKNOWN else first.status
    return f"{_MARKS[first.service]} {_names([each.pool for each in worst])} {word}"
