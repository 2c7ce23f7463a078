create extension if not exists pgcrypto;

create table "user" (
  user_id uuid primary key,
  username varchar(255) not null unique,
  password varchar(60) not null,
  role varchar(50) not null,
  logo_url varchar(2183),
  display_name varchar(255),
  created_at timestamptz(6) default current_timestamp,
  updated_at timestamptz(6),
  deleted_at timestamptz(6)
);

create table website (
  website_id uuid primary key,
  name varchar(100) not null,
  domain varchar(500),
  reset_at timestamptz(6),
  user_id uuid,
  team_id uuid,
  created_by uuid,
  created_at timestamptz(6) default current_timestamp,
  updated_at timestamptz(6),
  deleted_at timestamptz(6),
  replay_enabled boolean not null default false,
  replay_config jsonb
);

-- The shipped login, admin with the password umami, in the notation of the
-- JavaScript library, which pgcrypto does not know. The id is the real one's.
insert into "user" (user_id, username, role, password)
values ('41e2b680-648e-4b09-bcd7-3e2b10c06264', 'admin', 'admin', '@SHIPPED_HASH@');
