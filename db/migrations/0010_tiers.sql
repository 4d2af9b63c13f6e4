-- Coarser tiers, made from finer ones: 10 minutes, hours, days. What is closed, what is stale, and
-- the making of rows. Tables as drizzle-kit has them; written by hand, as it has no partitions.

do $$
declare
  kind text;
  key text;
  tier text;
  words text;
begin
  for kind, key in
    values
      ('counters', 'app, bucket, process, name, source'),
      ('gauges', 'app, bucket, process, name, source'),
      ('histograms', 'app, bucket, process, name, source'),
      ('ledger', 'app, bucket'),
      ('requests', 'app, process, bucket')
  loop
    for tier, words in values ('10m', '10 minutes'), ('1h', 'hour'), ('1d', 'UTC day') loop
      execute format(
        'create table shelf.%1$I (
          like shelf.%2$I including defaults including comments,
          constraint %3$I primary key (%4$s)
        ) partition by range (bucket)',
        kind || '_' || tier, kind || '_1m', kind || '_' || tier || '_pkey', key);
      execute format('create table shelf.%I partition of shelf.%I default',
        kind || '_' || tier || '_default', kind || '_' || tier);
      execute format('comment on table shelf.%I is %L', kind || '_' || tier,
        format('The rows of shelf.%s_1m merged by %s. Before compacted_until in shelf.tiers they are complete, but for those in shelf.dirty.', kind, words));
      execute format('comment on table shelf.%I is %L', kind || '_' || tier || '_default',
        format('Rows of shelf.%s_%s of times without a partition.', kind, tier));
      execute format('comment on column shelf.%I.bucket is %L', kind || '_' || tier,
        format('The start of the %s (UTC), by the time of the event.', words));
    end loop;
  end loop;
end
$$;

create table shelf.tiers (
  tier            text primary key,
  step            interval not null,
  kept            interval,
  closed_until    timestamp with time zone,
  compacted_until timestamp with time zone,
  dropped_until   timestamp with time zone
);

comment on table shelf.tiers is 'The tiers, and how far each is made.';
comment on column shelf.tiers.tier is '1m, 10m, 1h or 1d: the end of its tables'' names.';
comment on column shelf.tiers.step is 'How long a bucket is.';
comment on column shelf.tiers.kept is 'How long its rows are kept; null is for ever.';
comment on column shelf.tiers.closed_until is
  'Who writes to minutes before it marks the tier''s bucket in shelf.dirty. Null for 1m.';
comment on column shelf.tiers.compacted_until is
  'Before it the tier''s rows are there, but for those in shelf.dirty. Null for 1m.';
comment on column shelf.tiers.dropped_until is
  'Before it the tier''s rows are gone; null while nothing was dropped.';

-- Hours, not days: to add a day takes the clocks of the session's time zone into account.
insert into shelf.tiers (tier, step, kept, closed_until, compacted_until) values
  ('1m', '1 minute', '7 days', null, null),
  ('10m', '10 minutes', '30 days', '-infinity', '-infinity'),
  ('1h', '1 hour', '400 days', '-infinity', '-infinity'),
  ('1d', '24 hours', null, '-infinity', '-infinity');

create table shelf.dirty (
  tier   text not null,
  app    text not null,
  bucket timestamp with time zone not null,
  constraint dirty_pkey primary key (tier, app, bucket)
);

comment on table shelf.dirty is
  'Buckets of coarser tiers that are to be made again from the finer tier, in the transaction that deletes their row here.';
comment on column shelf.dirty.tier is '10m, 1h or 1d.';
comment on column shelf.dirty.app is 'The app; empty in the ledger, where it is not known.';
comment on column shelf.dirty.bucket is 'The start of the bucket.';

-- Closing. Writers hold the lock 'shelf.tiers' shared, from before they look where the tiers are
-- closed until they commit. To move that takes it alone: so every row was either there before, or
-- is marked.

