"""Makes the dump of this release: `python -m tests.upgrade.make_dump tests/upgrade/dumps/1.2.3.sql`, from the project's root.

Run it once per release, in a clean checkout of the release itself, and commit the file: `test_upgrade.py` takes every dump there.
It starts servers of its own in a temporary directory, migrates, plays `story.py` through the doors that people and runners
use, and writes plain SQL without owners, privileges and psql's own commands, so that any PostgreSQL client loads it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from failover_console.addresses import DATABASE, DATABASE_USER, socket_directory
from failover_console.embedded import Services
from failover_console.embedded.postgresql import binaries
from tests.upgrade import ENCRYPTION_KEY, SECRET_KEY

LARGEST = 400_000  # bytes


def main(target: Path) -> None:
    """Write the dump to `target`."""
    with tempfile.TemporaryDirectory(prefix="dump-") as directory:
        data_dir = Path(directory)
        given = {"DATA_DIR": directory, "ENCRYPTION_KEYS": ENCRYPTION_KEY, "SECRET_KEY": SECRET_KEY}
        os.environ |= given | {"DJANGO_SETTINGS_MODULE": "failover_console.settings", "EGRESS_ALLOW": "127.0.0.0/8"}
        services = Services(data_dir)
        services.start()
        try:
            _play()
            target.write_text(_dumped(socket_directory(data_dir)))
        finally:
            services.stop()
    size = target.stat().st_size
    print(f"{target}: {size} bytes")
    if size > LARGEST:
        sys.exit(f"A dump stays below {LARGEST} bytes.")


def _play() -> None:
    import django  # the settings read the environment that `main` has just made
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    from tests.upgrade.story import tell  # needs the models

    tell()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend, which is the only one


def _dumped(sockets: Path) -> str:
    program = [str(binaries() / "pg_dump"), "--no-owner", "--no-privileges", "--rows-per-insert=200"]
    where = ["--host", str(sockets), "--username", DATABASE_USER, DATABASE]
    dumped = subprocess.run([*program, *where], check=True, capture_output=True, text=True).stdout
    return "".join(line for line in dumped.splitlines(keepends=True) if not line.startswith(("\\", "--")) and line.strip())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
