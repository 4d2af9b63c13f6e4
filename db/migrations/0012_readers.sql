-- Readers that know the tiers: at each time rows come from the coarsest tier that serves the step,
-- and the answer is the one that minutes would give.

-- What may be asked.

create function shelf.round_up(at timestamp with time zone, step interval)
returns timestamp with time zone
language sql immutable parallel safe as $$
  select case when start < at then start + step else start end
  from date_bin(step, at, '1970-01-01 00:00+00') start
$$;

comment on function shelf.round_up(timestamp with time zone, interval) is
  'The start of the first bucket of length step that does not begin before a time.';

create function shelf.finest_tier(at timestamp with time zone) returns shelf.tiers
language sql stable parallel safe as $$
  select t from shelf.tiers t
  where t.dropped_until is null or t.dropped_until <= at
    or not exists (select from shelf.tiers coarser where coarser.step > t.step)
  order by t.step limit 1
$$;

comment on function shelf.finest_tier(timestamp with time zone) is
  'The finest tier that keeps rows of a time; the coarsest of all where none does.';

create function shelf.kept_range(since timestamp with time zone, until timestamp with time zone)
returns tstzrange
language sql stable parallel safe as $$
  select case when since < until then tstzrange(
    shelf.round_up(start, (shelf.finest_tier(start)).step),
    shelf.round_up(stop, (shelf.finest_tier(stop)).step)
  ) else 'empty' end
  -- Near the ends of time there are no more buckets.
  from greatest(least(since, '200000-01-01 00:00+00'), '0001-01-01 00:00+00') start,
    greatest(least(until, '200000-01-01 00:00+00'), '0001-01-01 00:00+00') stop
$$;

comment on function shelf.kept_range(timestamp with time zone, timestamp with time zone) is
  'What is read for a range: the buckets of the finest tier kept at each time that begin from since to before until. Empty where until is not after since, or one is null.';

create function shelf.kept_step(
  since timestamp with time zone,
  until timestamp with time zone,
  step interval
) returns interval
language plpgsql stable parallel safe as $$
declare
  -- Hours, not days, as in shelf.tiers.
  size constant interval :=
    make_interval(secs => extract(epoch from shelf.step_of(since, until, step))::float8);
  finest constant shelf.tiers := shelf.finest_tier(since);
  missing shelf.tiers;
