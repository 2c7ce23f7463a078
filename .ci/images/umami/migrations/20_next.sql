-- A later version's change, which an older one can live with.
alter table website add column next_version_note text;
