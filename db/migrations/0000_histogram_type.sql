-- The schema, and the type that every percentile comes from.

create schema if not exists shelf;

comment on schema shelf is
  'Metrics made from log drains. Tables and functions here are the public interface of Shelf.';

create type shelf.histogram as (
  zero   bigint,
  bins   integer[],
  counts bigint[],
  sum    double precision,
  min    double precision,
  max    double precision
);

comment on type shelf.histogram is
  'A base-2 exponential histogram at scale 5, as OpenTelemetry defines it: 32 bins for each doubling, so that a value is known to 1.083 %. Histograms merge exactly. Empty: (0,{},{},0,,).';
comment on column shelf.histogram.zero is 'How many values were exactly 0.';
comment on column shelf.histogram.bins is
  'The bins that hold something, ascending: bin i holds values in (2^(i/32), 2^((i+1)/32)].';
comment on column shelf.histogram.counts is 'How many values each of the bins holds, never 0.';
comment on column shelf.histogram.sum is
  'The sum of all values. Exact in any order of merging as long as values are whole and their sum is below 2^53.';
comment on column shelf.histogram.min is 'The least value, exactly; null when empty.';
comment on column shelf.histogram.max is 'The greatest value, exactly; null when empty.';

-- The list of migrations. The migrator makes it before this file runs.
comment on table shelf.migrations is 'The migrations applied to this database.';
comment on column shelf.migrations.id is 'In the order of application.';
comment on column shelf.migrations.hash is 'SHA-256 of the migration file, hexadecimal.';
comment on column shelf.migrations.created_at is
  'When the migration was written, Unix ms: its place in the order. Not when it was applied.';
comment on sequence shelf.migrations_id_seq is 'Numbers the migrations.';
