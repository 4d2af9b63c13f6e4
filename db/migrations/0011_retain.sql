-- Retention: partitions are made ahead and dropped behind, tier by tier; what comes late goes to
-- the finest tier that still keeps its time.

create function shelf.partition_unit(tier text) returns text
language sql immutable as $$
  select case tier
    when '1m' then 'day' when '10m' then 'week' when '1h' then 'month' when '1d' then 'year'
  end
$$;

comment on function shelf.partition_unit(text) is
  'How long a partition of a tier is, in UTC: day, week (from Monday), month or year. A query over what a chart shows touches few, and what is dropped at once is a small share of what is kept.';

drop function shelf.make_partitions(date, date);

create function shelf.make_partitions(since date, until date, tier text default '1m')
returns integer
language plpgsql as $$
declare
  at_most constant integer := 400; -- days: the longest that any tier but 1d is kept
  unit constant text := shelf.partition_unit(tier);
  width constant interval := ('1 ' || unit)::interval;
  patience constant text := current_setting('lock_timeout');
  started constant timestamp with time zone := clock_timestamp();
  starts date[];
  has_parents boolean;
  parents name[];
  parent name;
  child text;
  start date;
  made integer := 0;
begin
  if unit is null then
    raise exception 'there is no tier %', tier using errcode = 'invalid_parameter_value';
  end if;
  starts := array(
    select s::date
    from generate_series(date_trunc(unit, since::timestamp), until - interval '1 day', width) s
  );
  if cardinality(starts) > at_most then
    raise exception 'make_partitions makes at most % %s at once, not %',
      at_most, unit, cardinality(starts)
      using errcode = 'invalid_parameter_value', hint = 'Call it once for each part.';
  end if;
  -- Who was told of a day before it was dropped may ask for it after.
  starts := array(
    select s from unnest(starts) s
    where not exists (
      select from shelf.tiers t
      where t.tier = make_partitions.tier and (s + width) at time zone 'UTC' <= t.dropped_until
    )
  );

  -- One session at a time looks and makes; the others find the tables made.
  perform pg_advisory_xact_lock(hashtextextended('shelf.make_partitions', 0));

  parents := array(
    select c.relname from pg_class c
    where c.relnamespace = 'shelf'::regnamespace and c.relkind = 'p'
      and c.relname like '%\_' || tier
      and exists (
        select from unnest(starts) s
        where to_regclass(format('shelf.%I', c.relname || to_char(s, '_YYYYMMDD'))) is null
      )
    order by c.relname
  );
  if parents = '{}' then
    return 0;
  end if;

  -- Writers wait at the parents, where they have not chosen a partition yet: whoever waits at the
  -- default partition would find it the wrong one. Readers wait at the default partitions, for
  -- moments; as a query may hold one and want another, we let go before that is a deadlock.
  loop
    begin
      has_parents := false;
      execute (
        select format('lock table %s in share row exclusive mode',
          string_agg(format('only shelf.%I', p), ', ' order by p))
        from unnest(parents) p
      );
      has_parents := true;
      perform set_config('lock_timeout', '150ms', true); -- each; deadlock_timeout is 1 s
      execute (
        select format('lock table %s in access exclusive mode',
          string_agg(format('shelf.%I', p || '_default'), ', ' order by p))
        from unnest(parents) p
      );
      perform set_config('lock_timeout', patience, true);
      exit;
    exception when lock_not_available then
      if not has_parents or clock_timestamp() > started + interval '1 minute' then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;

  for parent, start in select p, s from unnest(parents) p, unnest(starts) s loop
    child := parent || to_char(start, '_YYYYMMDD');
    continue when to_regclass(format('shelf.%I', child)) is not null;

    execute format('create table shelf.%I (like shelf.%I including all)', child, parent);
    execute format('comment on table shelf.%I is %L', child,
      format('Rows of shelf.%s of the %s from %s on (UTC).', parent, unit,
        to_char(start, 'YYYY-MM-DD')));
    execute format(
      'with moved as (delete from shelf.%I where bucket >= %L and bucket < %L returning *)
       insert into shelf.%I select * from moved',
      parent || '_default', start || ' 00:00+00', (start + width)::date || ' 00:00+00', child);
    execute format(
      'alter table shelf.%I attach partition shelf.%I for values from (%L) to (%L)',
      parent, child, start || ' 00:00+00', (start + width)::date || ' 00:00+00');
    made := made + 1;
  end loop;
  return made;
