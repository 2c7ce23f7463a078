import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "glitchtip.settings")

app = Celery("glitchtip")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["glitchtip", "apps.event_ingest"])
