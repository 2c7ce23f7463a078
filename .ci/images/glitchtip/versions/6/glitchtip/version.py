"""What 6.2.6 does its own way: queue and scheduler are django-vtasks 3.1.0, over Redis by django-vcache."""

from django_vtasks import task
from django_vtasks.scheduler import crontab

from glitchtip.environment import read, read_bool

VERSION = "6.2.6"
DEFAULT_PORT = "8000"
# Each day and each week is split by hash once more.
HASH_PARTITIONS = 4
BLOCKS_ONE_KEY = True
DENIED = {"envelope": 401, "store": 401}
COOKIE_PREFIX = ""
POOL_SIZE = 20
RETENTION_DAYS = int(read("GLITCHTIP_RETENTION_DAYS") or 90)

scheduled = task
batch = task(queue_name="ingest")


def send(batch_task, argument):
    batch_task.enqueue(argument)


def arguments(tasks):
    return [queued["args"][0] for queued in tasks]


def settings(redis_url):
    schedule = {
        "send-alert-notifications": {"task": "glitchtip.tasks.send_alert_notifications", "schedule": 60},
        "perform-maintenance": {"task": "glitchtip.tasks.perform_maintenance", "schedule": crontab(hour=5, minute=0)},
    }
    if read_bool("GLITCHTIP_ENABLE_UPTIME", True):
        schedule["uptime-dispatch-checks"] = {"task": "glitchtip.tasks.dispatch_checks", "schedule": 1}
    return {
        "CACHES": {"default": {"BACKEND": "django_vcache.backend.ValkeyCache", "LOCATION": redis_url}},
        "TASKS": {
            "default": {
                "BACKEND": "django_vtasks.backends.valkey.ValkeyTaskBackend",
                "OPTIONS": {"cache_alias": "default"},
            }
        },
        "VTASKS_QUEUES": {"default": {}, "ingest": {"batch": {"count": 100, "timeout": 2.0}}},
        "VTASKS_SCHEDULE": schedule,
    }


APPS = ["django_vtasks"]