end
$$;

comment on function shelf.make_partitions(date, date, text) is
  'Makes the missing partitions of a tier for the UTC days from since to before until, at most 400 partitions, but none of times that were dropped; and moves their rows out of the default partitions. Returns how many tables it made. Safe to call again and by several sessions at once. Call it in a transaction of its own, as it waits for those who write to these tables and they wait for it; who writes to several of them in one transaction does it in the order of their names. Fails with lock_not_available where others read without a pause for a minute.';

create function shelf.partitions_before(tier text, until timestamp with time zone)
returns table (name text, rows bigint, bytes bigint)
language sql stable as $$
  select c.relname::text, nullif(greatest(c.reltuples, -1), -1)::bigint,
    pg_total_relation_size(c.oid)
  from pg_class p
  join pg_inherits i on i.inhparent = p.oid
  join pg_class c on c.oid = i.inhrelid
  where p.relnamespace = 'shelf'::regnamespace and p.relname like '%\_' || tier
    and c.relname ~ '_[0-9]{8}$'
    and (to_date(right(c.relname, 8), 'YYYYMMDD')
      + ('1 ' || shelf.partition_unit(tier))::interval) at time zone 'UTC' <= until
  order by right(c.relname, 8), 1
$$;

comment on function shelf.partitions_before(text, timestamp with time zone) is
  'The partitions of a tier that end at until or before, the oldest first; about how many rows they have, null where that is not known, and what they weigh on disk.';

create function shelf.drop_limits(at timestamp with time zone default now())
returns table (tier text, asked timestamp with time zone, until timestamp with time zone)
language plpgsql stable as $$
declare
  t record;
  finer timestamp with time zone := 'infinity';
begin
  for t in
    select s.*, shelf.partition_unit(s.tier) as unit,
      (
        -- What the coarser tier has yet to make of these rows.
        select least(c.compacted_until,
          (select min(d.bucket) from shelf.dirty d where d.tier = c.tier))
        from shelf.tiers c where shelf.finer_tier(c.tier) = s.tier
      ) as made
    from shelf.tiers s order by s.step
  loop
    tier := t.tier;
    asked := date_trunc(t.unit, (at - t.kept) at time zone 'UTC') at time zone 'UTC';
    until := date_trunc(t.unit, least(at - t.kept, t.made, finer) at time zone 'UTC')
      at time zone 'UTC';
    if asked is null or not isfinite(until) or until <= t.dropped_until then
      until := t.dropped_until;
    end if;
    -- No tier is dropped where the finer one is still kept.
    finer := coalesce(until, '-infinity');
    return next;
  end loop;
end
$$;

comment on function shelf.drop_limits(timestamp with time zone) is
  'Until when each tier would be dropped at a time: asked, by how long it is kept (null is never); and until, as far as the coarser tier is made and the finer one dropped (null is not at all). Both are where a partition starts.';

create function shelf.missing_partitions(at timestamp with time zone default now())
returns table (tier text, since date, name text)
language plpgsql stable
set jit = off as $$
declare
  ahead constant interval := '7 days';
  at_most constant integer := 400; -- as shelf.make_partitions
