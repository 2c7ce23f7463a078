from django.db import migrations


class Migration(migrations.Migration):
    """A later version's change that cannot be applied."""

    dependencies = [("event_ingest", "0001_events")]
    operations = [migrations.RunSQL("alter table table_that_is_missing add column note text")]
