from django.contrib.postgres.operations import HStoreExtension, TrigramExtension
from django.db import migrations


class Migration(migrations.Migration):
    operations = [
        HStoreExtension(),
        TrigramExtension(),
        # A partition for each of the first seven days; later ones are pgpartition's work.
        migrations.RunSQL(
            """
            create table issue_events_issueevent (
              id uuid not null,
              issue_id bigint not null,
              received timestamptz not null,
              "timestamp" timestamptz not null,
              title varchar(255) not null,
              level smallint not null,
              data jsonb not null,
              tags jsonb not null,
              primary key (id, received)
            ) partition by range (received);
            do $$ begin
              for day in 0..6 loop
                execute format(
                  'create table %I partition of issue_events_issueevent for values from (%L) to (%L)',
                  'issue_events_issueevent_' || to_char(current_date + day, 'YYYY_mm_dd'),
                  current_date + day, current_date + day + 1);
              end loop;
            end $$;
            """
        ),
    ]
