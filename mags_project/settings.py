"""Every setting of the control plane, read once from the environment.

Values come from the process environment, then from `.env` beside manage.py. Secrets may be
given as files: `MAGS_SECRET_KEY_FILE=/path` wins over `MAGS_SECRET_KEY`. Nothing secret has a
default, and `DEBUG` is off unless asked for.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env

from execs.states import ExecEnd

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env(prefix="MAGS_")
env.read_env(str(BASE_DIR / ".env"), recurse=False)


def secret(name: str, *default: str) -> str:
    """A secret setting; `MAGS_<name>_FILE` names a file that holds it and wins."""
    path = env.str(f"{name}_FILE", None)
    if path:
        return Path(path).read_text(encoding="utf-8").strip()
    return env.str(name, *default)


def all_or_none(**values: str) -> None:
    """Settings that mean something only together."""
    missing = [f"MAGS_{name}" for name, value in values.items() if not value]
    if missing and len(missing) < len(values):
        given = [f"MAGS_{name}" for name, value in values.items() if value]
        raise ImproperlyConfigured(
            f"{', '.join(given)} without {', '.join(missing)}: set all of them or none"
        )


def require_safe_issuer(url: str) -> None:
    """Whoever can change what a provider answers can sign in as anybody."""
    parts = urlsplit(url)
    is_here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or parts.scheme not in ({"http", "https"} if is_here else {"https"}):
        raise ImproperlyConfigured(f"MAGS_OIDC_ISSUER: {url!r} is not an https:// address")


def words(parts: list[str]) -> list[str]:
    """Those of a list that say something: an empty domain would let in addresses of no known one."""
    return [word for part in parts if (word := part.strip().lower())]


def ports(text: str) -> range:
    """Of `first-last`."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 65_536):
        raise ImproperlyConfigured(f"{text!r} is not a range of ports like 22000-22999")
    return range(int(first), int(last) + 1)


DEBUG = env.bool("DEBUG", False)
SECRET_KEY = secret("SECRET_KEY")
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
VAR_DIR = Path(env.str("VAR_DIR", str(BASE_DIR / "var"))).resolve()

# Where people reach the dashboard and the API, e.g. http://127.0.0.1:8080
PUBLIC_URL = env.str("PUBLIC_URL", "http://127.0.0.1:8080").rstrip("/")
# Where the worker checks that hosts can reach this server, if that is not the same.
INTERNAL_URL = env.str("INTERNAL_URL", PUBLIC_URL).rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", [PUBLIC_URL])
IS_HTTPS = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "csp",
    "social_django",
    "django_celery_beat",
    "core",
    "accounts",
    "hosts",
    "workspaces",
    "files",
    "images",
    "aliases",
    "ssh",
    "sandboxes",
    "jobs",
    "execs",
    "gateways",
    "usage",
    "handbook",
    "dashboard",
]

# Of pages. Under ASGI the API passes one short middleware instead (core/asgi.py).
MIDDLEWARE = [
    "core.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "core.middleware.ErrorMiddleware",
]
CSRF_FAILURE_VIEW = "core.api.handler.csrf_failure"

ROOT_URLCONF = "mags_project.urls"
ASGI_APPLICATION = "mags_project.asgi.application"
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
            ],
        },
    },
]

# --- Database: SQLite on one machine, PostgreSQL on many (MAGS_DATABASE_URL). ----------------
DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{VAR_DIR / 'db' / 'mags.sqlite3'}")}
DATABASES["default"].setdefault("TEST", {})
DATABASES["default"]["CONN_MAX_AGE"] = None  # threads are kept (core/asgi.py), their connections too
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # so that a restarted PostgreSQL fails no request
WEB_THREADS = env.int("WEB_THREADS", 8)
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["ENGINE"] = "core.sqlite"
    DATABASES["default"]["OPTIONS"] = {
        # A write transaction takes its lock at BEGIN, so it waits instead of failing half-way.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;"
            " PRAGMA cache_size=-16000; PRAGMA mmap_size=134217728; PRAGMA temp_store=MEMORY;"
        ),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis wakes people up; the database is the truth. ---------------------------------------
REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6390/0")
REDIS_PREFIX = env.str("REDIS_PREFIX", "mags")  # installations that share a Redis differ in it
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "forget old answers": {"task": "core.forget_old_answers", "schedule": 3600.0},
    "sweep hosts": {"task": "jobs.sweep_hosts", "schedule": 5.0, "options": {"expires": 10}},
    "settle execs": {"task": "execs.settle", "schedule": 20.0, "options": {"expires": 20}},
    "expire execs": {"task": "execs.expire", "schedule": 3600.0},
    "expire logs": {"task": "jobs.expire_logs", "schedule": 3600.0},
    "complete commit records": {"task": "workspaces.complete_records", "schedule": 30.0},
    "expire local workspaces": {"task": "workspaces.expire_local", "schedule": 60.0},
    "expire versions": {"task": "workspaces.expire_versions", "schedule": 600.0},
    "collect objects": {"task": "workspaces.collect", "schedule": 3600.0, "options": {"expires": 3600}},
    "expire comparisons": {"task": "workspaces.expire_comparisons", "schedule": 3600.0},
    "complete records of images": {"task": "images.complete_records", "schedule": 30.0},
    "collect images": {"task": "images.collect", "schedule": 3600.0, "options": {"expires": 3600}},
    "expire aliases": {"task": "aliases.expire", "schedule": 3600.0},
    "expire SSH ports": {"task": "ssh.expire", "schedule": 3600.0},
    "expire files": {"task": "files.expire", "schedule": 3600.0},
    "forget old sign-ins": {"task": "accounts.forget_old", "schedule": 3600.0},
    "write down usage": {"task": "usage.write_down", "schedule": 3600.0, "options": {"expires": 3600}},
    "look at storage": {"task": "usage.look_at_storage", "schedule": 600.0, "options": {"expires": 600}},
}

