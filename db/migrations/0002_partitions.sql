-- Days of the one-minute tier. In plpgsql, because it makes tables.

create function shelf.make_partitions(since date, until date) returns integer
language plpgsql as $$
declare
  days_max constant integer := 400; -- the longest that any tier but 1d is kept
  patience constant text := current_setting('lock_timeout');
  started constant timestamp with time zone := clock_timestamp();
  has_parents boolean;
  parents name[];
  parent name;
  child text;
  day date;
  made integer := 0;
begin
  if until - since > days_max then
    raise exception 'make_partitions makes at most % days at once, not %', days_max, until - since
      using errcode = 'invalid_parameter_value', hint = 'Call it once for each year.';
  end if;

  -- One session at a time looks and makes; the others find the tables made.
  perform pg_advisory_xact_lock(hashtextextended('shelf.make_partitions', 0));

  parents := array(
    select c.relname from pg_class c
    where c.relnamespace = 'shelf'::regnamespace and c.relkind = 'p' and c.relname like '%\_1m'
      and exists (
        select from generate_series(0, until - since - 1) n
        where to_regclass(format('shelf.%I', c.relname || to_char(since + n, '_YYYYMMDD'))) is null
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

  for parent, day in
    select p, since + n from unnest(parents) p, generate_series(0, until - since - 1) n
  loop
    child := parent || to_char(day, '_YYYYMMDD');
    continue when to_regclass(format('shelf.%I', child)) is not null;

    execute format('create table shelf.%I (like shelf.%I including all)', child, parent);
    execute format('comment on table shelf.%I is %L', child,
      format('Rows of shelf.%s of %s (UTC).', parent, to_char(day, 'YYYY-MM-DD')));
    execute format(
      'with moved as (delete from shelf.%I where bucket >= %L and bucket < %L returning *)
       insert into shelf.%I select * from moved',
      parent || '_default', day || ' 00:00+00', day + 1 || ' 00:00+00', child);
    execute format(
      'alter table shelf.%I attach partition shelf.%I for values from (%L) to (%L)',
      parent, child, day || ' 00:00+00', day + 1 || ' 00:00+00');
    made := made + 1;
  end loop;
  return made;
end
$$;

comment on function shelf.make_partitions(date, date) is
  'Makes the missing partitions of the one-minute tables for the UTC days from since to before until, at most 400 days, and moves their rows out of the default partitions. Returns how many it made. Safe to call again and by several sessions at once. Call it in a transaction of its own, as it waits for those who write to these tables and they wait for it; who writes to several of them in one transaction does it in the order of their names. Fails with lock_not_available where others read without a pause for a minute.';
