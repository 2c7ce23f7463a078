"""Makes issues of events."""

import datetime
import json
import uuid

from django.db import connection, transaction
from django.db.models import F, Max
from django.utils import timezone

from apps.issue_events.models import LEVELS, Issue
from apps.projects.models import Project


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
def process_events(messages):
    for message in messages:
        store(message)


def store(message):
    """Makes an issue of an event, or counts it to the one with the same title."""
    event, received = message["event"], datetime.datetime.fromisoformat(message["received"])
    project = Project.objects.get(pk=message["project"])
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
            values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing""",
            [
                str(uuid.UUID(event["event_id"])), issue.pk, received, received,
                found["title"], found["level"], json.dumps(event), json.dumps(tags),
            ],
        )  # fmt: skip
    if project.first_event is None:
        Project.objects.filter(pk=project.pk).update(first_event=timezone.now())
