-- Backfill: rows are made again from the raw log in tables of their own, which then take the place
-- of the others slice by slice. All are unlogged: a crash empties them together, and a backfill
-- begins anew.

do $$
declare
  name text;
  key text;
begin
  for name, key in
    values
      ('counters', 'app, bucket, process, name, source'),
      ('gauges', 'app, bucket, process, name, source'),
      ('histograms', 'app, bucket, process, name, source'),
      ('ledger', 'app, bucket'),
      ('requests', 'app, process, bucket')
  loop
    execute format(
      'create unlogged table shelf.%1$I (
        like shelf.%2$I including defaults including comments,
        constraint %3$I primary key (%4$s)
      )',
      name || '_staged', name || '_1m', name || '_staged_pkey', key);
    execute format('comment on table shelf.%I is %L', name || '_staged',
      format('The rows of shelf.%s_1m of the range of a backfill, made again from the raw log up to its places.', name));
  end loop;
end
$$;

create unlogged table shelf.marker_lines_staged (
  like shelf.marker_lines including defaults including comments,
  constraint marker_lines_staged_pkey primary key (app, time, kind, process, dyno, text)
);

comment on table shelf.marker_lines_staged is
  'The rows of shelf.marker_lines of the range of a backfill, as in shelf.requests_staged.';

create unlogged table shelf.dynos_staged (
  like shelf.dynos including defaults including comments,
  constraint dynos_staged_pkey primary key (app, dyno, instance)
);

comment on table shelf.dynos_staged is
  'Sightings in the range of a backfill. They are added to shelf.dynos at its end: when a dyno was seen first and last does not fall apart by time, so nothing is taken away there.';

create unlogged table shelf.backfill (
  run        text primary key,
  arguments  text not null,
  since      timestamp with time zone not null,
  until      timestamp with time zone not null,
  done_until timestamp with time zone not null,
  started_at timestamp with time zone not null default now()
);

comment on table shelf.backfill is 'The backfill that is at work, or was interrupted; one or none.';
comment on column shelf.backfill.run is
  'Which process is at it: another one that goes on with it writes its own here, and the first one stops.';
comment on column shelf.backfill.arguments is
  'What it was called with: the same call goes on with it.';
comment on column shelf.backfill.since is 'The start of its range: of a bucket of the finest tier there.';
comment on column shelf.backfill.until is 'The end of its range, exclusive.';
comment on column shelf.backfill.done_until is
  'Before it the rows are those of the log: from there on shelf persist adds to them as to all others.';
comment on column shelf.backfill.started_at is 'When it began.';

create unlogged table shelf.backfill_progress (
  partition integer primary key,
  epoch     integer not null,
  next_from bigint not null,
  next_part integer not null
);

comment on table shelf.backfill_progress is
  'The places up to which the staged rows hold the raw log, as in shelf.progress.';
comment on column shelf.backfill_progress.partition is 'The partition of the topics raw and aggregates.';
comment on column shelf.backfill_progress.epoch is
  'Which raw log next_from is an offset of: how many there were before.';
comment on column shelf.backfill_progress.next_from is
  'The offset in raw before which everything in the range is staged.';
comment on column shelf.backfill_progress.next_part is
  'Of the chunk at next_from, the parts before this one are staged too.';
