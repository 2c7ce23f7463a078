-- A later version's change that cannot be applied.
alter table table_that_is_missing add column note text;