begin
  if step is null then
    return greatest(size, finest.step);
  end if;
  if (since < until) is not true
    or extract(epoch from size) % extract(epoch from finest.step) = 0
  then
    return size;
  end if;

  select t.* into missing from shelf.tiers t
  where extract(epoch from size) % extract(epoch from t.step) = 0
  order by t.step desc limit 1;
  raise exception 'a step of % needs the tier %, which is kept from % on', size, missing.tier,
    to_char(missing.dropped_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI"Z"')
    using errcode = 'invalid_parameter_value',
      hint = format(
        'Use a since from then on; or, with this one, a step of %s or a multiple of it.',
        justify_hours(finest.step));
end
$$;

comment on function
  shelf.kept_step(timestamp with time zone, timestamp with time zone, interval) is
  'The step of shelf.step_of, if the tiers kept from since on serve it: it is refused if not (invalid_parameter_value, with a hint). Without a step it is never finer than the finest tier kept at since.';

-- What serves it.

create function shelf.pieces(
  apps text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval
) returns table (tier text, times tstzmultirange)
language plpgsql stable parallel safe as $$
declare
  rest tstzmultirange := tstzmultirange(shelf.kept_range(since, until));
  dirty tstzmultirange;
  t record;
begin
  for t in
    select
      tiers.tier,
      tiers.step,
      tstzrange(tiers.dropped_until, null) as kept,
      tstzrange(null, tiers.compacted_until) as made
    from shelf.tiers
    where extract(epoch from pieces.step) % extract(epoch from tiers.step) = 0
    order by tiers.step desc
  loop
    tier := t.tier;
    times := (
      select range_agg(tstzrange(start, stop))
      from unnest(rest * tstzmultirange(t.kept)) part
      cross join lateral shelf.round_up(lower(part), t.step) start
      cross join lateral date_bin(t.step, upper(part), '1970-01-01 00:00+00') stop
      where start < stop
    );
    continue when times is null;
    dirty := coalesce(
      (
        select range_agg(tstzrange(d.bucket, d.bucket + t.step))
        from shelf.dirty d
        where d.tier = t.tier and (d.app = any (apps) or apps is null)
          and d.bucket >= lower(times) and d.bucket < upper(times)
      ),
      '{}'
    );
    times := times * tstzmultirange(t.made) - dirty;
    continue when isempty(times);
    return next;
    rest := rest - times;
  end loop;
end
$$;

comment on function
  shelf.pieces(text[], timestamp with time zone, timestamp with time zone, interval) is
  'Which tier serves which times of a range, the coarsest first: whole buckets of a tier whose step divides the one asked, but for those that are not made yet or are to be made again for one of the apps; finer tiers serve these, and what the range cuts. Null for apps: any. For a step as of shelf.kept_step.';

create function shelf.merge_query(kind text, rows text, step interval) returns text
language sql stable strict parallel safe as $$
  select format(
    case kind
      when 'counters' then
        'select f.app, f.process, f.name, f.source, b.bucket, sum(f.sum)
        from (%s) f
        cross join lateral date_bin(%L, f.bucket, ''1970-01-01 00:00+00'') b (bucket)
        group by 1, 2, 3, 4, 5'
      when 'gauges' then
        'select f.app, f.process, f.name, f.source, b.bucket, sum(f.count)::bigint, sum(f.sum),
          min(f.min), max(f.max), (array_agg(f.last order by f.last_at desc, f.last desc))[1],
          max(f.last_at)
        from (%s) f
        cross join lateral date_bin(%L, f.bucket, ''1970-01-01 00:00+00'') b (bucket)
        group by 1, 2, 3, 4, 5'
      when 'histograms' then
        'select g.app, g.process, g.name, g.source, g.bucket, shelf.merge_all(g.histograms)
        from (
          select f.app, f.process, f.name, f.source, b.bucket, array_agg(f.histogram) as histograms
          from (%s) f
          cross join lateral date_bin(%L, f.bucket, ''1970-01-01 00:00+00'') b (bucket)
          group by 1, 2, 3, 4, 5
        ) g'
      when 'requests' then
        'select g.app, g.process, g.bucket, g.requests, shelf.add_counts_all(g.statuses),
          shelf.merge_all(g.services), shelf.merge_all(g.connects), g.bytes
        from (
          select f.app, f.process, b.bucket, sum(f.requests)::bigint as requests,
            least(sum(f.bytes), 9007199254740991)::bigint as bytes,
            array_agg(f.status) as statuses, array_agg(f.service) as services,
            array_agg(f.connect) as connects
          from (%s) f
          cross join lateral date_bin(%L, f.bucket, ''1970-01-01 00:00+00'') b (bucket)
          group by 1, 2, 3
        ) g'
      when 'ledger' then
        -- All its columns but the key are counts, whichever they come to be.
        'select f.app, b.bucket, ' || (
          select string_agg(
            format('least(sum(f.%I), 9007199254740991)::bigint', attname), ', ' order by attnum)
          from pg_attribute
          where attrelid = 'shelf.ledger_1m'::regclass and atttypid = 'bigint'::regtype
            and attnum > 0 and not attisdropped
        ) || '
        from (%s) f
        cross join lateral date_bin(%L, f.bucket, ''1970-01-01 00:00+00'') b (bucket)
        group by 1, 2'
    end,
    rows, step)
$$;

comment on function shelf.merge_query(text, text, interval) is
  'The text of a query that merges rows of a kind (counters, gauges, histograms, ledger, requests), which another text selects, to buckets of length step. Counts stop at 2^53 - 1, as in the tables.';

create function shelf.times_condition(times tstzmultirange) returns text
language sql stable parallel safe as $$
  -- Where much is dirty, here and there, parts are read in one over the narrowest gaps: planning
  -- takes time for each.
  select format('(%s)', string_agg(format('bucket >= %L and bucket < %L', since, until), ' or '))
    || case when sum(parts) > count(*) then format(' and bucket <@ %L::tstzmultirange', times)
      else '' end
  from (
    select min(lower(part)) as since, max(upper(part)) as until, count(*) as parts
    from (
      select part, count(*) filter (where nth_gap <= 8) over (order by part) as scan
      from (
        select part, row_number() over (order by gap desc nulls first) as nth_gap
        from (
          select part, lower(part) - lag(upper(part)) over (order by part) as gap
          from unnest(times) part
        ) parts
      ) gaps
    ) scans
    group by scan
  ) bounds
$$;

comment on function shelf.times_condition(tstzmultirange) is
  'The text of a condition on bucket: that it lies in these times. In constants, at most 8 ranges of them, so that a plan has only the partitions needed.';

create function shelf.rows_query(
  kind text,
  apps text[],
  names text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns text
language plpgsql stable parallel safe
-- As text that means the same in any session.
set datestyle = 'ISO' set intervalstyle = 'postgres' set timezone = 'UTC' as $$
declare
  size constant interval := shelf.kept_step(since, until, step);
  made text;
  finer text;
begin
  -- Rows of a tier of this very step are the answer; those of finer ones are merged.
  select
    string_agg(p.rows, ' union all ') filter (where p.step = size),
    string_agg(p.rows, ' union all ') filter (where p.step < size)
  into made, finer
  from (
    select
      t.step,
      format('select * from shelf.%I where %s', kind || '_' || t.tier,
          shelf.times_condition(p.times))
        || case when apps is null then '' else format(' and app = any (%L)', apps) end
        || case when names is null then '' else format(' and name = any (%L)', names) end as rows
    from shelf.pieces(apps, since, until, size) p
    join shelf.tiers t using (tier)
  ) p;
  finer := shelf.merge_query(kind, finer, size);
  return coalesce(made || ' union all ' || finer, made, finer,
    format('select * from shelf.%I where false', kind || '_1m'));
end
$$;

comment on function shelf.rows_query(
  text, text[], text[], timestamp with time zone, timestamp with time zone, interval
) is
  'The text of the query that requests_at and its kin run, for a kind (counters, gauges, histograms, ledger, requests): put explain before it, to see the partitions that it reads.';

-- Rows of any group of apps, merged to any step.

create function shelf.requests_at(
  apps text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.requests_1m
language plpgsql stable parallel safe
set jit = off as $$
begin
  return query execute
    shelf.rows_query('requests', apps, null, since, until, step);
end
$$;

comment on function shelf.requests_at(
  text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.requests_1m, merged to a step, of these apps (null: of all): from the tiers that serve it. Percentiles of any group of apps or process types are shelf.quantile(shelf.merge(service), 0.99), grouped by bucket or not. Times and steps as in shelf.request_stats.';

create function shelf.ledger_at(
  apps text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.ledger_1m
language plpgsql stable parallel safe
set jit = off as $$
begin
  return query execute
    shelf.rows_query('ledger', apps, null, since, until, step);
end
$$;

comment on function shelf.ledger_at(
  text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.ledger_1m, merged to a step, of these apps (null: of all); the empty app is that of what nobody knows whose it was. Times and steps as in shelf.request_stats.';

create function shelf.gauges_at(
  apps text[],
  names text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.gauges_1m
language plpgsql stable parallel safe
set jit = off as $$
begin
  return query execute
    shelf.rows_query('gauges', apps, names, since, until, step);
end
$$;

comment on function shelf.gauges_at(
  text[], text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.gauges_1m, merged to a step, of these apps and names (null: of all). The mean of a group is sum(sum) / sum(count). Times and steps as in shelf.request_stats.';

create function shelf.counters_at(
  apps text[],
  names text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.counters_1m
language plpgsql stable parallel safe
set jit = off as $$
begin
  return query execute
    shelf.rows_query('counters', apps, names, since, until, step);
end
$$;

comment on function shelf.counters_at(
  text[], text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.counters_1m, merged to a step, of these apps and names (null: of all). Times and steps as in shelf.request_stats.';

create function shelf.histograms_at(
  apps text[],
  names text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.histograms_1m
language plpgsql stable parallel safe
set jit = off as $$
begin
  return query execute
    shelf.rows_query('histograms', apps, names, since, until, step);
end
$$;

comment on function shelf.histograms_at(
  text[], text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.histograms_1m, merged to a step, of these apps and names (null: of all). Percentiles of any group are shelf.quantile(shelf.merge(histogram), 0.99), grouped by bucket or not. Times and steps as in shelf.request_stats.';

create function shelf.completeness_at(
  apps text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.completeness
language sql stable parallel safe as $$
  select app, bucket, received - duplicates,
    received - duplicates - malformed,
    lost,
    -- What our own log lost may have been of any app: then nobody knows. Nor where bursts of the
    -- app may count twice.
    case when repartitioned = 0 and coalesce(doubts, 0) = 0
      then (received - duplicates - malformed)::double precision
        / nullif(received - duplicates + lost, 0)
    end
  from (
    select *,
      lost_l10 + lost_l12 + lost_l13 + lost_log + dead_letters as lost,
      sum(lost_log + log_replaced + repartitioned) filter (where app = '')
        over (partition by bucket) as doubts
    -- The empty app's rows come in the same reading.
    from shelf.ledger_at(
      case when apps is not null then array_append(apps, '') end, since, until, step)
  ) l
  where apps is null or app = any (apps)
$$;

comment on function shelf.completeness_at(
  text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.completeness by a step, of these apps (null: of all). Times and steps as in shelf.request_stats.';

create function shelf.errors_at(
  apps text[],
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns setof shelf.errors
language sql stable parallel safe as $$
  select c.app, c.process, c.bucket, c.name, sum(c.sum)::bigint, shelf.error_level(c.name)
  from shelf.counters_at(apps, null, since, until, step) c
  where c.name ~ '^[HRL]\d+$'
  group by 1, 2, 3, 4
$$;

comment on function shelf.errors_at(
  text[], timestamp with time zone, timestamp with time zone, interval
) is
  'Rows as of shelf.errors by a step, of these apps (null: of all). Times and steps as in shelf.request_stats.';

-- What a dashboard asks.

-- A loop over an array is five times as fast as a window over its elements.
create function shelf.summary(
  h shelf.histogram,
  out count bigint,
  out p50 double precision,
  out p95 double precision,
  out p99 double precision,
  out max double precision,
  out mean double precision
)
language plpgsql immutable parallel safe as $$
declare
  counts constant bigint[] := coalesce(h.counts, '{}');
  zero constant bigint := coalesce(h.zero, 0);
  min constant double precision := h.min;
  one bigint;
  n double precision := zero;
  rank double precision;
  at integer := 0; -- the bins that are seen, and what is in them, zeros included
  seen double precision := zero;
begin
  foreach one in array counts loop
    n := n + one;
  end loop;
  count := n;
  max := h.max;
  mean := h.sum / nullif(n, 0);

  rank := ceil(0.50 * n);
  while seen < rank loop
    at := at + 1;
    seen := seen + counts[at];
  end loop;
  p50 := shelf.value_at_rank(rank, n, zero, (h.bins)[at:at], array[seen], min, max);

  rank := ceil(0.95 * n);
  while seen < rank loop
    at := at + 1;
    seen := seen + counts[at];
  end loop;
  p95 := shelf.value_at_rank(rank, n, zero, (h.bins)[at:at], array[seen], min, max);

  rank := ceil(0.99 * n);
  while seen < rank loop
    at := at + 1;
    seen := seen + counts[at];
  end loop;
  p99 := shelf.value_at_rank(rank, n, zero, (h.bins)[at:at], array[seen], min, max);
end
$$;

comment on function shelf.summary(shelf.histogram) is
  'One row of what one asks of a histogram: how many values, percentiles as of shelf.quantile, maximum and mean; null but for count where it is empty. For from and join lateral.';

create or replace function shelf.request_stats(
  app text,
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns table (
  process text,
  bucket timestamp with time zone,
  requests bigint,
  ok bigint,
  failed bigint,
  p50 double precision,
  p95 double precision,
  p99 double precision,
  max double precision,
  mean double precision,
  status jsonb,
  completeness double precision
)
language sql stable parallel safe as $$
  select r.process, r.bucket, r.requests, codes.ok, r.requests - codes.ok,
    s.p50, s.p95, s.p99, s.max, s.mean, r.status, c.completeness
  from shelf.requests_at(array[request_stats.app], since, until, step) r
  cross join lateral (
    select coalesce(sum(n::bigint), 0)::bigint as ok
    from jsonb_each_text(r.status) codes (code, n)
    where code::integer < 500
  ) codes
  cross join lateral shelf.summary(r.service) s
  left join shelf.completeness_at(array[request_stats.app], since, until, step) c
    on c.bucket = r.bucket
  order by r.process, r.bucket
$$;

comment on function
  shelf.request_stats(text, timestamp with time zone, timestamp with time zone, interval) is
  'Requests of an app by process type and step, for buckets from since to before until. Buckets are aligned to 1970-01-01 UTC; a first or last one that the range cuts holds only its part, to the minute, or to the bucket of the finest tier that is kept of that time. Each time is read from the coarsest tier that serves the step; what one has not made yet, from a finer one: the numbers are the same. A step that no tier kept from since on serves is refused (invalid_parameter_value; the hint says which would do). Without a step: the coarsest of 1 day, 1 hour, 10 minutes and 1 minute that gives 120 points or more, or what is kept. A since or until of -infinity or infinity is from the first or to the last row; none are there where until is not after since, or an argument is null. ok: status below 500; failed: the others, 5xx or without a status. p50, p95, p99 (at most 1.083 % from nearest rank), max and mean (exact): service time, ms, null where no request had one. completeness: the share, 0 to 1, of the app''s messages of that time that Shelf has read, of all that it knows to have been sent; null where the ledger has none, or our own log lost records or was replaced in that time, or got more partitions, so that bursts of then may count twice.';

create function shelf.gauge_stats(
  app text,
  name text,
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns table (
  process text,
  source text,
  bucket timestamp with time zone,
  count bigint,
  mean double precision,
  min double precision,
  max double precision,
  last double precision,
  completeness double precision
)
language sql stable parallel safe as $$
  select g.process, g.source, g.bucket, g.count, g.sum / g.count, g.min, g.max, g.last,
    c.completeness
  from shelf.gauges_at(array[gauge_stats.app], array[gauge_stats.name], since, until, step) g
  left join shelf.completeness_at(array[gauge_stats.app], since, until, step) c
    on c.bucket = g.bucket
  order by g.process, g.source, g.bucket
$$;

comment on function shelf.gauge_stats(
  text, text, timestamp with time zone, timestamp with time zone, interval
) is
  'A gauge of an app by process type, source and step, in its base unit (bytes, seconds, a ratio), over all dynos and samples: how many, their mean, least and greatest, and the newest. Times, steps and completeness as in shelf.request_stats.';

create function shelf.counter_stats(
  app text,
  name text,
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns table (
  process text,
  source text,
  bucket timestamp with time zone,
  sum double precision,
  per_second double precision,
  completeness double precision
)
language sql stable parallel safe as $$
  select r.process, r.source, r.bucket, r.sum,
    r.sum / extract(epoch from
      least(r.bucket + asked.size, upper(asked.range)) - greatest(r.bucket, lower(asked.range))
    )::double precision,
    c.completeness
  from shelf.counters_at(array[counter_stats.app], array[counter_stats.name], since, until, step) r
  cross join (
    select shelf.kept_step(since, until, step) as size, shelf.kept_range(since, until) as range
  ) asked
  left join shelf.completeness_at(array[counter_stats.app], since, until, step) c
    on c.bucket = r.bucket
  order by r.process, r.source, r.bucket
$$;

comment on function shelf.counter_stats(
  text, text, timestamp with time zone, timestamp with time zone, interval
) is
  'A counter of an app by process type, source and step: what was counted, and that per second of the part of the bucket that is in the range. A bucket in which nothing was counted has no row. Times, steps and completeness as in shelf.request_stats.';

create function shelf.histogram_stats(
  app text,
  name text,
  since timestamp with time zone,
  until timestamp with time zone,
  step interval default null
) returns table (
  process text,
  source text,
  bucket timestamp with time zone,
  count bigint,
  p50 double precision,
  p95 double precision,
  p99 double precision,
  max double precision,
  mean double precision,
  completeness double precision
)
language sql stable parallel safe as $$
  select h.process, h.source, h.bucket, s.*, c.completeness
  from shelf.histograms_at(
    array[histogram_stats.app], array[histogram_stats.name], since, until, step) h
  cross join lateral shelf.summary(h.histogram) s
  left join shelf.completeness_at(array[histogram_stats.app], since, until, step) c
    on c.bucket = h.bucket
  order by h.process, h.source, h.bucket
$$;

comment on function shelf.histogram_stats(
  text, text, timestamp with time zone, timestamp with time zone, interval
) is
  'Measurements of an app by process type, source and step, in their base unit (seconds, bytes, a ratio): how many, percentiles (at most 1.083 % from nearest rank), maximum and mean (exact). Times, steps and completeness as in shelf.request_stats.';

-- Views are by minute, but for those that look at single moments: these read on in what is kept.

create view shelf.finest_times as
select
  tier,
  coalesce(dropped_until, '-infinity') as since,
  case when row_number() over steps = 1 then 'infinity'
    else coalesce(lag(dropped_until) over steps, '-infinity') end as until
from shelf.tiers
window steps as (order by step);

comment on view shelf.finest_times is
  'Of which times a tier is the finest that keeps their rows.';
comment on column shelf.finest_times.tier is '1m, 10m, 1h or 1d.';
comment on column shelf.finest_times.since is 'From when on; -infinity where it was never dropped.';
comment on column shelf.finest_times.until is
  'Before when; infinity for 1m, and not after since where the finer tier was never dropped.';

create index counters_10m_maintenance on shelf.counters_10m (app, bucket) where name = 'H80';
create index counters_1h_maintenance on shelf.counters_1h (app, bucket) where name = 'H80';
create index counters_1d_maintenance on shelf.counters_1d (app, bucket) where name = 'H80';

create view shelf.maintenance as
select app, min(bucket) as time, max(until) as until
from (
  select app, bucket, until,
    count(*) filter (where bucket >= last_until + interval '5 minutes')
      over (partition by app order by bucket rows unbounded preceding) as pauses
  from (
    select app, bucket, until, lag(until) over (partition by app order by bucket) as last_until
    from (
      select app, bucket, bucket + interval '1 minute' as until
      from shelf.counters_1m
      where name = 'H80'
        and bucket >= (select since from shelf.finest_times where tier = '1m')
        and bucket < (select until from shelf.finest_times where tier = '1m')
      union all
      select app, bucket, bucket + interval '10 minutes' as until
      from shelf.counters_10m
      where name = 'H80'
        and bucket >= (select since from shelf.finest_times where tier = '10m')
        and bucket < (select until from shelf.finest_times where tier = '10m')
      union all
      select app, bucket, bucket + interval '1 hour' as until
      from shelf.counters_1h
      where name = 'H80'
        and bucket >= (select since from shelf.finest_times where tier = '1h')
        and bucket < (select until from shelf.finest_times where tier = '1h')
      union all
      select app, bucket, bucket + interval '24 hours' as until
      from shelf.counters_1d
      where name = 'H80'
        and bucket >= (select since from shelf.finest_times where tier = '1d')
        and bucket < (select until from shelf.finest_times where tier = '1d')
    ) refused
  ) refused
) refused
group by app, pauses;

comment on view shelf.maintenance is
  'When apps were in maintenance: from the first to the last of the requests that the router refused for it (H80), to the minute, or to the bucket of the finest tier that is kept of that time. Reads all such rows of the app.';
comment on column shelf.maintenance.app is 'The app.';
comment on column shelf.maintenance.time is
  'The start of the first minute, or bucket, in which a request met it.';
comment on column shelf.maintenance.until is
  'The end of the last minute, or bucket, in which a request met it, followed by 5 minutes without.';

create or replace view shelf.markers as
select
  r.app,
  r.time,
  r.kind,
  '' as process,
  r.text,
  r.by,
  jsonb_strip_nulls(jsonb_build_object(
    'version', r.version,
    'commit', case when r.kind = 'deploy' then nullif(r.text, '') end,
    'restarted', (
      select jsonb_agg(distinct e.process)
      from shelf.dyno_events e
      where e.app = r.app and e.kind = 'restart' and e.released_at in (r.time, r.released_at)
        and e.time between least(r.time, r.released_at) - interval '2 seconds'
          and greatest(r.time, r.released_at) + interval '3 minutes'
    )
  )) as detail
from shelf.releases r
union all
-- One row for what dynos of a process type did, each at most 60 seconds after another.
select
  first.app,
  first.time,
  first.kind,
  first.process,
  coalesce(dynos.reason, ''),
  '',
  jsonb_strip_nulls(jsonb_build_object('dynos', dynos.names, 'reason', dynos.reason))
from shelf.dyno_events first
cross join lateral (
  select
    jsonb_agg(distinct e.dyno) as names,
    (array_agg(e.reason order by array_position(array['cycling', 'restarting'], e.reason), e.reason)
      filter (where e.reason <> ''))[1] as reason
  from (
    select e.*, count(*) filter (where e.is_late) over (order by e.time) as pauses
    from (
      select e.dyno, e.time, e.reason, e.released_at,
        e.time - lag(e.time) over (order by e.time) > interval '60 seconds' as is_late
      from shelf.dyno_events e
      where e.app = first.app and e.kind = first.kind and e.process = first.process
        and e.time between first.time and first.time + interval '10 minutes'
    ) e
  ) e
  where e.pauses = 0 and e.released_at is null
) dynos
where first.released_at is null
  and not exists (
    select from shelf.dyno_events e
    where e.app = first.app and e.kind = first.kind and e.process = first.process
      and e.time between first.time - interval '60 seconds' and first.time
      and (e.time, e.dyno, e.reason) < (first.time, first.dyno, first.reason)
    offset 0
  )
union all
select
  l.app,
  l.time,
  l.kind,
  l.process,
  l.text,
  l.by,
  jsonb_strip_nulls(jsonb_build_object(
    'quantity', case when l.kind = 'scale' then substring(l.text from '^\d{1,9}')::integer end,
    'size', case when l.kind = 'scale' then substring(l.text from ':(.+)$') end
  ))
from shelf.marker_lines l
where l.kind in ('scale', 'build')
union all
select m.app, m.time, 'maintenance', '', '', '', jsonb_build_object('until', m.until)
from shelf.maintenance m;

comment on view shelf.markers is
  'What was done to an app and what its dynos did, an event a row. A deploy is one row, with its release and the restarts that it brings. What dynos of a process type do is one row as long as no more than 60 seconds pass between two of them. The condition app = … is pushed down, and one on time too, but for maintenance, of which there are few rows: these are as exact as the finest tier that is kept of their time.';

create or replace function shelf.requests_between(
  app text,
  since timestamp with time zone,
  until timestamp with time zone
) returns table (
  requests bigint,
  error_rate double precision,
  p50 double precision,
  p95 double precision,
  p99 double precision
)
language sql stable parallel safe as $$
  select
    coalesce(r.requests, 0),
    (r.requests - (
      select coalesce(sum(n::bigint), 0)
      from jsonb_each_text(r.status) codes (code, n)
      where code::integer < 500
    ))::double precision / nullif(r.requests, 0),
    shelf.quantile(r.service, 0.50),
    shelf.quantile(r.service, 0.95),
    shelf.quantile(r.service, 0.99)
  from (
    select
      sum(r.requests)::bigint as requests,
      shelf.add_counts(r.status) as status,
      shelf.merge(r.service) as service
    from (
      select m.requests, m.status, m.service
      from shelf.requests_1m m
      where m.app = requests_between.app
        and m.bucket >= requests_between.since and m.bucket < requests_between.until
        and m.bucket >= (select f.since from shelf.finest_times f where f.tier = '1m')
      union all
      select m.requests, m.status, m.service
      from shelf.requests_10m m
      where m.app = requests_between.app
        and m.bucket >= requests_between.since
        and m.bucket <= requests_between.until - interval '10 minutes'
        and m.bucket < (select f.until from shelf.finest_times f where f.tier = '10m')
    ) r
  ) r
$$;

comment on function
  shelf.requests_between(text, timestamp with time zone, timestamp with time zone) is
  'The requests of all process types of an app in the minutes from since to before until, or in the whole 10 minutes where minutes were dropped: how many, the share that failed (5xx or without a status), and percentiles of service time, ms. One row; null where there is nothing to tell.';

comment on view shelf.release_impact is
  'For each deploy, release, rollback and config change: the app''s requests in the 30 full minutes before it and after it. The minute in which it was logged is in neither. Where minutes were dropped, of the buckets of 10 minutes that lie whole in these 30; none once those are dropped too. After a young release there are fewer minutes. Ask with app = … and time > …: each row reads an hour of requests.';
comment on view shelf.errors is
  'The platform''s errors by app, process type, minute and code: H of the router, R of dynos, L of logging. For as long as minutes are kept; shelf.errors_at has other steps and older times.';
comment on view shelf.memory is
  'Memory of dynos by app, process type and minute, bytes: means and maxima over the dynos and samples. Null where the platform did not say. For as long as minutes are kept; shelf.gauge_stats of memory_total, memory_rss, memory_swap and memory_quota has other steps and older times.';
comment on view shelf.load is
  'Load averages of dynos by app, process type and minute, over the dynos and samples. Null where the platform did not say: a young dyno has no average of 5 or 15 minutes. For as long as minutes are kept; shelf.gauge_stats of load_avg_1m, load_avg_5m and load_avg_15m has other steps and older times.';
comment on view shelf.completeness is
  'How complete the numbers of an app are, by minute. Over a longer time it is sum(read) / sum(received + lost). For as long as minutes are kept; shelf.completeness_at has other steps and older times.';
