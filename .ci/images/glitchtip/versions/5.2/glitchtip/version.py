"""What 5.2 does its own way: the queue is Celery 5.5 with celery-batches, over Redis by redis-py."""

from celery import shared_task
from celery.schedules import crontab
from celery_batches import Batches

from glitchtip.environment import read, read_bool

VERSION = "5.2.1"
DEFAULT_PORT = "8080"
HASH_PARTITIONS = 0
# A wrong key blocks the right one of its project too.
BLOCKS_ONE_KEY = False
DENIED = {"envelope": 403, "store": 401}
# uWSGI sends two spaces before the cookie.
COOKIE_PREFIX = " "
POOL_SIZE = 10
RETENTION_DAYS = int(read("GLITCHTIP_MAX_EVENT_LIFE_DAYS") or 90)

scheduled = shared_task(ignore_result=True)
batch = shared_task(base=Batches, flush_every=100, flush_interval=2, ignore_result=True)


def send(batch_task, argument):
    import glitchtip.celery  # noqa: F401, the tasks belong to this application once it is there

    batch_task.delay(argument)


def arguments(requests):
    return [request.args[0] for request in requests]


def settings(redis_url):
    schedule = {
        "send-alert-notifications": {"task": "glitchtip.tasks.send_alert_notifications", "schedule": 60},
        "perform-maintenance": {"task": "glitchtip.tasks.perform_maintenance", "schedule": crontab(hour=5, minute=0)},
    }
    if read_bool("GLITCHTIP_ENABLE_UPTIME", True):
        schedule["uptime-dispatch-checks"] = {"task": "glitchtip.tasks.dispatch_checks", "schedule": 1}
    return {
        "CACHES": {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}},
        "CELERY_BROKER_URL": redis_url,
        "CELERY_BROKER_TRANSPORT_OPTIONS": {
            "fanout_prefix": True,
            "fanout_patterns": True,
            "retry_on_timeout": True,
            "max_connections": 100,
        },
        "CELERY_REDIS_RETRY_ON_TIMEOUT": True,
        "CELERY_BEAT_SCHEDULE": schedule,
    }


APPS = []