# --- People -----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "accounts.backends.LimitedBackend",
    "accounts.providers.Google",
    "accounts.providers.OpenIdConnect",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "mags_session"
CSRF_COOKIE_NAME = "mags_csrf"

# --- Signing in with Google or another OpenID Connect provider (docs/howto/sign-in.md) --------
GOOGLE_CLIENT_ID = env.str("GOOGLE_CLIENT_ID", "")
GOOGLE_CLIENT_SECRET = secret("GOOGLE_CLIENT_SECRET", "")
GOOGLE_ISSUER = env.str("GOOGLE_ISSUER", "https://accounts.google.com")  # another one only in tests
all_or_none(GOOGLE_CLIENT_ID=GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET=GOOGLE_CLIENT_SECRET)
OIDC_ISSUER = env.str("OIDC_ISSUER", "")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = secret("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "single sign-on")  # on the button: Continue with ...
all_or_none(OIDC_ISSUER=OIDC_ISSUER, OIDC_CLIENT_ID=OIDC_CLIENT_ID, OIDC_CLIENT_SECRET=OIDC_CLIENT_SECRET)
for _issuer in filter(None, (GOOGLE_ISSUER, OIDC_ISSUER)):
    require_safe_issuer(_issuer)
SIGN_IN_DOMAINS = words(env.list("SIGN_IN_DOMAINS", [""]))
SIGN_IN_INVITE_ONLY = env.bool("SIGN_IN_INVITE_ONLY", False)
CONFIRMED_MINUTES = env.int("CONFIRMED_MINUTES", 10)  # accounts/confirmation.py
SECURITY_EVENT_DAYS = env.int("SECURITY_EVENT_DAYS", 365)
SOCIAL_AUTH_REQUESTS_TIMEOUT = 10  # s; a page waits for the provider
SOCIAL_AUTH_PIPELINE = [
    "social_core.pipeline.social_auth.social_details",
    "social_core.pipeline.social_auth.social_uid",
    "social_core.pipeline.social_auth.social_user",
    "accounts.pipeline.same_person",
    "accounts.pipeline.person_admitted",
    "accounts.pipeline.first_of_provider",
    "accounts.pipeline.account_made",
    "social_core.pipeline.social_auth.associate_user",
    "accounts.pipeline.identity_described",
]

# --- Security headers -------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
BEHIND_PROXY = env.bool("BEHIND_PROXY", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_SSL_REDIRECT = False  # the proxy in front redirects; behind it everything is plain HTTP
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
# W008: the proxy redirects. W005, W021: other hosts below this domain are not ours to bind to HTTPS.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
if not IS_HTTPS:  # on loopback: cookies marked secure would not come back, and HSTS would mean nothing
    SILENCED_SYSTEM_CHECKS += ["security.W004", "security.W012", "security.W016"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}

# --- Static files -----------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static", ("docs", BASE_DIR / "docs/images")]
STATIC_ROOT = VAR_DIR / "static"
# A running server must not serve sources that are being edited or pulled: it knows their former
# sizes and would cut them. It serves what `collectstatic` gathered at the last start.
WHITENOISE_USE_FINDERS = env.bool("STATIC_FROM_SOURCES", DEBUG)

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

# --- REST -------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.TokenAuthentication",
        "accounts.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "accounts.api.permissions.TokenHasScope",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.LenientJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["core.api.throttling.TokenBucketThrottle"],
    "DEFAULT_SCHEMA_CLASS": "core.api.schema.MagsSchema",
    "EXCEPTION_HANDLER": "core.api.handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mags API",
    "DESCRIPTION": "Run scripts in isolated sandboxes, stream their output, keep their files.",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["core.api.schema.public_endpoints"],
    "SERVE_AUTHENTICATION": [],  # the document says nothing about anybody
    "SERVERS": [{"url": "/"}],
    "ENUM_NAME_OVERRIDES": {"ExecReasonEnum": list(ExecEnd)},  # versions have a `reason` as well
}

# --- Limits (units in the names) --------------------------------------------------------------
SCRIPT_LIMIT_BYTES = env.int("SCRIPT_LIMIT_BYTES", 1024 * 1024)
BODY_LIMIT_BYTES = env.int("BODY_LIMIT_BYTES", 4 * 1024 * 1024)  # script as JSON escapes + the rest
HOST_BODY_LIMIT_BYTES = env.int("HOST_BODY_LIMIT_BYTES", 16 * 1024 * 1024)  # one report of a host
DATA_UPLOAD_MAX_MEMORY_SIZE = max(BODY_LIMIT_BYTES, HOST_BODY_LIMIT_BYTES)
THROTTLE_PER_MINUTE = env.int("THROTTLE_PER_MINUTE", 6000)  # requests of one token
LOGIN_ATTEMPTS_PER_MINUTE = env.int("LOGIN_ATTEMPTS_PER_MINUTE", 10)
WAIT_LIMIT_S = 60
LOG_RETENTION_DAYS = env.int("LOG_RETENTION_DAYS", 30)
IDEMPOTENCY_TTL_HOURS = env.int("IDEMPOTENCY_TTL_HOURS", 24)

# --- Object store: workspaces and uploads (any S3; keys without it are empty) ----------------
S3_ENDPOINT = env.str("S3_ENDPOINT", "http://127.0.0.1:8333")
S3_HOST_ENDPOINT = env.str("S3_HOST_ENDPOINT", S3_ENDPOINT)  # as hosts reach it
S3_BUCKET = env.str("S3_BUCKET", "mags")
S3_REGION = env.str("S3_REGION", "us-east-1")
S3_ACCESS_KEY = secret("S3_ACCESS_KEY", "")
S3_SECRET_KEY = secret("S3_SECRET_KEY", "")

# --- Workspaces and uploads -------------------------------------------------------------------
LOCAL_WORKSPACE_MINUTES = env.int("LOCAL_WORKSPACE_MINUTES", 10)  # unsaved ones go that long after use
CHECKPOINT_S = env.int("CHECKPOINT_S", 60)  # how often a running workspace is saved by itself; 0: never
IDLE_S = env.float("IDLE_S", 600.0)  # a kept sandbox that nobody uses is frozen after that; 0: never
IDLE_CPU_PERCENT = env.float("IDLE_CPU_PERCENT", 2.0)  # of one CPU; whoever takes less does nothing
IDLE_STOP_S = env.float("IDLE_STOP_S", 3600.0)  # frozen for that long, it is saved and ended; 0: never
VERSIONS_KEPT = env.int("VERSIONS_KEPT", 20)  # of each workspace, and ...
VERSIONS_KEPT_DAYS = env.int("VERSIONS_KEPT_DAYS", 30)  # ... all that are younger
CHAIN_VERSIONS = env.int("CHAIN_VERSIONS", 360)  # small increments on a full version: 6 h of checkpoints
# Longer than any sync takes from its first put to its commit.
COLLECT_GRACE_HOURS = env.int("COLLECT_GRACE_HOURS", 24)
FILE_LIMIT_MB = env.int("FILE_LIMIT_MB", 512)
FILE_TTL_DAYS = env.int("FILE_TTL_DAYS", 7)

# --- Metrics (docs/reference/metrics.md): with the token; without one, from this machine only -------
METRICS_TOKEN = secret("METRICS_TOKEN", "")

# --- Hosts ------------------------------------------------------------------------------------
HEARTBEAT_S = env.int("HEARTBEAT_S", 5)
HOST_LEASE_S = env.int("HOST_LEASE_S", 45)  # a host silent for this long has lost its leases
ISOLATION_LABEL = "container"

# --- Public URLs (docs/howto/urls.md) ---------------------------------------------------------
URL_FORM = env.str("URL_FORM", "http://{label}.apps.localhost:8081")
GATEWAY_KEY = secret("GATEWAY_KEY", "")  # what gateways show; empty: none is believed
# Ed25519 keys, 32 bytes in URL-safe base64. The first signs, hosts believe both.
TICKET_KEY = secret("TICKET_KEY", "")
TICKET_KEY_OTHER = secret("TICKET_KEY_OTHER", "")
TICKET_S = env.int("TICKET_S", 900)  # gateways go on so long while the control plane is away
ALIAS_QUARANTINE_DAYS = env.int("ALIAS_QUARANTINE_DAYS", 30)  # before somebody else may take a released name

# --- SSH (docs/howto/ssh.md) ------------------------------------------------------------------
SSH_HOST = env.str("SSH_HOST", urlsplit(PUBLIC_URL).hostname or "127.0.0.1")  # where people reach gateways
SSH_PORTS = ports(env.str("SSH_PORTS", "22000-22999"))  # one for each workspace that somebody logs in to
SSH_SECRET = secret("SSH_SECRET", "")  # all host keys and users' keys come from it
if 0 < len(SSH_SECRET) < 32:  # whoever has one key could try guesses
    raise ImproperlyConfigured("MAGS_SSH_SECRET has fewer than 32 characters")
SSH_QUARANTINE_HOURS = env.int("SSH_QUARANTINE_HOURS", 24)  # before a port leads to something else

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}},
    "filters": {"request_id": {"()": "core.requestid.RequestIdFilter"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["request_id"]},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {"django.request": {"level": "ERROR"}},
}
