create table event_data (
  event_data_id uuid primary key,
  website_id uuid not null,
  website_event_id uuid not null,
  data_key varchar(500) not null,
  string_value varchar(500),
  number_value decimal(19, 4),
  date_value timestamptz(6),
  data_type integer not null,
  created_at timestamptz(6) default current_timestamp
);
create index on event_data (website_event_id);
