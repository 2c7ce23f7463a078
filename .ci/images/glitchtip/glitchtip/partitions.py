"""The tables that are cut into days and weeks: seven days ahead, no default partition.

Without the partition of its day an event is accepted and then lost.
"""

import datetime
import re

from django.conf import settings
from django.db import connection

from glitchtip import version

DAILY = [
    "issue_events_issueevent",
    "issue_events_issuetag",
    "performance_transactionevent",
    "uptime_monitorcheck",
]
WEEKLY = [
    "issue_events_issueaggregate",
    "projects_issueeventprojecthourlystatistic",
    "projects_transactioneventprojecthourlystatistic",
    "performance_transactiongroupaggregate",
    "logs_logevent",
]
DAYS_AHEAD = 7
COLUMNS = {
    "issue_events_issueevent": """
        id uuid not null,
        issue_id bigint not null,
        received timestamptz not null,
        "timestamp" timestamptz not null,
        title varchar(255) not null,
        level smallint not null,
        data jsonb not null,
        tags jsonb not null""",
}
OTHER_COLUMNS = "id uuid not null, received timestamptz not null, data jsonb"


def create_tables(cursor):
    """The parents and the first partitions; later ones are maintenance's work."""
    for table in DAILY + WEEKLY:
        columns = COLUMNS.get(table, OTHER_COLUMNS)
        cursor.execute(f"create table {table} ({columns}, primary key (id, received)) partition by range (received)")
        cursor.execute(f"create index on {table} (received)")
    create_missing(cursor)


def create_missing(cursor, days_back=0):
    """Also those of days in the past, for tests of a grown database."""
    cursor.execute("select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid")
    present = {row[0] for row in cursor.fetchall()}
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for offset in range(-days_back, DAYS_AHEAD):
        day = today + datetime.timedelta(days=offset)
        monday = day - datetime.timedelta(days=day.weekday())
        for tables, start, days in [(DAILY, day, 1), (WEEKLY, monday, 7)]:
            for table in tables:
                name = f"{table}_{start:%Y_%m_%d}"
                if name not in present:
                    present.add(name)
                    create_partition(cursor, table, name, start, start + datetime.timedelta(days=days))


def create_partition(cursor, table, name, start, end):
    split = " partition by hash (id)" if version.HASH_PARTITIONS else ""
    cursor.execute(f"create table {name} partition of {table} for values from (%s) to (%s){split}", [start, end])
    for part in range(version.HASH_PARTITIONS):
        cursor.execute(
            f"create table {name}_{part} partition of {name}"
            f" for values with (modulus {version.HASH_PARTITIONS}, remainder {part})"
        )


def delete_old(cursor):
    oldest = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=settings.RETENTION_DAYS)
    for table in DAILY + WEEKLY:
        cursor.execute("select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", [table])
        for (name,) in cursor.fetchall():
            year, month, day = map(int, re.search(r"(\d{4})_(\d\d)_(\d\d)$", name).groups())
            if datetime.date(year, month, day) < oldest - datetime.timedelta(days=6 * (table in WEEKLY)):
                cursor.execute(f"drop table {name}")


def maintain():
    with connection.cursor() as cursor:
        create_missing(cursor)
        delete_old(cursor)