create function shelf.mark_dirty(apps text[], minutes timestamp with time zone[]) returns void
language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('shelf.tiers', 0));

  -- In the order of their key, so that no two wait in a ring. An update, where the mark is there:
  -- so a redo that is at it now ends first, and leaves us a mark of our own.
  insert into shelf.dirty (tier, app, bucket)
  select distinct t.tier, m.app, date_bin(t.step, m.minute, '1970-01-01 00:00+00')
  from shelf.tiers t
  join unnest(apps, minutes) m (app, minute) on m.minute < t.closed_until
  order by 1, 2, 3
  on conflict (tier, app, bucket) do update set tier = excluded.tier;
end
$$;

comment on function shelf.mark_dirty(text[], timestamp with time zone[]) is
  'To be called first by each transaction that writes to a table of the 1m tier, with the apps and minutes of its rows: marks the closed buckets that they lie in. Needs read committed.';

create function shelf.finer_tier(tier text) returns text
language sql stable as $$
  select f.tier from shelf.tiers t join shelf.tiers f on f.step < t.step
  where t.tier = finer_tier.tier
  order by f.step desc limit 1
$$;

comment on function shelf.finer_tier(text) is 'The tier that a tier is made from; null for 1m.';

create function shelf.close_buckets(tier text, until timestamp with time zone) returns boolean
language plpgsql as $$
begin
  if not coalesce(isfinite(until), false) then
    raise exception 'buckets are closed until a time, not %', until
      using errcode = 'invalid_parameter_value';
  end if;
  perform from shelf.tiers t where t.tier = close_buckets.tier for update skip locked;
  if not found then
    return false;
  end if;
  -- Writers wait behind us while we wait for one that hangs.
  perform set_config('lock_timeout', '1s', true);
  perform pg_advisory_xact_lock(hashtextextended('shelf.tiers', 0));

  update shelf.tiers t set
    closed_until = greatest(t.closed_until,
      date_bin(t.step, least(until, f.compacted_until), '1970-01-01 00:00+00'))
  from shelf.tiers f
  where t.tier = close_buckets.tier and f.tier = shelf.finer_tier(t.tier);
  return found;
end
$$;

comment on function shelf.close_buckets(text, timestamp with time zone) is
  'Closes the buckets of a tier that end at until or before, and where the finer tier is compacted: writers mark them from now on. In a transaction of its own, and shelf.mark_closed in the next. False where another session is at this tier; fails with lock_not_available where a writer takes longer than 1 s. Never opens what is closed.';

create function shelf.buckets_within(
  tier text,
  since timestamp with time zone,
  until timestamp with time zone
) returns table (app text, bucket timestamp with time zone)
language plpgsql stable
set jit = off as $$
declare
  finer constant text := shelf.finer_tier(tier);
begin
  return query execute (
    select format(
      'select app, date_bin($1, bucket, ''1970-01-01 00:00+00'') from (
        select app, bucket from shelf.dirty where tier = %L and bucket >= $2 and bucket < $3
        union all %s
      ) cells group by 1, 2',
      finer,
      string_agg(format(
        '(select app, bucket from shelf.%I where bucket >= $2 and bucket < $3 group by 1, 2)',
        kind || '_' || finer), ' union all '))
    from unnest(array['counters', 'gauges', 'histograms', 'ledger', 'requests']) kind
  ) using (select t.step from shelf.tiers t where t.tier = buckets_within.tier), since, until;
end
$$;

comment on function
  shelf.buckets_within(text, timestamp with time zone, timestamp with time zone) is
  'The buckets of a tier for which the finer tier has rows from since to before until, or will have when its own marks are redone.';

create function shelf.mark_closed(tier text) returns integer
language plpgsql as $$
declare
  since timestamp with time zone;
  until timestamp with time zone;
  marked integer;
