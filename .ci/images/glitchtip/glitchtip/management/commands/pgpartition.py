import datetime
import re

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

TABLE = "issue_events_issueevent"


class Command(BaseCommand):
    help = "Creates the partitions of the coming days and deletes those past retention"

    def add_arguments(self, parser):
        parser.add_argument("--yes", action="store_true")

    def handle(self, **options):
        today = datetime.datetime.now(datetime.timezone.utc).date()
        oldest = today - datetime.timedelta(days=settings.RETENTION_DAYS)
        with connection.cursor() as cursor:
            cursor.execute("select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", [TABLE])
            present = {row[0] for row in cursor.fetchall()}
            for offset in range(8):
                day = today + datetime.timedelta(days=offset)
                name = f"{TABLE}_{day:%Y_%m_%d}"
                if name not in present:
                    cursor.execute(
                        f"create table {name} partition of {TABLE} for values from (%s) to (%s)",
                        [day, day + datetime.timedelta(days=1)],
                    )
            for name in present:
                year, month, day = map(int, re.search(r"(\d{4})_(\d\d)_(\d\d)$", name).groups())
                if datetime.date(year, month, day) < oldest:
                    cursor.execute(f"drop table {name}")
