-- When the log itself changes: it was replaced by another one, or got more partitions.

alter table shelf.ledger_1m add column log_replaced bigint not null default 0;
alter table shelf.ledger_1m add column repartitioned bigint not null default 0;
alter table shelf.progress add column epoch integer not null default 0;

comment on column shelf.ledger_1m.log_replaced is
  'Times that the raw topic was found to be another log than before, recreated or cut off at its end: in the row of no app, at the minute of the last record known of the log before and, where it is another, at that of the first one of the new log. What was not aggregated is lost, and nobody knows how much.';
comment on column shelf.ledger_1m.repartitioned is
  'Bursts that may count twice, as the raw topic had got more partitions and keys moved: their first try may lie in another partition. For those written in the 15 minutes after; for those that came late, where the topic grew since their receipt. In the row of no app: the records that say so, one a partition, at their minute and the one before.';
comment on column shelf.ledger_1m.lost_log is
  'Records of the raw topic that were deleted before they were aggregated: in the row of no app. A record is a burst. One of them stands at the minute of the last record known before them, the others at that of the first one left.';
comment on column shelf.progress.epoch is
  'Which raw log next_from is an offset of: how many there were before. Places are ordered by epoch, then next_from, then next_part.';
comment on column shelf.progress.next_from is
  'The offset in raw, of this epoch, before which everything is in the tables.';

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
      -- What our own log lost may have been of any app: then nobody knows. Nor where bursts of the
      -- app may count twice.
      case when
        sum(case when l.app = '' then l.lost_log + l.log_replaced else 0 end + l.repartitioned) > 0
      then null else
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
  'Requests of an app by process type and step, for buckets from since to before until. Buckets are aligned to 1970-01-01 UTC; a first or last one that the range cuts holds only its part. Without a step: the coarsest of 1 day, 1 hour, 10 minutes and 1 minute that gives 120 points or more. ok: status below 500; failed: the others, 5xx or without a status. p50, p95, p99 (at most 1.083 % from nearest rank), max and mean (exact): service time, ms, null where no request had one. completeness: the share, 0 to 1, of the app''s messages of that time that Shelf has read, of all that it knows to have been sent; null where the ledger has none, or our own log lost records or was replaced in that time, or got more partitions, so that bursts of then may count twice.';

create or replace view shelf.completeness as
select
  c.*,
  -- What our own log lost may have been of any app: then nobody knows. Nor where bursts of the app
  -- may count twice.
  case when not exists (
    select from shelf.ledger_1m gone
    where gone.app in ('', c.app) and gone.bucket = c.bucket
      and case when gone.app = '' then gone.lost_log + gone.log_replaced else 0 end
        + gone.repartitioned > 0
  ) then c.read::double precision / nullif(c.received + c.lost, 0) end as completeness
from (
  select
    l.app,
    l.bucket,
    l.received - l.duplicates as received,
    l.received - l.duplicates - l.malformed as read,
    l.lost_l10 + l.lost_l12 + l.lost_l13 + l.lost_log + l.dead_letters as lost
  from shelf.ledger_1m l
) c;

comment on column shelf.completeness.completeness is
  'read / (received + lost), from 0 to 1; null where nothing is known, or where our own log lost records or was replaced, or got more partitions, so that bursts may count twice. The same as in shelf.request_stats.';
