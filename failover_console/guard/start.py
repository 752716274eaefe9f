"""What a web process looks at before it serves: enough descriptors and connections for its limits, TLS where others log in."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import psycopg
from django.conf import settings

from failover_console.guard import connections
from nodes.ledger.connections import connect

SPARE = 200  # descriptors that are no client's: logs, sockets to the database, static files
OWN = 5  # connections of a web process beside its pools and reports: heartbeats, epochs, the hub, silence, its start

_FREE = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - current_setting('reserved_connections')::int AS free
"""
_log = logging.getLogger(__name__)


class TooSmallError(Exception):
    """The console cannot hold what its limits promise; the message says which setting to change."""


def make_room() -> None:
    """Take as many descriptors as the limit of connections needs, or lower it to what there are; raises `TooSmallError`."""
    wanted = settings.MAX_CONNECTIONS + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    got = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if got < 2 * SPARE:
        raise TooSmallError(
            f"{hard} open files are allowed here, and {2 * SPARE} are needed: raise the limit (ulimit -n, LimitNOFILE)."
        )
    if soft != resource.RLIM_INFINITY and got > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (got, hard))
    if got < wanted:
        connections.most = got - SPARE
        _log.warning("%d open files are allowed here: %d connections are taken, not MAX_CONNECTIONS", hard, connections.most)


def warn_of_plain_http() -> None:
    """Say in the log when others than this machine log in without TLS."""
    public = urlsplit(settings.PUBLIC_URL)
    if public.scheme == "http" and not _is_loopback(public.hostname or ""):
        _log.warning(
            "PUBLIC_URL is %s: whoever is on the way reads passwords and sessions; "
            "put a server that speaks TLS in front, and set PUBLIC_URL to its https address",
            settings.PUBLIC_URL,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def count_connections() -> None:
    """Compare the sum of the pools with what the database takes; raises `TooSmallError`.  A database that is away is not asked."""
    pools = {alias: each["OPTIONS"]["pool"]["max_size"] for alias, each in settings.DATABASES.items()}
    own = OWN + settings.REPORT_CONNECTIONS
    ours, free = sum(pools.values()) + own, None
    with suppress(psycopg.Error), connect("failover web start") as connection:
        row = connection.execute(_FREE).fetchone()
        free = row["free"] if row else None
    if free is not None and ours > free:
        said = ", ".join(f"{alias} {size}" for alias, size in pools.items())
        raise TooSmallError(
            f"A web process may take {ours} connections to the database ({said}, {own} more), which takes {free}: "
            "lower PAGES_AT_ONCE, LIVE_AT_ONCE, LOGINS_AT_ONCE or REPORT_CONNECTIONS, or raise max_connections."
        )
    _log.info(
        "a web process takes %d connections to the database at the most, of %s", ours, "an unknown number" if free is None else free
    )
