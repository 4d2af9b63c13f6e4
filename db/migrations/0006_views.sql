-- What people reach for first, by minute. A condition on app, process or bucket is pushed down.

create function shelf.error_level(code text) returns text
language sql immutable parallel safe as $$
  select case
    when code in ('H15', 'H16', 'H17', 'H28', 'H80', 'H83') then 'warning'
    when code in ('H27', 'H81', 'H82') then 'info'
    when code like 'H%' then 'critical'
    when code in ('R10', 'R11', 'R14', 'R15', 'L13') then 'critical'
    else 'warning'
  end
$$;

comment on function shelf.error_level(text) is
  'How bad an error of the platform is: critical, warning or info. As Heroku''s own command line has it (heroku/cli, src/lib/apps/error-info.ts); a code that it does not know is critical if it is of the router (H), else a warning.';

create view shelf.errors as
select e.app, e.process, e.bucket, e.code, e.errors, shelf.error_level(e.code) as level
from (
  select c.app, c.process, c.bucket, c.name as code, sum(c.sum)::bigint as errors
  from shelf.counters_1m c
  where c.name ~ '^[HRL]\d+$'
  group by c.app, c.process, c.bucket, c.name
) e;

comment on view shelf.errors is
  'The platform''s errors by app, process type, minute and code: H of the router, R of dynos, L of logging.';
comment on column shelf.errors.app is 'The app.';
comment on column shelf.errors.process is
  'The process type; empty for requests that reached no process.';
comment on column shelf.errors.bucket is 'The start of the minute.';
comment on column shelf.errors.code is 'As H12, R14, L10.';
comment on column shelf.errors.errors is 'How many.';
comment on column shelf.errors.level is 'critical, warning or info: see shelf.error_level.';

create view shelf.memory as
select m.*, m.total_max / nullif(m.quota, 0) as share_max, m.total_mean / nullif(m.quota, 0) as share_mean
from (
  select
    g.app,
    g.process,
    g.bucket,
    sum(g.sum) filter (where g.name = 'memory_total')
      / sum(g.count) filter (where g.name = 'memory_total') as total_mean,
    max(g.max) filter (where g.name = 'memory_total') as total_max,
    sum(g.sum) filter (where g.name = 'memory_rss')
      / sum(g.count) filter (where g.name = 'memory_rss') as rss_mean,
    max(g.max) filter (where g.name = 'memory_rss') as rss_max,
    max(g.max) filter (where g.name = 'memory_swap') as swap_max,
    max(g.max) filter (where g.name = 'memory_quota') as quota
  from shelf.gauges_1m g
  where g.name in ('memory_total', 'memory_rss', 'memory_swap', 'memory_quota')
  group by g.app, g.process, g.bucket
) m;

comment on view shelf.memory is
  'Memory of dynos by app, process type and minute, bytes: means and maxima over the dynos and samples. Null where the platform did not say.';
comment on column shelf.memory.app is 'The app.';
comment on column shelf.memory.process is 'The process type.';
comment on column shelf.memory.bucket is 'The start of the minute.';
comment on column shelf.memory.total_mean is 'RSS, cache and swap of a dyno, mean.';
comment on column shelf.memory.total_max is 'RSS, cache and swap of a dyno, maximum.';
comment on column shelf.memory.rss_mean is 'Resident memory of a dyno, mean.';
comment on column shelf.memory.rss_max is 'Resident memory of a dyno, maximum.';
comment on column shelf.memory.swap_max is 'Swap of a dyno, maximum.';
comment on column shelf.memory.quota is
  'What a dyno may use before it gets R14; the greatest, where sizes changed in the minute.';
comment on column shelf.memory.share_max is 'total_max as a share of quota: over 1 is R14.';
comment on column shelf.memory.share_mean is 'total_mean as a share of quota.';

create view shelf.load as
select
  g.app,
  g.process,
  g.bucket,
  sum(g.sum) filter (where g.name = 'load_avg_1m')
    / sum(g.count) filter (where g.name = 'load_avg_1m') as load_1m_mean,
  max(g.max) filter (where g.name = 'load_avg_1m') as load_1m_max,
  sum(g.sum) filter (where g.name = 'load_avg_5m')
    / sum(g.count) filter (where g.name = 'load_avg_5m') as load_5m_mean,
  sum(g.sum) filter (where g.name = 'load_avg_15m')
    / sum(g.count) filter (where g.name = 'load_avg_15m') as load_15m_mean
from shelf.gauges_1m g
where g.name in ('load_avg_1m', 'load_avg_5m', 'load_avg_15m')
group by g.app, g.process, g.bucket;

comment on view shelf.load is
  'Load averages of dynos by app, process type and minute, over the dynos and samples. Null where the platform did not say: a young dyno has no average of 5 or 15 minutes.';
comment on column shelf.load.app is 'The app.';
comment on column shelf.load.process is 'The process type.';
comment on column shelf.load.bucket is 'The start of the minute.';
comment on column shelf.load.load_1m_mean is 'Load over 1 minute, mean.';
comment on column shelf.load.load_1m_max is 'Load over 1 minute, maximum.';
comment on column shelf.load.load_5m_mean is 'Load over 5 minutes, mean.';
comment on column shelf.load.load_15m_mean is 'Load over 15 minutes, mean.';

create view shelf.completeness as
select
  c.*,
  -- What our own log lost may have been of any app: then nobody knows how much is missing.
  case when not exists (
    select from shelf.ledger_1m gone
    where gone.app = '' and gone.bucket = c.bucket and gone.lost_log > 0
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

comment on view shelf.completeness is
  'How complete the numbers of an app are, by minute. Over a longer time it is sum(read) / sum(received + lost).';
comment on column shelf.completeness.app is
  'The app; empty for what was lost and nobody knows of which app.';
comment on column shelf.completeness.bucket is 'The start of the minute.';
comment on column shelf.completeness.received is
  'Messages that drains delivered, without those that came twice.';
comment on column shelf.completeness.read is 'Of those: the ones that could be read.';
comment on column shelf.completeness.lost is
  'Messages known to be lost on the way (L10, L12, L13), and bursts lost in the log or unreadable there.';
comment on column shelf.completeness.completeness is
  'read / (received + lost), from 0 to 1; null where nothing is known, or our own log lost records of apps that nobody knows. The same as in shelf.request_stats.';