begin
  return query execute (
    select string_agg(format(
      'select %1$L::text, start, %2$L || to_char(start, ''_YYYYMMDD'')
      from (
        select s::date as start
        from generate_series(date_trunc(%3$L, $1 at time zone ''UTC''),
          ($1 + $2) at time zone ''UTC'', %4$L::interval) s
        union
        (
          select date_trunc(%3$L, bucket at time zone ''UTC'')::date
          from shelf.%5$I where bucket >= %6$L
          group by 1 order by 1 desc limit %7$s
        )
      ) starts
      where to_regclass(format(''shelf.%%I'', %2$L || to_char(start, ''_YYYYMMDD''))) is null',
      t.tier, c.relname, shelf.partition_unit(t.tier), '1 ' || shelf.partition_unit(t.tier),
      c.relname || '_default', coalesce(l.until, '-infinity'), at_most), ' union all ')
    from shelf.tiers t
    join shelf.drop_limits(at) l on l.tier = t.tier
    join pg_class c on c.relnamespace = 'shelf'::regnamespace and c.relkind = 'p'
      and c.relname like '%\_' || t.tier
  ) using at, ahead;
end
$$;

comment on function shelf.missing_partitions(timestamp with time zone) is
  'Partitions that are yet to be made: those of the days from at on, a week ahead, and those of rows that stand in a default partition, though not of times that may be dropped.';

create function shelf.give_up(at timestamp with time zone default now()) returns void
language plpgsql as $$
begin
  -- Writers wait behind us while we wait for one that hangs.
  perform set_config('lock_timeout', '1s', true);
  perform from shelf.tiers order by step for update;
  perform pg_advisory_xact_lock(hashtextextended('shelf.tiers', 0));

  update shelf.tiers t set dropped_until = l.until
  from shelf.drop_limits(at) l
  where l.tier = t.tier and l.until is distinct from t.dropped_until;
end
$$;

comment on function shelf.give_up(timestamp with time zone) is
  'Moves dropped_until as far as shelf.drop_limits says: who looks from now on takes what is before from a coarser tier. The rows are dropped later, once nobody is left who looked before. In a transaction of its own. Fails with lock_not_available where a writer takes longer than 1 s. Never moves back.';

-- Late data.

create function shelf.hold_tiers()
returns table (tier text, step_ms double precision, dropped_ms double precision)
language plpgsql as $$
begin
  -- Who falls silent with it is ended: nothing could be closed or dropped meanwhile.
  perform set_config('idle_in_transaction_session_timeout', '60s', true);
  perform pg_advisory_xact_lock_shared(hashtextextended('shelf.tiers', 0));
  return query
    select t.tier, 1000 * extract(epoch from t.step)::float8,
      1000 * extract(epoch from t.dropped_until)::float8
    from shelf.tiers t order by t.step;
end
$$;

comment on function shelf.hold_tiers() is
  'The tiers, from the finest on: the length of a bucket, ms, and until when it was dropped, Unix ms, null while it was not. Both stay so until the transaction ends, and what is closed too: for a client that is silent for less than 60 s. Needs read committed.';

create or replace function shelf.mark_dirty(apps text[], minutes timestamp with time zone[])
returns void
language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('shelf.tiers', 0));

  -- In the order of their key, so that no two wait in a ring. An update, where the mark is there:
  -- so a redo that is at it now ends first, and leaves us a mark of our own. A tier is not made
  -- again where the finer one was dropped: the row itself is written then, see shelf.hold_tiers.
  insert into shelf.dirty (tier, app, bucket)
  select distinct t.tier, m.app, date_bin(t.step, m.minute, '1970-01-01 00:00+00')
  from shelf.tiers t
  join shelf.tiers f on f.tier = shelf.finer_tier(t.tier)
  join unnest(apps, minutes) m (app, minute)
    on m.minute < t.closed_until and m.minute >= coalesce(f.dropped_until, '-infinity')
  order by 1, 2, 3
  on conflict (tier, app, bucket) do update set tier = excluded.tier;
end
$$;

comment on function shelf.mark_dirty(text[], timestamp with time zone[]) is
  'To be called first by each transaction that writes rows, with the apps and minutes of what it writes: marks the closed buckets that are made from these rows. Rows go to the finest tier that keeps their time. Needs read committed.';

-- Kept as long as hours, and found by their time.
create index marker_lines_time on shelf.marker_lines using brin (time);
