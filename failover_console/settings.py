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
RUN_AS = environment.account("RUN_AS")  # the programs' user when root starts them; empty: see failover_console.run_as
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
SEALED_IN_JSON = (
    ("mfa.Authenticator", "data"),
)  # (model, column) whose JSON holds text that those keys seal, beside our own fields

# Who may log in, and by what ---------------------------------------------------------------------------------------------

SECOND_FACTOR_REQUIRED = environment.choice("SECOND_FACTOR_REQUIRED", ("nobody", "operators", "everyone"))
OIDC_SERVER_URL = environment.called_url("OIDC_SERVER_URL")  # the issuer; empty: no single sign-on
OIDC_CLIENT_ID = environment.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = environment.text("OIDC_CLIENT_SECRET")
OIDC_NAME = environment.text("OIDC_NAME", "single sign-on")
OIDC_DEFAULT_ROLE = environment.choice("OIDC_DEFAULT_ROLE", ("nobody", "viewer", "operator", "admin"))  # of whoever comes new by it
if OIDC_SERVER_URL and not OIDC_CLIENT_ID:
    raise ImproperlyConfigured("OIDC_CLIENT_ID is not set; with OIDC_SERVER_URL set it must be, as the provider knows the console.")

# What one API token may ask of each web process ------------------------------------------------------------------------------

TOKEN_RATES = {  # scope → requests a second, twice as many at once
    "shares": environment.count("TOKEN_RATE_SHARES", 50),
    "outcomes": environment.count("TOKEN_RATE_OUTCOMES", 1000),
    "metrics": environment.count("TOKEN_RATE_METRICS", 5),
}
TOKEN_LONG_POLLS = environment.count("TOKEN_LONG_POLLS", 200)  # that wait at a time

# What checks and alerts may reach ---------------------------------------------------------------------------------------

EGRESS_ALLOW = environment.networks("EGRESS_ALLOW")
CHECK_AUTHORITIES = environment.certificates("CHECK_CA_FILE")  # PEM; trusted by all checks beside the system's
CANARIES = environment.endpoints("CANARIES")
DEAD_MANS_SWITCH_URL = environment.called_url("DEAD_MANS_SWITCH_URL")  # called each minute while checks and alerts work
DEAD_MANS_SWITCH_STOP_URL = environment.called_url("DEAD_MANS_SWITCH_STOP_URL")  # called once at a planned stop

# Database, broker, channels ---------------------------------------------------------------------------------------------

DATABASE_URL = environment.service_url("DATABASE_URL", addresses.database_url(DATA_DIR), ("postgresql", "postgres"))
REDIS_URL = environment.service_url("REDIS_URL", addresses.redis_url(DATA_DIR), ("redis", "rediss", "unix"))


def _database(url: str, connections: int, *, patience: float = 0.0) -> dict[str, Any]:
    """`patience` is how many seconds a statement may take; 0 is as long as it takes."""
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
            # A try that fails is repeated after 1 s, not after twice as long each time: who asks then begins a new one.
            "pool": {"min_size": 1, "max_size": connections, "timeout": 3, "reconnect_timeout": 2},
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 8000,
            # Nobody waits long for a lock, and nobody who hangs keeps one; `manage.py migrate` alone does without.
            "options": f"-c lock_timeout=2s -c idle_in_transaction_session_timeout=3s -c statement_timeout={patience:g}s",
            **options,
        },
    }


# How many requests of each class run at once in a web process; each class has as many connections of its own, so that a flood of
# one leaves the others theirs.  `default` serves sockets, the workers and commands.
PAGES_AT_ONCE = environment.count("PAGES_AT_ONCE", 6, most=100)
LIVE_AT_ONCE = environment.count("LIVE_AT_ONCE", 4, most=100)  # heartbeats, shares and health
REPORT_CONNECTIONS = environment.count("REPORT_CONNECTIONS", 2, most=20)  # that count reported calls, beside one that knows tokens
LOGINS_AT_ONCE = environment.count("LOGINS_AT_ONCE", 2, most=100)
SIGN_ONS_AT_ONCE = 2 if OIDC_SERVER_URL else 1  # each waits for the provider
LONG_POLLS = environment.count("LONG_POLLS", 2000, most=100_000)  # that wait at a time, without a connection to the database
MAX_CONNECTIONS = environment.count("MAX_CONNECTIONS", 8000, most=100_000)  # of clients to a web process
MAX_CONNECTIONS_PER_ADDRESS = environment.count("MAX_CONNECTIONS_PER_ADDRESS", 4000, most=100_000)
TRUSTED_PROXIES = environment.networks("TRUSTED_PROXIES")  # whose X-Forwarded-For says where a client is

