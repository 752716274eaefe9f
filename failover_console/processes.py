"""The programs that make up the console, the same under `manage.py up` and under compose."""

from __future__ import annotations

from collections.abc import Sequence

PROJECT = "failover_console"
DEFAULT_PORT = "8000"
CHILDREN = {"checks": 3, "alerts": 2, "housekeeping": 1}  # of checks two are runners, one more answers ticks
WORKERS = {f"worker-{queue}": queue for queue in CHILDREN}


def web(host: str, port: str, proxies: Sequence[str]) -> list[str]:
    """The web server with the guard's limits.  Small frames, no compression: our messages go one way and are small."""
    trusted = ["--proxy-headers", "--forwarded-allow-ips", ",".join(proxies)] if proxies else ["--no-proxy-headers"]
    return [
        "uvicorn", f"{PROJECT}.asgi:application", "--host", host, "--port", port, "--lifespan", "on",
        "--loop", f"{PROJECT}.guard.accepting:new_loop", "--http", f"{PROJECT}.guard.connections:GuardedProtocol",
        "--ws-max-size", "4096", "--ws-per-message-deflate", "false", "--timeout-graceful-shutdown", "2", "--no-access-log",
        "--no-server-header", *trusted,
    ]  # fmt: skip  # options beside their values


def _name(program: str, port: str) -> str:
    """What a program is called at the broker, which knows each name once: a host's second console adds its port.

    On the default port, as in a container, the name is plain.
    """
    return f"{program}@%h" if port == DEFAULT_PORT else f"{program}-{port}@%h"


def _worker(queue: str, port: str) -> list[str]:
    return [
        "celery", "-q", "-A", PROJECT, "worker", "-Q", queue, "-n", _name(queue, port), "-c", str(CHILDREN[queue]),
        "--loglevel", "INFO", "--without-mingle", "--without-gossip",
    ]  # fmt: skip  # as above


def _beat(port: str) -> list[str]:
    """Beat's own default is a plain name as well."""
    named = [] if port == DEFAULT_PORT else ["-n", _name("celerybeat", port)]
    return ["celery", "-q", "-A", PROJECT, "beat", "--loglevel", "WARNING", *named]


def all_processes(host: str, port: str, proxies: Sequence[str] = ()) -> dict[str, list[str]]:
    """Name -> command line, in the order in which they are started."""
    workers = {name: _worker(queue, port) for name, queue in WORKERS.items()}
    return {"web": web(host, port, proxies), **workers, "beat": _beat(port)}
