-- What a dashboard asks.

-- In plpgsql, because plain SQL cannot refuse.
create function shelf.step_of(
  since timestamp with time zone,
  until timestamp with time zone,
  step interval
) returns interval
language plpgsql immutable parallel safe as $$
declare
  points_min constant integer := 120;
  minutes constant numeric := extract(epoch from step) / 60;
  seconds numeric;
begin
  if step is null then
    seconds := extract(epoch from until) - extract(epoch from since);
    return case
      when seconds / 86400 >= points_min then interval '1 day'
      when seconds / 3600 >= points_min then interval '1 hour'
      when seconds / 600 >= points_min then interval '10 minutes'
      else interval '1 minute'
    end;
  end if;
  if minutes <= 0 or minutes <> trunc(minutes)
    or extract(year from step) <> 0 or extract(month from step) <> 0
  then
    raise exception 'a step is a whole number of minutes, hours or days, not %', step
      using errcode = 'invalid_parameter_value',
        hint = 'Use interval ''1 minute'', ''5 minutes'', ''1 hour'', ''1 day'' and the like; '
          'or leave it out, and a step is picked that gives 120 points or more.';
  end if;
  return step;
end
$$;

comment on function
  shelf.step_of(timestamp with time zone, timestamp with time zone, interval) is
  'The step given, if it is a whole number of minutes, hours or days; it is refused if not. Without a step: the coarsest of 1 day, 1 hour, 10 minutes and 1 minute that gives 120 points or more from since to until, else 1 minute.';

create function shelf.request_stats(
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
  with
  step as materialized (
    select shelf.step_of(request_stats.since, request_stats.until, request_stats.step) as size
  ),
  groups as (
    select
      r.process,
      date_bin((select size from step), r.bucket, '1970-01-01 00:00+00') as bucket,
      sum(r.requests)::bigint as requests,
      array_agg(r.status) as statuses,
      array_agg(r.service) as services
    from shelf.requests_1m r
    where r.app = request_stats.app
      and r.bucket >= request_stats.since
      and r.bucket < request_stats.until
    group by 1, 2
  ),
  shares as (
    select
      date_bin((select size from step), l.bucket, '1970-01-01 00:00+00') as bucket,
      -- What our own log lost may have been of any app: then nobody knows how much is missing.
      case when sum(l.lost_log) filter (where l.app = '') > 0 then null else
        sum(l.received - l.duplicates - l.malformed)
          filter (where l.app = request_stats.app)::double precision
        / nullif(sum(
          l.received - l.duplicates
            + l.lost_l10 + l.lost_l12 + l.lost_l13 + l.lost_log + l.dead_letters
        ) filter (where l.app = request_stats.app), 0)::double precision
      end as completeness
    from shelf.ledger_1m l
    where l.app in (request_stats.app, '')
      and l.bucket >= request_stats.since
      and l.bucket < request_stats.until
    group by 1
  )
  select
    g.process,
    g.bucket,
    g.requests,
    codes.ok,
    g.requests - codes.ok as failed,
    shelf.value_at_rank(ceil(0.50 * n), n, zero, bins, seen, totals.min, totals.max) as p50,
    shelf.value_at_rank(ceil(0.95 * n), n, zero, bins, seen, totals.min, totals.max) as p95,
    shelf.value_at_rank(ceil(0.99 * n), n, zero, bins, seen, totals.min, totals.max) as p99,
    totals.max,
    totals.sum / nullif(n, 0) as mean,
    codes.status,
    shares.completeness
  from groups g
  cross join lateral (
    select
      coalesce(jsonb_object_agg(code, n), '{}') as status,
      coalesce(sum(n) filter (where code::integer < 500), 0)::bigint as ok
    from (
      select code, sum(n::bigint)::bigint as n
      from unnest(g.statuses) status, jsonb_each_text(status) counts (code, n)
      group by code
    ) merged
  ) codes
  cross join lateral (
    select
      sum((h).zero)::bigint as zero,
      sum((h).sum) as sum,
      min((h).min) as min,
      max((h).max) as max
    from unnest(g.services) h
  ) totals
  cross join lateral (
    select
      array_agg(bin) as bins,
      array_agg(seen) as seen,
      coalesce(max(seen), zero) as n
    from (
      select bin, zero + sum(n) over (order by bin rows unbounded preceding) as seen
      from (
        select bin, sum(n)::double precision as n
        from unnest(g.services) h,
          lateral (select unnest((h).bins) as bin, unnest((h).counts) as n) bins
        group by bin
      ) merged
      order by bin
    ) cumulated
  ) ranks
  left join shares using (bucket)
  -- Looked at before anything is read: a bad step is refused, also where there are no rows.
  where (select size from step) is not null
  order by g.process, g.bucket
$$;

comment on function
  shelf.request_stats(text, timestamp with time zone, timestamp with time zone, interval) is
  'Requests of an app by process type and step, for buckets from since to before until. Buckets are aligned to 1970-01-01 UTC; a first or last one that the range cuts holds only its part. Without a step: the coarsest of 1 day, 1 hour, 10 minutes and 1 minute that gives 120 points or more. ok: status below 500; failed: the others, 5xx or without a status. p50, p95, p99 (at most 1.083 % from nearest rank), max and mean (exact): service time, ms, null where no request had one. completeness: the share, 0 to 1, of the app''s messages of that time that Shelf has read, of all that it knows to have been sent; null where the ledger has none.';
