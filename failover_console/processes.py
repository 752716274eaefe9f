"""The programs that make up the console, the same under `manage.py up` and under compose."""

from __future__ import annotations

PROJECT = "failover_console"


def web(host: str, port: str) -> list[str]:
    """The web server.  Small frames, no compression: our messages go one way and are small."""
    return [
        "uvicorn", f"{PROJECT}.asgi:application", "--host", host, "--port", port, "--loop", "uvloop", "--lifespan", "on",
        "--ws-max-size", "4096", "--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "2", "--no-access-log",
        "--no-server-header", "--no-proxy-headers",
    ]  # fmt: skip  # options beside their values


def _worker(queue: str, children: int) -> list[str]:
    return [
        "celery", "-q", "-A", PROJECT, "worker", "-Q", queue, "-n", f"{queue}@%h", "-c", str(children), "--loglevel", "INFO",
        "--without-mingle", "--without-gossip",
    ]  # fmt: skip  # as above


WORKERS = {
    "worker-checks": _worker("checks", 3),  # two runners, and one child more to answer ticks
    "worker-alerts": _worker("alerts", 2),
    "worker-housekeeping": _worker("housekeeping", 1),
}
BEAT = ["celery", "-q", "-A", PROJECT, "beat", "--loglevel", "WARNING"]


def all_processes(host: str, port: str) -> dict[str, list[str]]:
    """Name -> command line, in the order in which they are started."""
    return {"web": web(host, port), **WORKERS, "beat": BEAT}