begin
  select t.compacted_until, t.closed_until into since, until
  from shelf.tiers t where t.tier = mark_closed.tier
  for update skip locked;
  if not coalesce(since < until, false) then
    return 0;
  end if;

  insert into shelf.dirty (tier, app, bucket)
  select mark_closed.tier, b.app, b.bucket
  from shelf.buckets_within(mark_closed.tier, since, until) b
  order by 2, 3
  on conflict on constraint dirty_pkey do update set tier = excluded.tier;
  get diagnostics marked = row_count;

  update shelf.tiers t set compacted_until = until where t.tier = mark_closed.tier;
  return marked;
end
$$;

comment on function shelf.mark_closed(text) is
  'Marks what a tier has to make of the buckets closed since the last time, and takes them as compacted: what is not there yet is marked. Returns how many. In a transaction of its own, after that of shelf.close_buckets has ended. Does nothing where another session is at it.';

-- Making. One function a kind, each of the rows of some buckets, from those of the finer tier.

create function shelf.coarser_counters(
  finer text,
  step interval,
  apps text[],
  buckets timestamp with time zone[]
) returns setof shelf.counters_1m
language plpgsql stable
set jit = off set work_mem = '64MB' as $$
begin
  return query execute format(
    'select f.app, f.process, f.name, f.source, m.bucket, sum(f.sum)
    from shelf.%I f
    join unnest($1, $2) m (app, bucket)
      on m.app = f.app and m.bucket = date_bin($3, f.bucket, ''1970-01-01 00:00+00'')
    where f.bucket >= $4 and f.bucket < $5
    group by 1, 2, 3, 4, 5', 'counters_' || finer)
  using apps, buckets, step,
    (select min(b) from unnest(buckets) b), (select max(b) + step from unnest(buckets) b);
end
$$;

comment on function
  shelf.coarser_counters(text, interval, text[], timestamp with time zone[]) is
  'Rows of counters for these buckets, each of an app and of length step, from those of a finer tier.';

create function shelf.coarser_gauges(
  finer text,
  step interval,
  apps text[],
  buckets timestamp with time zone[]
) returns setof shelf.gauges_1m
language plpgsql stable
set jit = off set work_mem = '64MB' as $$
begin
  return query execute format(
    'select f.app, f.process, f.name, f.source, m.bucket, sum(f.count)::bigint, sum(f.sum),
      min(f.min), max(f.max), (array_agg(f.last order by f.last_at desc, f.last desc))[1],
      max(f.last_at)
    from shelf.%I f
    join unnest($1, $2) m (app, bucket)
      on m.app = f.app and m.bucket = date_bin($3, f.bucket, ''1970-01-01 00:00+00'')
    where f.bucket >= $4 and f.bucket < $5
    group by 1, 2, 3, 4, 5', 'gauges_' || finer)
  using apps, buckets, step,
    (select min(b) from unnest(buckets) b), (select max(b) + step from unnest(buckets) b);
end
$$;

comment on function
  shelf.coarser_gauges(text, interval, text[], timestamp with time zone[]) is
  'Rows of gauges for these buckets, each of an app and of length step, from those of a finer tier.';

create function shelf.coarser_histograms(
  finer text,
  step interval,
  apps text[],
  buckets timestamp with time zone[]
) returns setof shelf.histograms_1m
language plpgsql stable
set jit = off set work_mem = '64MB' as $$
begin
  return query execute format(
    'select g.app, g.process, g.name, g.source, g.bucket,
      row(g.zero, coalesce(h.bins, ''{}''), coalesce(h.counts, ''{}''), g.sum, g.min, g.max)
        ::shelf.histogram
    from (
      select f.app, f.process, f.name, f.source, m.bucket, array_agg(f.histogram) as histograms,
        sum((f.histogram).zero)::bigint as zero, sum((f.histogram).sum) as sum,
        min((f.histogram).min) as min, max((f.histogram).max) as max
      from shelf.%I f
      join unnest($1, $2) m (app, bucket)
        on m.app = f.app and m.bucket = date_bin($3, f.bucket, ''1970-01-01 00:00+00'')
      where f.bucket >= $4 and f.bucket < $5
      group by 1, 2, 3, 4, 5
    ) g
    cross join lateral (
      select array_agg(bin) as bins, array_agg(n) as counts
      from (
        select b.bin, sum(b.n)::bigint as n
        from unnest(g.histograms) h, unnest((h).bins, (h).counts) b (bin, n)
        group by b.bin
        order by b.bin
      ) ordered
    ) h', 'histograms_' || finer)
  using apps, buckets, step,
    (select min(b) from unnest(buckets) b), (select max(b) + step from unnest(buckets) b);
end
$$;

comment on function
  shelf.coarser_histograms(text, interval, text[], timestamp with time zone[]) is
  'Rows of histograms for these buckets, each of an app and of length step, from those of a finer tier.';

create function shelf.coarser_ledger(
  finer text,
  step interval,
  apps text[],
  buckets timestamp with time zone[]
) returns setof shelf.ledger_1m
language plpgsql stable
set jit = off set work_mem = '64MB' as $$
begin
  -- All its columns but the key are counts, whichever they come to be.
  return query execute format(
    'select f.app, m.bucket, %s
    from shelf.%I f
    join unnest($1, $2) m (app, bucket)
      on m.app = f.app and m.bucket = date_bin($3, f.bucket, ''1970-01-01 00:00+00'')
    where f.bucket >= $4 and f.bucket < $5
    group by 1, 2',
    (
      select string_agg(format('least(sum(f.%I), 9007199254740991)::bigint', attname), ', '
        order by attnum)
      from pg_attribute
      where attrelid = 'shelf.ledger_1m'::regclass and atttypid = 'bigint'::regtype
        and attnum > 0 and not attisdropped
    ),
    'ledger_' || finer)
  using apps, buckets, step,
    (select min(b) from unnest(buckets) b), (select max(b) + step from unnest(buckets) b);
end
$$;

comment on function
  shelf.coarser_ledger(text, interval, text[], timestamp with time zone[]) is
  'Rows of the ledger for these buckets, each of an app and of length step, from those of a finer tier. Counts stop at 2^53 - 1, as in 1m.';

create function shelf.coarser_requests(
  finer text,
  step interval,
  apps text[],
  buckets timestamp with time zone[]
) returns setof shelf.requests_1m
language plpgsql stable
set jit = off set work_mem = '64MB' as $$
begin
  return query execute format(
    'select g.app, g.process, g.bucket, g.requests, codes.status,
      row(g.service_zero, coalesce(s.bins, ''{}''), coalesce(s.counts, ''{}''), g.service_sum,
        g.service_min, g.service_max)::shelf.histogram,
      row(g.connect_zero, coalesce(c.bins, ''{}''), coalesce(c.counts, ''{}''), g.connect_sum,
        g.connect_min, g.connect_max)::shelf.histogram,
      g.bytes
    from (
      select f.app, f.process, m.bucket, sum(f.requests)::bigint as requests,
        least(sum(f.bytes), 9007199254740991)::bigint as bytes, array_agg(f.status) as statuses,
        array_agg(f.service) as services,
        sum((f.service).zero)::bigint as service_zero, sum((f.service).sum) as service_sum,
        min((f.service).min) as service_min, max((f.service).max) as service_max,
        array_agg(f.connect) as connects,
        sum((f.connect).zero)::bigint as connect_zero, sum((f.connect).sum) as connect_sum,
        min((f.connect).min) as connect_min, max((f.connect).max) as connect_max
      from shelf.%I f
      join unnest($1, $2) m (app, bucket)
        on m.app = f.app and m.bucket = date_bin($3, f.bucket, ''1970-01-01 00:00+00'')
      where f.bucket >= $4 and f.bucket < $5
      group by 1, 2, 3
    ) g
    cross join lateral (
      select coalesce(jsonb_object_agg(code, n), ''{}'') as status
      from (
        select code, sum(n::bigint)::bigint as n
        from unnest(g.statuses) status, jsonb_each_text(status) counts (code, n)
        group by code
      ) merged
    ) codes
    cross join lateral (
      select array_agg(bin) as bins, array_agg(n) as counts
      from (
        select b.bin, sum(b.n)::bigint as n
        from unnest(g.services) h, unnest((h).bins, (h).counts) b (bin, n)
        group by b.bin
        order by b.bin
      ) ordered
    ) s
    cross join lateral (
      select array_agg(bin) as bins, array_agg(n) as counts
      from (
        select b.bin, sum(b.n)::bigint as n
        from unnest(g.connects) h, unnest((h).bins, (h).counts) b (bin, n)
        group by b.bin
        order by b.bin
      ) ordered
    ) c', 'requests_' || finer)
  using apps, buckets, step,
    (select min(b) from unnest(buckets) b), (select max(b) + step from unnest(buckets) b);
end
$$;

comment on function
  shelf.coarser_requests(text, interval, text[], timestamp with time zone[]) is
  'Rows of requests for these buckets, each of an app and of length step, from those of a finer tier.';

create function shelf.redo_buckets(tier text, at_most integer) returns integer
language plpgsql
set jit = off as $$
declare
  -- Buckets of one piece are near each other in time: a piece touches few partitions.
  steps_max constant integer := 24;
  finer constant text := shelf.finer_tier(tier);
  step constant interval := (select t.step from shelf.tiers t where t.tier = redo_buckets.tier);
  apps text[];
  buckets timestamp with time zone[];
  kind text;
begin
  -- Locked from here on: no other session redoes them, and writers that mark them wait for us.
  select array_agg(p.app), array_agg(p.bucket) into apps, buckets
  from (
    select d.app, d.bucket from shelf.dirty d
    where d.tier = redo_buckets.tier
      and not exists (
        select from shelf.dirty f
        where f.tier = finer and f.app = d.app and f.bucket >= d.bucket
          and f.bucket < d.bucket + step
      )
    order by d.bucket, d.app
    limit at_most
    for update of d skip locked
  ) p;

  -- Looked at again: who marked the finer tier's, and committed before the lock was ours, is seen
  -- only now.
  with redone as (
    delete from shelf.dirty d
    using unnest(apps, buckets) p (app, bucket)
    where d.tier = redo_buckets.tier and d.app = p.app and d.bucket = p.bucket
      and d.bucket < (select min(b) from unnest(buckets) b) + steps_max * step
      and not exists (
        select from shelf.dirty f
        where f.tier = finer and f.app = d.app and f.bucket >= d.bucket
          and f.bucket < d.bucket + step
      )
    returning d.app, d.bucket
  )
  select array_agg(r.app), array_agg(r.bucket) into apps, buckets from redone r;
  if apps is null then
    return 0;
  end if;

  -- By name, as all who write to several of them.
  foreach kind in array array['counters', 'gauges', 'histograms', 'ledger', 'requests'] loop
    execute format(
      'delete from shelf.%I t using unnest($1, $2) m (app, bucket)
      where t.app = m.app and t.bucket = m.bucket and t.bucket >= $3 and t.bucket <= $4',
      kind || '_' || tier)
    using apps, buckets,
      (select min(b) from unnest(buckets) b), (select max(b) from unnest(buckets) b);
    execute format('insert into shelf.%I select * from shelf.%I($1, $2, $3, $4)',
      kind || '_' || tier, 'coarser_' || kind)
    using finer, step, apps, buckets;
  end loop;
  return cardinality(apps);
end
$$;

comment on function shelf.redo_buckets(text, integer) is
  'Makes marked buckets of a tier again from the finer tier, the oldest first, at most so many, and takes their marks away. Those that the finer tier has yet to redo wait for it. Returns how many; 0 where none is left that no other session is at. In a transaction of its own, by any number of sessions at once. Needs read committed.';
