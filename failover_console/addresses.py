"""Where the embedded services listen, given a data directory; nothing is started or looked up here."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

DATABASE = "failover"
DATABASE_USER = "failover"
LONGEST_BYTES = 107 - len("/.s.PGSQL.5432")  # sun_path of unix(7)


def socket_directory(data_dir: Path) -> Path:
    """A private directory for sockets, inside the data directory unless its path is too long for a socket's address."""
    inside = data_dir.resolve() / "run"
    if len(os.fsencode(inside)) <= LONGEST_BYTES:
        return inside
    mark = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:10]
    return Path(tempfile.gettempdir()).resolve() / f"failover-{mark}"  # without a user: programs of several look for it


def database_url(data_dir: Path) -> str:
    return f"postgresql://{DATABASE_USER}@/{DATABASE}?host={quote(str(socket_directory(data_dir)), safe='')}"


def redis_url(data_dir: Path) -> str:
    return f"unix://{socket_directory(data_dir)}/redis.sock"
