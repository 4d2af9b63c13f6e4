-- What a release did to the requests.

create function shelf.requests_between(
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
    from shelf.requests_1m r
    where r.app = requests_between.app and r.bucket >= since and r.bucket < until
  ) r
$$;

comment on function
  shelf.requests_between(text, timestamp with time zone, timestamp with time zone) is
  'The requests of all process types of an app in the minutes from since to before until: how many, the share that failed (5xx or without a status), and percentiles of service time, ms. One row; null where there is nothing to tell.';

create view shelf.release_impact as
select
  r.app,
  r.time,
  r.kind,
  r.text,
  r.version,
  before.requests as requests_before,
  after.requests as requests_after,
  before.error_rate as error_rate_before,
  after.error_rate as error_rate_after,
  before.p50 as p50_before,
  after.p50 as p50_after,
  before.p95 as p95_before,
  after.p95 as p95_after,
  before.p99 as p99_before,
  after.p99 as p99_after
from shelf.releases r
cross join lateral date_bin('1 minute', r.time, '1970-01-01 00:00+00') minute
cross join lateral
  shelf.requests_between(r.app, minute - interval '30 minutes', minute) before
cross join lateral
  shelf.requests_between(
    r.app, minute + interval '1 minute', minute + interval '31 minutes') after
where r.kind <> 'addon' or r.version is not null;

comment on view shelf.release_impact is
  'For each deploy, release, rollback and config change: the app''s requests in the 30 full minutes before it and after it. The minute in which it was logged is in neither. After a young release there are fewer minutes, and none once shelf.requests_1m has dropped them. Ask with app = … and time > …: each row reads an hour of requests.';
comment on column shelf.release_impact.app is 'The app.';
comment on column shelf.release_impact.time is 'When it was logged.';
comment on column shelf.release_impact.kind is
  'deploy, rollback, config, release, or addon where one made a release.';
comment on column shelf.release_impact.text is 'In few words, as in shelf.releases.';
comment on column shelf.release_impact.version is 'The version that it made; null if not known.';
comment on column shelf.release_impact.requests_before is 'Requests before.';
comment on column shelf.release_impact.requests_after is 'Requests after.';
comment on column shelf.release_impact.error_rate_before is
  'The share of requests before that failed, 5xx or without a status, from 0 to 1; null without requests.';
comment on column shelf.release_impact.error_rate_after is 'The share after.';
comment on column shelf.release_impact.p50_before is
  'Median service time before, ms; null without any.';
comment on column shelf.release_impact.p50_after is 'Median service time after, ms.';
comment on column shelf.release_impact.p95_before is '95th percentile before, ms.';
comment on column shelf.release_impact.p95_after is '95th percentile after, ms.';
comment on column shelf.release_impact.p99_before is '99th percentile before, ms.';
comment on column shelf.release_impact.p99_after is '99th percentile after, ms.';
