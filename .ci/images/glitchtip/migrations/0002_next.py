from django.db import migrations


class Migration(migrations.Migration):
    """A later version's change, which an older one can live with."""

    dependencies = [("event_ingest", "0001_events")]
    operations = [migrations.RunSQL("alter table projects_project add column next_version_note text")]
