"""A data directory as `manage.py up` leaves it before anybody works in it: made once in a test run, copied for each product.

Making one takes as long as all else that a product needs to start: `initdb`, all migrations, all static files.
usage (by `copy_to` alone): DATA_DIR=... python -m tests.prepared
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_RUN = os.environ.setdefault("TEST_RUN", str(os.getpid()))  # workers have it of the process that starts them
PLACE = Path(tempfile.gettempdir()) / f"failover-prepared-{_RUN}"
if str(os.getpid()) == _RUN:
    atexit.register(shutil.rmtree, PLACE, ignore_errors=True)


def copy_to(directory: Path, environment: dict[str, str]) -> None:
    """Fill an empty directory; whoever asks first makes what is copied, the others wait for it."""
    PLACE.mkdir(mode=0o700, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = PLACE / "data"
        if not made.exists():
            beside = PLACE / "new"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(mode=0o700)
            subprocess.run([sys.executable, "-m", "tests.prepared"], env=environment | {"DATA_DIR": str(beside)}, check=True)
            beside.rename(made)
    subprocess.run(["cp", "-a", f"{made}/.", str(directory)], check=True)


def _make() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    from failover_console.embedded import Services

    django.setup()
    services = Services(settings.DATA_DIR, with_redis=False)
    try:
        services.start()
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
    finally:
        services.stop()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "failover_console.settings")
    _make()
