"""Settings of the example booking project. The environment is read here, once, and nowhere else.

Every variable is documented in ``.env.example``.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import psycopg
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from rollout.conf import read_environment
from rollout.policy.ladder import LIVE

BASE_DIR = Path(__file__).resolve().parent.parent

ENVIRONMENT = os.environ.get("ENVIRONMENT") or "dev"
if ENVIRONMENT not in {"dev", "staging", "production"}:
    raise ImproperlyConfigured(f"ENVIRONMENT must be dev, staging or production, not {ENVIRONMENT!r}.")
IS_DEV = ENVIRONMENT == "dev"


def _boolean(name: str, default: bool) -> bool:
    text = os.environ.get(name, "").strip().lower()
    if text in {"", "0", "1", "false", "true", "no", "yes", "off", "on"}:
        return text in {"1", "true", "yes", "on"} if text else default
    raise ImproperlyConfigured(f"{name} must be true or false, not {os.environ[name]!r}.")


LONGEST_NUMBER = 18  # Digits; Python refuses to read thousands of them.


def _whole_number(name: str, default: int) -> int | str:
    """Parse a number; other text is returned unchanged, and the setting's system check reports it."""
    text = os.environ.get(name, "").strip()
    is_number = text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    return int(text) if is_number else text or default


DEBUG = _boolean("DEBUG", IS_DEV)
SECRET_KEY = os.environ.get("SECRET_KEY") or (secrets.token_urlsafe(50) if IS_DEV else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(f"SECRET_KEY is required where ENVIRONMENT is {ENVIRONMENT}.")
ALLOWED_HOSTS = [name for part in os.environ.get("ALLOWED_HOSTS", "").split(",") if (name := part.strip())]
if not ALLOWED_HOSTS:
    if not IS_DEV:
        raise ImproperlyConfigured(f"ALLOWED_HOSTS is required where ENVIRONMENT is {ENVIRONMENT}.")
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]


PREPARE_THRESHOLD = 5
"""PostgreSQL keeps the plan of a statement that a connection has run as often as this."""


def _database() -> dict[str, Any]:
    """DATABASE_URL, else the embedded PostgreSQL."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        name = os.environ.get("DATABASE_NAME") or "booking"
        return {"ENGINE": "example.embedded", "NAME": name, "OPTIONS": {"prepare_threshold": PREPARE_THRESHOLD}}
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        # The library's message would quote it, including the password.
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read; write postgresql://user:password@host:port/database, "
            "with reserved characters percent-encoded."
        ) from None
    port = str(given.pop("port", "") or "")
    options: dict[str, Any] = dict(given)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DATABASE_NAME") or options.pop("dbname", "booking"),
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": port,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
    options.pop("dbname", None)
    if database["HOST"] and not str(database["HOST"]).startswith("/"):
        # A machine that vanishes is noticed within seconds, not hours. What the URL says comes first.
        patience = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
        database["OPTIONS"] = options = {**patience, **options}
    if port == "6543":
        # Behind a transaction pooler, sessions change, so prepared statements and server-side cursors do not work.
        options["prepare_threshold"] = None
        database["DISABLE_SERVER_SIDE_CURSORS"] = True
    else:
        options["prepare_threshold"] = PREPARE_THRESHOLD
    return database


DATABASES = {"default": _database()}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "waffle",
    "assignments",
    "django.contrib.postgres",
    "legacy_planner",
    "rollout",
    "example",
]

ASSIGNMENTS: dict[str, Any] = {
    "HOST": "example.host.ExampleHost",
    "ROUTER": "rollout.routing.RolloutRouter",
    # This project tells the app of each change itself, in the same transaction (example/booking.py).
    "CONNECT_SIGNALS": False,
    "MAX_PARALLEL": _whole_number("FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL", 3),
    "METRICS_TOKEN": os.environ.get("METRICS_TOKEN", ""),
    "MOVABLE_CLOCK": IS_DEV,
}

ROLLOUT: dict[str, Any] = {
    "ENVIRONMENT": ENVIRONMENT,
    "LEGACY_PLANNER": "rollout.legacy.LegacyPlanner",
    "ENVIRONMENT_VARIABLES": read_environment(os.environ),
    # Development has a ladder like production's, with thresholds that the demo can meet.
    "LADDERS": {
        "dev": [
            {"key": "off"},
            {
                "key": "shadow",
                "shadow": True,
                "soak_hours": 1,
                "gates": {
                    "comparable": 100,
                    "unsafe": 0,
                    "candidate_errors": 0,
                    "parity": 0.5,
                    "candidate_p99_ms": 100,
                    "complete": 0.99,
                    "noise": 0.02,
                    "explanations": 0,
                },
            },
            {"key": "canary", "v3": True, "percent": 10, "soak_hours": 1, "gates": {**LIVE, "confirmed": 0.9}},
            {"key": "full", "v3": True, "percent": 100, "soak_hours": 1, "gates": {**LIVE, "confirmed": 0.9}},
        ]
    },
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # the icons in the admin's style sheets
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
"""No external sources, no inline scripts or styles. The admin and every page of the apps comply."""

ROOT_URLCONF = "example.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if not IS_DEV:
    SECURE_SSL_REDIRECT = True
    # Load balancers connect to the server directly, without TLS.
    SECURE_REDIRECT_EXEMPT = [r"^health/$", r"^health/cron/$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOG_FORMAT = os.environ.get("LOG_FORMAT") or ("text" if IS_DEV else "json")
if LOG_FORMAT not in {"json", "text"}:
    raise ImproperlyConfigured(f"LOG_FORMAT must be json or text, not {LOG_FORMAT!r}.")
LOG_LEVEL = os.environ.get("LOG_LEVEL") or "INFO"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"correlation": {"()": "assignments.telemetry.log_formatters.CorrelationFilter"}},
    "formatters": {
        "json": {"()": "assignments.telemetry.log_formatters.JsonFormatter"},
        "text": {
            "()": "assignments.telemetry.log_formatters.PlaceOnlyFormatter",
            "format": "{levelname} {name}: {message} {booking_ref} {correlation_id}",
            "style": "{",
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["correlation"]},
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "assignments": {"level": LOG_LEVEL},
        "rollout": {"level": LOG_LEVEL},
        # Replaces Django's handlers, which log and mail exception messages.
        "django": {"handlers": [], "level": "INFO"},
        # With DEBUG, Django logs statements with parameters, including guests' input.
        "django.db.backends": {"level": "WARNING"},
    },
}
