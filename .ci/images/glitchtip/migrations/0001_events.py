from django.contrib.postgres.operations import HStoreExtension, TrigramExtension
from django.db import migrations

from glitchtip import partitions


def create_tables(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        partitions.create_tables(cursor)


class Migration(migrations.Migration):
    operations = [
        HStoreExtension(),
        TrigramExtension(),
        migrations.RunPython(create_tables),
    ]