DATABASES = {
    "default": _database(DATABASE_URL, 4),
    "pages": _database(DATABASE_URL, PAGES_AT_ONCE + 2, patience=15),  # and one each for /metrics and for static files
    "live": _database(DATABASE_URL, LIVE_AT_ONCE + 2, patience=3),  # and one each for health and for long polls
    "reports": _database(DATABASE_URL, 1, patience=3),
    "logins": _database(DATABASE_URL, LOGINS_AT_ONCE + SIGN_ONS_AT_ONCE, patience=5),
}
for _alias in DATABASES.keys() - {"default"}:
    DATABASES[_alias]["TEST"] = {"MIRROR": "default"}
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
    "failover_console.accounts",  # before what its commands stand in for
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
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
    "failover_console.never_stored.never_stored",
    "django.middleware.gzip.GZipMiddleware",  # adds random bytes, against guessing of secrets by length (BREACH)
    "csp.middleware.CSPMiddleware",
    "failover_console.unreadable.Unreadable",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "failover_console.accounts.sessions.seen",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "failover_console.database_trouble.DatabaseTrouble",
    "failover_console.accounts.hashing.Turns",
    "failover_console.accounts.requirement.second_factor",
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
                "failover_console.preferences.chosen",
                "nodes.screens.chrome.framed",
                "failover_console.accounts.requirement.held",
                "failover_console.demo.context.demo",
            ],
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# One backend: each wrong password costs one hash, whoever's it is.
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["failover_console.accounts.hashing.BoundedPBKDF2"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "nodes:dashboard"
LOGOUT_REDIRECT_URL = "account_login"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["failover_console.formats"]
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
_static_storage = (
    "django.contrib.staticfiles.storage.StaticFilesStorage" if DEBUG else "failover_console.static_files.CollectedFiles"
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
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # some hold a secret; cookies go to every port of a host
SESSION_COOKIE_AGE = 12 * 3600  # s, from the log-in on
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^health/"]  # asked by probes from inside
# The server reads X-Forwarded-Proto from TRUSTED_PROXIES; where none are named, whoever is in front is believed.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and not TRUSTED_PROXIES else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; the guard in front takes less of most requests
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

# django-allauth ------------------------------------------------------------------------------------------------------------

ACCOUNT_ADAPTER = "failover_console.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "failover_console.accounts.forms.LoginForm",
    "change_password": "failover_console.accounts.forms.ChangePasswordForm",
}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False
ACCOUNT_SESSION_REMEMBER = True  # for SESSION_COOKIE_AGE
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False  # its own are kept in a cache; ours (accounts.throttle) in the database
MFA_ADAPTER = "failover_console.accounts.second_factors.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "failover_console.accounts.forms.AuthenticateForm",
    "reauthenticate": "failover_console.accounts.forms.ReauthenticateByCodeForm",
    "activate_totp": "failover_console.accounts.forms.ActivateTOTPForm",
    "add_webauthn": "failover_console.accounts.forms.AddPasskeyForm",
    "authenticate_webauthn": "failover_console.accounts.forms.AuthenticateByPasskeyForm",
    "reauthenticate_webauthn": "failover_console.accounts.forms.ReauthenticateByPasskeyForm",
    "login_webauthn": "failover_console.accounts.forms.LoginByPasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_TOLERANCE = 1  # periods of 30 s that a clock may be off
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are not verified
SOCIALACCOUNT_ADAPTER = "failover_console.accounts.single_sign_on.SocialAdapter"
SOCIALACCOUNT_QUERY_EMAIL = False
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True  # to connect a provider: it is a way in from then on
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5  # s
_provider = {
    "provider_id": "sso",
    "name": OIDC_NAME,
    "client_id": OIDC_CLIENT_ID,
    "secret": OIDC_CLIENT_SECRET,
    "settings": {"server_url": OIDC_SERVER_URL, "oauth_pkce_enabled": True},
}
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [_provider] if OIDC_SERVER_URL else []}}

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
    "log-ins": {"task": "nodes.watch_logins", "schedule": 60.0, "options": {"expires": _EXPIRES}},
    "partitions": {"task": "nodes.keep_partitions", "schedule": 60.0, "options": {"expires": _EXPIRES}},  # soon after a start
    "ended sessions": {"task": "accounts.forget_sessions", "schedule": 600.0, "options": {"expires": _EXPIRES}},
    "report keys": {"task": "nodes.forget_report_keys", "schedule": 60.0, "options": {"expires": _EXPIRES}},
}

# Logs -----------------------------------------------------------------------------------------------------------------------


def _passwords(*urls: str) -> set[str]:
    given = {urlsplit(url).password or "" for url in urls}
    return given | {unquote(password) for password in given}


OWN_SECRETS = tuple(
    sorted(
        {SECRET_KEY, *ENCRYPTION_KEYS, SUPERUSER_PASSWORD, OIDC_CLIENT_SECRET, DEAD_MANS_SWITCH_URL, DEAD_MANS_SWITCH_STOP_URL}
        | _passwords(DATABASE_URL, REDIS_URL, CELERY_BROKER_URL)
    )
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "failover_console.logs.OneLine",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "secrets": OWN_SECRETS,
        }
    },
    "filters": {"known": {"()": "failover_console.known_troubles.KnownTroubles"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["known"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},  # of `runserver`, as uvicorn.access
        "celery.beat": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},  # one line a heartbeat would drown the rest
        "uvicorn": {"handlers": ["console"], "level": "INFO", "propagate": False},  # in the place of its own, which escapes nothing
    },
}
