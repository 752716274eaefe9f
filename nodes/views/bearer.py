"""Authentication of the API: a session, or a bearer token with the scope, refused as RFC 6750 says."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from psycopg.rows import dict_row

from nodes.access_changes import address_of
from nodes.ledger import tokens
from nodes.ledger.rows import Cursor
from nodes.ledger.tokens import FoundToken
from nodes.models import Scope
from nodes.models.access import Presented, presented
from nodes.views.token_limits import TokenLimits

RECENT = 1.0  # s for which a token that was valid is taken to be so by `arefusal`
MOST_RECENT = 20_000  # tokens, each with a node
PATIENCE = 3.0  # s that `arefusal` waits for the database
RETRY_WAITING = 5  # s after which a long poll too many may try again

_TOKEN = "api_token"  # noqa: S105 - where a request keeps which one it proved
Shown = tuple[str, int]  # the digest of a secret, and the node that is asked about

_recent: OrderedDict[Shown, tuple[float, FoundToken]] = OrderedDict()  # with the monotonic end, the oldest first
_asked: dict[tuple[asyncio.AbstractEventLoop, Shown], asyncio.Task[FoundToken | None]] = {}
_limits = TokenLimits(settings.TOKEN_RATES, settings.TOKEN_LONG_POLLS)


def bearer_token(request: HttpRequest) -> str:
    """What a bearer header holds; empty without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def refusal(
    request: HttpRequest,
    scope: Scope,
    *,
    session: bool = True,
    pool: str | None = None,
    node: int | None = None,
) -> JsonResponse | None:
    """None for those who may; else 401 (no valid token), 403 (not for this scope or pool) or 429 (too often), with the reason.

    `pool` (a slug) or `node` says what is asked about; without either it is the whole console, which takes a token for every pool.
    A token decides alone, also beside a session; what changes something takes no `session`.
    """
    scheme = request.headers.get("Authorization", "").partition(" ")[0]
    if session and not scheme and request.user.is_authenticated:
        return None
    if scheme.lower() != "bearer":
        return _refused(401, f"a bearer token with the scope {scope} is needed", "")
    shown = presented(bearer_token(request))
    if shown is None:
        return _unknown()
    wait = _limits.wait_of(shown.digest, scope, time.monotonic())
    if wait:
        return _over(scope, wait)
    found = _known(request, shown, pool, node)
    if found is None:
        return _unknown()
    if wait is None and (wait := _first_wait(shown, found, scope)):
        return _over(scope, wait)
    what = "the pool of this node" if node is not None else "this pool" if pool is not None else "the whole console"
    return _judged(request, scope, found, what)


def _first_wait(shown: Presented, found: FoundToken, scope: Scope, cost: float = 1.0) -> int:
    """Seconds that a request has to wait whose secret was not known when it came, like all that came beside it: it counts now."""
    _limits.proved(shown.digest, found.id)
    return _limits.wait_of(shown.digest, scope, time.monotonic(), cost) or 0


def _over(scope: Scope, wait: int) -> JsonResponse:
    return _too_often(f"this bearer token asks more than {settings.TOKEN_RATES[scope]:g} times a second", wait)


def _unknown() -> JsonResponse:
    return _refused(401, "this bearer token is unknown, revoked or expired", ' error="invalid_token"')


def _judged(request: HttpRequest, scope: Scope, found: FoundToken, what: str) -> JsonResponse | None:
    setattr(request, _TOKEN, found.id)
    if scope not in found.scopes:
        return _refused(403, f"this bearer token lacks the scope {scope}", f' error="insufficient_scope", scope="{scope}"')
    if not found.may:
        return _refused(403, f"this bearer token is bound to other pools and not for {what}", ' error="insufficient_scope"')
    return None


async def arefusal(request: HttpRequest, scope: Scope, *, node: int, cost: float = 1.0) -> JsonResponse | None:
    """`refusal` without a session, for an event loop: a token is looked up once a second and node, however many requests bring it.

    `cost` is what the request takes of the token's rate.

    Raises `TimeoutError` and the errors of the database.
    """
    token = presented(bearer_token(request))
    if token is None:
        return refusal(request, scope, session=False, node=node)
    wait = _limits.wait_of(token.digest, scope, time.monotonic(), cost)
    if wait:
        return _over(scope, wait)
    shown, loop = (token.digest, node), asyncio.get_running_loop()
    found = _remembered(shown)
    if found is None:
        task = _asked.get((loop, shown))
        if task is None:
            task = _asked[loop, shown] = loop.create_task(sync_to_async(_look_up)(request, token, shown))
            task.add_done_callback(lambda _: _asked.pop((loop, shown), None))
        found = await asyncio.wait_for(asyncio.shield(task), PATIENCE)
    if found is None:
        return _unknown()
    if wait is None and (wait := _first_wait(token, found, scope, cost)):
        return _over(scope, wait)
    return _judged(request, scope, found, "the pool of this node")


def token_of(request: HttpRequest) -> int | None:
    """The token by which this request was let in; its secret may change, and be another one for a while."""
    return getattr(request, _TOKEN, None)


def _look_up(request: HttpRequest, token: Presented, shown: Shown) -> FoundToken | None:
    close_old_connections()  # no request opens and closes them here
    try:
        found = _known(request, token, None, shown[1])
    finally:
        close_old_connections()
    if found is not None:
        _recent[shown] = time.monotonic() + RECENT, found
        _recent.move_to_end(shown)
        while len(_recent) > MOST_RECENT:
            _recent.popitem(last=False)
    return found


def _remembered(shown: Shown) -> FoundToken | None:
    until, token = _recent.get(shown, (0.0, None))
    return token if time.monotonic() < until else None


@contextmanager
def long_poll(request: HttpRequest) -> Iterator[JsonResponse | None]:
    """While a request that was let in waits: None, or the refusal when too many of its token wait already."""
    token = token_of(request)
    if token is None:  # of a session
        yield None
        return
    with _limits.one_waiting(token) as allowed:
        sentence = f"{settings.TOKEN_LONG_POLLS} requests of this bearer token wait already"
        yield None if allowed else _too_often(sentence, RETRY_WAITING)


def _known(request: HttpRequest, shown: Presented, pool: str | None, node: int | None) -> FoundToken | None:
    """The token that was shown, if it is valid now, whatever its scopes; its use is noted once a minute."""
    now = timezone.now()
    with connection.cursor() as wrapper:  # no transaction: the use may be noted or not
        cursor: Cursor = wrapper.cursor
        cursor.row_factory = dict_row
        found = tokens.find(cursor, shown.key, pool=pool, node=node)
        if found is None or not shown.is_of(found.digest) or (found.expires_at is not None and found.expires_at <= now):
            return None
        tokens.note_use(cursor, found, now, address_of(request))
    return found


def _too_often(sentence: str, wait: int) -> JsonResponse:
    return JsonResponse({"error": f"{sentence}; ask again in {wait} s"}, status=429, headers={"Retry-After": str(wait)})


def _refused(status: int, sentence: str, error: str) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status, headers={"WWW-Authenticate": f"Bearer{error}"})
