-- Markers: lines that tell of one event, joined. Each view looks from its first line a short way
-- around it, so that a condition on app or time is pushed down to the keys of the tables. There
-- `offset 0` has each look be a short walk in an index, not a join of everything with everything.

create function shelf.process_of(dyno text) returns text
language sql immutable parallel safe as $$
  select case
    when dyno like '_%.%' then regexp_replace(dyno, '\.[^.]*$', '')
    else coalesce(substring(dyno from '^(.+)-[a-z0-9]{1,20}-[a-z0-9]{1,20}$'), dyno)
  end
$$;

comment on function shelf.process_of(text) is
  'The process type of a dyno: web of web.1, of web-5d8f5f9b8-abcde, and of web.';

-- Heroku logs a change and the release that it makes at the same time, or nearly.

create function shelf.release_near(app text, at timestamp with time zone)
returns table (version text, released_at timestamp with time zone, by text)
language sql stable parallel safe as $$
  select l.text, l.time, l.by
  from shelf.marker_lines l
  where l.app = release_near.app
    and l.kind = 'release'
    and l.time between at - interval '2 seconds' and at + interval '2 seconds'
  order by greatest(l.time - at, at - l.time), l.time, length(l.text), l.text
  limit 1
$$;

comment on function shelf.release_near(text, timestamp with time zone) is
  'The line of the release nearest to a time, at most 2 seconds from it.';

create function shelf.change_near(app text, at timestamp with time zone)
returns table (kind text, text text, logged_at timestamp with time zone)
language sql stable parallel safe as $$
  select l.kind, l.text, l.time
  from shelf.marker_lines l
  where l.app = change_near.app
    and l.kind in ('deploy', 'rollback', 'config', 'addon')
    and l.time between at - interval '2 seconds' and at + interval '2 seconds'
  order by
    greatest(l.time - at, at - l.time),
    l.time,
    array_position(array['deploy', 'rollback', 'config', 'addon'], l.kind),
    l.text
  limit 1
$$;

comment on function shelf.change_near(text, timestamp with time zone) is
  'The line of the deploy, rollback, config or add-on change nearest to a time, at most 2 seconds from it.';

create view shelf.releases as
select
  c.app,
  c.time,
  c.kind,
  c.text,
  coalesce(nullif(c.by, ''), r.by, '') as by,
  r.version,
  r.released_at
from shelf.marker_lines c
left join lateral (
  select l.version, l.released_at, l.by
  from shelf.release_near(c.app, c.time) l, shelf.change_near(c.app, l.released_at) nearest
  where (nearest.kind, nearest.text, nearest.logged_at) = (c.kind, c.text, c.time)
) r on true
where c.kind in ('deploy', 'rollback', 'config', 'addon')
union all
select l.app, l.time, l.kind, l.text, l.by, l.text, l.time
from shelf.marker_lines l
where l.kind = 'release'
  and not exists (
    select
    from shelf.change_near(l.app, l.time) c, shelf.release_near(l.app, c.logged_at) nearest
    where (nearest.version, nearest.released_at) = (l.text, l.time)
    offset 0
  );

comment on view shelf.releases is
  'Changes of an app, each with the release that it made: deploys, rollbacks, changes of config and add-ons, and releases of which nothing else is known. A change and a release are one row if they are each other''s nearest and at most 2 seconds apart.';
comment on column shelf.releases.app is 'The app.';
comment on column shelf.releases.time is 'When it was logged.';
comment on column shelf.releases.kind is 'deploy, rollback, config, addon or release.';
comment on column shelf.releases.text is
  'In few words: the commit, the version rolled back to, the names of config vars, the add-on, the version.';
comment on column shelf.releases.by is 'Who did it, as a short keyed hash; empty if not known.';
comment on column shelf.releases.version is
  'The version that it made, as v42; null where no line told of one.';
comment on column shelf.releases.released_at is 'When the release was logged.';

-- Dynos restart within 3 minutes of a release. The lines come from several machines, whose clocks
-- may differ: the release may seem up to 2 seconds late.

create view shelf.dyno_events as
select
  l.app,
  l.time,
  l.kind,
  l.process,
  l.dyno,
  l.text as reason,
  case when l.kind = 'restart' then (
    select max(r.time) from shelf.marker_lines r
    where r.app = l.app and r.kind in ('deploy', 'release', 'rollback', 'config')
      and r.time between l.time - interval '3 minutes' and l.time + interval '2 seconds'
  ) end as released_at
