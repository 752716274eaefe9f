"""The environment of the tests, read before any setting: a data directory of this process alone, loopback allowed."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

DATA_DIR = Path(tempfile.gettempdir()) / f"failover-test-{os.getpid()}"
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)  # also when the settings fail to load and no test runs

for name in (
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "PUBLIC_URL",
    "SECRET_KEY",
    "ENCRYPTION_KEYS",
    "DEBUG",
    "HOST",
    "PORT",
    "CANARIES",
    "ALLOWED_HOSTS",
    "DJANGO_SUPERUSER_USERNAME",
    "DJANGO_SUPERUSER_PASSWORD",
    "SECOND_FACTOR_REQUIRED",
    "OIDC_SERVER_URL",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_NAME",
    "OIDC_DEFAULT_ROLE",
):
    os.environ.pop(name, None)
os.environ["DATA_DIR"] = str(DATA_DIR)
os.environ["EGRESS_ALLOW"] = "127.0.0.0/8"  # tests ask and tell servers of their own
os.environ["TOKEN_RATE_SHARES"] = os.environ["TOKEN_RATE_METRICS"] = "100000"  # tests of the limits bring their own
