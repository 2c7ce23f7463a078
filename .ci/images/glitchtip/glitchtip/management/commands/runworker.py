import datetime
import json
import os
import signal
import sys
import time
import uuid

import redis
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.db.models import F, Max
from django.utils import timezone

from apps.issue_events.models import LEVELS, Issue
from apps.projects.models import Project
from glitchtip import queue


def title_of(event):
    values = event.get("exception") or {}
    values = values.get("values") if isinstance(values, dict) else values
    if values:
        kind, value = values[-1].get("type"), values[-1].get("value")
        return (f"{kind}: {value}" if kind and value else kind or value or "<unknown>")[:255]
    entry = event.get("logentry") or {}
    message = event.get("message") or entry.get("formatted") or entry.get("message")
    if isinstance(message, dict):
        message = message.get("formatted") or message.get("message")
    return (message or "<untitled>").split("\n")[0][:255]


@transaction.atomic
def store(task):
    """Makes an issue of an event, or counts it to the one with the same title."""
    event, received = task["event"], datetime.datetime.fromisoformat(task["received"])
    project = Project.objects.get(pk=task["project"])
    level = event.get("level", "error")
    found = {
        "level": LEVELS.index(level) if level in LEVELS else 4,
        "title": title_of(event),
        "culprit": event.get("transaction") or "",
    }
    # The same title is the same issue.
    issue = Issue.objects.filter(project=project, title=found["title"], is_deleted=False).first()
    if issue:
        Issue.objects.filter(pk=issue.pk).update(count=F("count") + 1, last_seen=received, status=0)
    else:
        last = Issue.objects.filter(project=project).aggregate(last=Max("short_id"))["last"] or 0
        issue = Issue.objects.create(
            project=project,
            short_id=last + 1,
            metadata={"title": found["title"]},
            first_seen=received,
            last_seen=received,
            **found,
        )
    tags = event.get("tags") or {}
    tags = dict(tags) if isinstance(tags, (dict, list)) else {}
    with connection.cursor() as cursor:
        cursor.execute(
            """insert into issue_events_issueevent (id, issue_id, received, "timestamp", title, level, data, tags)
            values (%s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                str(uuid.UUID(event["event_id"])), issue.pk, received, received,
                found["title"], found["level"], json.dumps(event), json.dumps(tags),
            ],
        )  # fmt: skip
    if project.first_event is None:
        Project.objects.filter(pk=project.pk).update(first_event=timezone.now())


class Command(BaseCommand):
    help = "Turns the queued events into issues"
    requires_system_checks = []

    def handle(self, **options):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        self.stdout.write("GlitchTip (stand-in) worker is ready")
        while True:
            try:
                _, raw = queue.client.brpop(queue.EVENTS)
            except redis.RedisError as error:
                print(f"queue: {error}", file=sys.stderr)
                time.sleep(0.5)
                continue
            # The real one works in batches, so an answer comes before its issue.
            time.sleep(0.5)
            self.process(json.loads(raw))

    def process(self, task):
        if settings.CONN_HEALTH_CHECKS and connection.connection and not connection.is_usable():
            connection.close()
        try:
            store(task)
        except Exception as error:
            # The task is gone and the event lost, as it is in the real one.
            print(f"task failed: {type(error).__name__}: {error}", file=sys.stderr)
            connection.close()