from shelf.marker_lines l
where l.kind in ('restart', 'crash', 'boot', 'idle', 'unidle')
union all
select
  d.app,
  d.first_at,
  'restart',
  shelf.process_of(d.dyno),
  d.dyno,
  'dyno changed',
  (
    select max(r.time) from shelf.marker_lines r
    where r.app = d.app and r.kind in ('deploy', 'release', 'rollback', 'config')
      and r.time between d.first_at - interval '3 minutes' and d.first_at + interval '2 seconds'
  )
from shelf.dynos d
where shelf.process_of(d.dyno) not in ('run', 'scheduler', 'release')
  -- Who was away for a day was gone, not restarted: Heroku cycles a dyno at least daily.
  and exists (
    select from shelf.dynos before
    where before.app = d.app and before.dyno = d.dyno
      and (before.first_at, before.instance) < (d.first_at, d.instance)
      and before.last_at > d.first_at - interval '1 day'
    offset 0
  )
  and not exists (
    select from shelf.marker_lines l
    where l.app = d.app
      and case l.kind
        when 'scale' then l.process = shelf.process_of(d.dyno)
        else l.dyno = d.dyno and l.kind <> 'boot'
      end
      and l.time between d.first_at - interval '2 minutes' and d.first_at + interval '2 minutes'
    offset 0
  );

comment on view shelf.dyno_events is
  'What happened to single dynos: their lines, and restarts whose lines were lost. Those are seen from another instance of a dyno that was there within the day, with no line of the dyno that tells why within 2 minutes; one-off dynos are passed over.';
comment on column shelf.dyno_events.app is 'The app.';
comment on column shelf.dyno_events.time is
  'When it was logged; if it was not, when the new instance was first seen.';
comment on column shelf.dyno_events.kind is 'restart, crash, boot, idle or unidle.';
comment on column shelf.dyno_events.process is 'The process type.';
comment on column shelf.dyno_events.dyno is 'The dyno, as web.1.';
comment on column shelf.dyno_events.reason is
  'Of a restart: cycling, restarting, or dyno changed where its line was lost.';
comment on column shelf.dyno_events.released_at is
  'Of a restart: the last deploy, release, rollback or config change in the 3 minutes before it, which is why it happened; null if there was none.';

create view shelf.markers as
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
-- Maintenance shows in the requests that it refuses (H80), so from the first to the last of them.
select
  first.app,
  first.bucket,
  'maintenance',
  '',
  '',
  '',
  jsonb_build_object('until', (
    select last.bucket + interval '1 minute'
    from shelf.counters_1m last
    where last.app = first.app and last.name = 'H80' and last.bucket >= first.bucket
      and not exists (
        select from shelf.counters_1m later
        where later.app = last.app and later.name = 'H80'
          and later.bucket > last.bucket and later.bucket <= last.bucket + interval '5 minutes'
        offset 0
      )
    order by last.bucket
    limit 1
  ))
from shelf.counters_1m first
where first.name = 'H80'
  and not exists (
    select from shelf.counters_1m before
    where before.app = first.app and before.name = 'H80'
      and before.bucket between first.bucket - interval '5 minutes' and first.bucket
      and (before.bucket, before.process, before.source)
        < (first.bucket, first.process, first.source)
    offset 0
  );

comment on view shelf.markers is
  'What was done to an app and what its dynos did, an event a row. A deploy is one row, with its release and the restarts that it brings. What dynos of a process type do is one row as long as no more than 60 seconds pass between two of them. The condition app = …, and one on time, are pushed down.';
comment on column shelf.markers.app is 'The app.';
comment on column shelf.markers.time is 'When it began.';
comment on column shelf.markers.kind is
  'build, deploy, release, rollback, config, scale, addon, restart, crash, boot, idle, unidle or maintenance.';
comment on column shelf.markers.process is
  'The process type that it is about; empty where it is the app as a whole.';
comment on column shelf.markers.text is
  'In few words: a commit, a version, names of config vars (never values), a scale as 2:Standard-1X, why dynos restarted.';
comment on column shelf.markers.by is 'Who did it, as a short keyed hash; empty if not known.';
comment on column shelf.markers.detail is
  'deploy, release, rollback, config, addon: version, commit, restarted (the process types that restarted for it). restart, crash, boot, idle, unidle: dynos (of the first 10 minutes), reason (cycling, restarting, dyno changed). scale: quantity, size. maintenance: until, the end of the last minute in which a request met it, followed by 5 minutes without.';
