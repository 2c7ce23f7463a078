import urllib.parse

from django.core.exceptions import ImproperlyConfigured

from glitchtip import version
from glitchtip.environment import read, read_bool

SECRET_KEY = read("SECRET_KEY", "change_me")
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
USE_I18N = False
ROOT_URLCONF = "glitchtip.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "users.User"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "glitchtip",
    "allauth.account",
    "apps.users",
    "apps.organizations_ext",
    "apps.projects",
    "apps.teams",
    "apps.api_tokens",
    "apps.issue_events",
    "apps.event_ingest",
    *version.APPS,
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
AUTH_PASSWORD_VALIDATORS = []

_database = urllib.parse.urlsplit(read("DATABASE_URL", "postgres://postgres:postgres@postgres:5432/postgres"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": urllib.parse.unquote(_database.path[1:]),
        "USER": urllib.parse.unquote(_database.username or ""),
        "PASSWORD": urllib.parse.unquote(_database.password or ""),
        "HOST": _database.hostname,
        "PORT": _database.port,
        "CONN_HEALTH_CHECKS": read_bool("DATABASE_CONN_HEALTH_CHECKS", False),
        "OPTIONS": {
            "connect_timeout": 5,
            # Whoever asks while PostgreSQL is away waits for a connection.
            "pool": {"min_size": 2, "max_size": int(read("DATABASE_POOL_MAX_SIZE") or version.POOL_SIZE), "timeout": 10},
        },
    }
}

REDIS_URL = read("VALKEY_URL") or read("REDIS_URL") or "redis://redis:6379/0"

GLITCHTIP_URL = urllib.parse.urlsplit(read("GLITCHTIP_DOMAIN", "http://localhost:8000"))
if GLITCHTIP_URL.scheme not in ("http", "https"):
    raise ImproperlyConfigured("GLITCHTIP_DOMAIN must start with http or https")

EMAIL_URL = urllib.parse.urlsplit(read("EMAIL_URL", "consolemail://"))
if EMAIL_URL.scheme not in ("consolemail", "smtp", "smtps", "smtp+tls", "smtp+ssl", "dummymail"):
    raise ImproperlyConfigured(f"Invalid email schema {EMAIL_URL.scheme}")

ENABLE_USER_REGISTRATION = read_bool("ENABLE_USER_REGISTRATION", True)
ENABLE_ORGANIZATION_CREATION = read_bool("ENABLE_ORGANIZATION_CREATION", False)
RETENTION_DAYS = version.RETENTION_DAYS

globals().update(version.settings(REDIS_URL))

LOGGING = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": read("LOG_LEVEL", "WARNING") or "WARNING"},
    "loggers": {"django.server": {"handlers": [], "level": "CRITICAL", "propagate": False}},
}
LOGGING_CONFIG = "logging.config.dictConfig"
