from django.db import models
from django.utils import timezone

from glitchtip.base_models import SoftDeleteModel

LEVELS = ["sample", "debug", "info", "warning", "error", "fatal"]
STATUSES = ["unresolved", "resolved", "ignored"]


class Issue(SoftDeleteModel):
    """What the worker makes of events; the events are in a partitioned table of their own."""

    project = models.ForeignKey("projects.Project", on_delete=models.CASCADE, related_name="issues")
    title = models.CharField(max_length=255)
    culprit = models.CharField(max_length=1024, blank=True, null=True)
    level = models.PositiveSmallIntegerField(default=4)
    metadata = models.JSONField()
    status = models.PositiveSmallIntegerField(default=0)
    short_id = models.PositiveIntegerField(null=True)
    count = models.PositiveIntegerField(default=1)
    first_seen = models.DateTimeField(default=timezone.now, db_index=True)
    last_seen = models.DateTimeField(default=timezone.now, db_index=True)
