"""All settings, and the only reader of the environment.  A bad value stops the start with a sentence that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from failover_console import addresses, environment

BASE_DIR = Path(__file__).resolve().parent.parent

# Where we are ---------------------------------------------------------------------------------------------------------

DEBUG = environment.flag("DEBUG")
HOST = environment.host("HOST", "127.0.0.1")
PORT = environment.port("PORT", 8000)
PUBLIC_URL = environment.public_url("PUBLIC_URL", environment.own_url(HOST, PORT))
DATA_DIR = environment.directory("DATA_DIR", BASE_DIR / ".data")
EMBEDDED = not environment.text("DATABASE_URL")
SUPERUSER_USERNAME = environment.text("DJANGO_SUPERUSER_USERNAME", "admin")  # made by `up` when there is none
SUPERUSER_PASSWORD = environment.text("DJANGO_SUPERUSER_PASSWORD")
_public = urlsplit(PUBLIC_URL)
HTTPS = _public.scheme == "https"
# Health checks ask from inside, by loopback; links are made from PUBLIC_URL and never from a Host header.
ALLOWED_HOSTS = sorted(
    {*(environment.items("ALLOWED_HOSTS") or [environment.bracketed(_public.hostname or HOST)]), "127.0.0.1", "[::1]", "localhost"}
)

# Secrets --------------------------------------------------------------------------------------------------------------

SECRET_KEY = environment.kept("SECRET_KEY", DATA_DIR, embedded=EMBEDDED, make=environment.new_secret_key)
ENCRYPTION_KEYS = environment.fernet_keys(
    "ENCRYPTION_KEYS", environment.kept("ENCRYPTION_KEYS", DATA_DIR, embedded=EMBEDDED, make=environment.new_fernet_key)
)

# What checks and alerts may reach ---------------------------------------------------------------------------------------

EGRESS_ALLOW = environment.networks("EGRESS_ALLOW")
CANARIES = environment.endpoints("CANARIES")
DEAD_MANS_SWITCH_URL = environment.called_url("DEAD_MANS_SWITCH_URL")  # called each minute while checks and alerts work
DEAD_MANS_SWITCH_STOP_URL = environment.called_url("DEAD_MANS_SWITCH_STOP_URL")  # called once at a planned stop

# Database, broker, channels ---------------------------------------------------------------------------------------------

DATABASE_URL = environment.service_url("DATABASE_URL", addresses.database_url(DATA_DIR), ("postgresql", "postgres"))
REDIS_URL = environment.service_url("REDIS_URL", addresses.redis_url(DATA_DIR), ("redis", "rediss", "unix"))


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    query = {name: given[-1] for name, given in parse_qs(parts.query).items()}
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database, expected postgresql://user:password@host:5432/name.")
    options = {key: value for key, value in query.items() if key.startswith("ssl")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or query.get("user", "")),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host", parts.hostname or ""),
        "PORT": str(parts.port or query.get("port", "")),
        "CONN_MAX_AGE": 0,  # the pool keeps connections; ASGI must not
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": {"min_size": 1, "max_size": 10, "timeout": 10},
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 8000,
            # Nobody waits long for a lock, and nobody who hangs keeps one; `manage.py migrate` alone does without.
            "options": "-c lock_timeout=2s -c idle_in_transaction_session_timeout=3s",
            **options,
        },
    }


DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "failover-live"},
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# Django -----------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "failover_console.admin_site.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_htmx",
    "template_partials",
    "nodes",
    "alerts",
    "failover_console",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "failover_console.static_files.static_files",
    "csp.middleware.CSPMiddleware",
    "failover_console.unreadable.Unreadable",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "failover_console.database_trouble.DatabaseTrouble",
]
ROOT_URLCONF = "failover_console.urls"
ASGI_APPLICATION = "failover_console.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "failover_console.demo.context.demo",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "nodes:dashboard"
LOGOUT_REDIRECT_URL = "login"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["failover_console.formats"]
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
_static_storage = (
    "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "whitenoise.storage.CompressedManifestStaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": _static_storage},
}
WHITENOISE_USE_FINDERS = DEBUG

# The web's safety ---------------------------------------------------------------------------------------------------------

# Browsers share cookies between the ports of a host: two consoles on one machine must not log each other's users out.
SESSION_COOKIE_NAME = "__Host-failover-session" if HTTPS else f"failover-session-{PORT}"
CSRF_COOKIE_NAME = "__Host-failover-csrf" if HTTPS else f"failover-csrf-{PORT}"
SESSION_COOKIE_AGE = 12 * 3600  # s
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^health/"]  # asked by probes from inside
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_COOKIE_HTTPONLY = True
WEBSOCKET_ORIGIN = PUBLIC_URL
_websocket = PUBLIC_URL.replace("http", "ws", 1)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, _websocket],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# Celery ---------------------------------------------------------------------------------------------------------------------


def _broker(url: str) -> str:
    return f"redis+socket://{url.removeprefix('unix://')}" if url.startswith("unix://") else url


CELERY_BROKER_URL = environment.service_url(
    "CELERY_BROKER_URL", _broker(REDIS_URL), ("redis", "rediss", "redis+socket", "amqp", "amqps", "sentinel")
)
_redis_patience = {"socket_timeout": 5, "socket_connect_timeout": 2, "socket_keepalive": True, "health_check_interval": 5}
_redis_queue = {
    "visibility_timeout": 3600,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "global_keyprefix": "failover-queue:",
}
if CELERY_BROKER_URL.startswith("redis+socket"):
    _redis_patience.pop("socket_keepalive")  # a unix socket knows none
CELERY_BROKER_TRANSPORT_OPTIONS = {} if CELERY_BROKER_URL.startswith("amqp") else {**_redis_patience, **_redis_queue}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 5000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 500_000  # KiB
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_ROUTES = {
    "nodes.run_checks": {"queue": "checks"},
    "alerts.run_alerts": {"queue": "alerts"},
    "nodes.*": {"queue": "housekeeping"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat")
CELERY_BEAT_ENABLE_REMOTE_CONTROL = True  # answers `inspect ping`, so that a health check sees a beat that stands still
# An expiry is an instant by beat's clock: a worker that is ahead by more throws every tick away.  A late tick costs nothing; two
# hours of them, with no worker there, are a few megabytes at the broker.
_EXPIRES = 7200  # s
_TICK = {"schedule": 1.0, "options": {"expires": _EXPIRES}}
CELERY_BEAT_SCHEDULER = "failover_console.scheduler:SignedScheduler"
CELERY_BEAT_SCHEDULE = {
    "checks": {"task": "nodes.run_checks", **_TICK},
    "checks elsewhere": {"task": "nodes.run_checks", **_TICK},  # the worker that waits next: one alone may take every single tick
    "alerts": {"task": "alerts.run_alerts", **_TICK},
    "roll up": {"task": "nodes.roll_up", "schedule": 60.0, "options": {"expires": _EXPIRES}},
    "partitions": {"task": "nodes.keep_partitions", "schedule": 60.0, "options": {"expires": _EXPIRES}},  # soon after a start
}

# Logs -----------------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "failover_console.logs.OneLine", "format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "celery.beat": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},  # addresses hold the secrets of pushes
        "uvicorn": {"handlers": ["console"], "level": "INFO", "propagate": False},  # in the place of its own, which escapes nothing
    },
}
