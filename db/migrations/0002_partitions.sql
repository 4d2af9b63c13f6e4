-- Days of the one-minute tier. In plpgsql, because it makes tables.

create function shelf.make_partitions(since date, until date) returns integer
language plpgsql as $$
declare
  days_max constant integer := 400; -- the longest that any tier but 1d is kept
  parent name;
  day date;
  child text;
  made integer := 0;
begin
  if until - since > days_max then
    raise exception 'make_partitions makes at most % days at once, not %', days_max, until - since
      using errcode = 'invalid_parameter_value', hint = 'Call it once for each year.';
  end if;

  -- One session at a time looks and makes; the others find the tables made.
  perform pg_advisory_xact_lock(hashtextextended('shelf.make_partitions', 0));

  for parent, day, child in
    select c.relname, d.day::date, c.relname || to_char(d.day, '_YYYYMMDD')
    from pg_class c, generate_series(since::timestamp, until - interval '1 day', '1 day') d (day)
    where c.relnamespace = 'shelf'::regnamespace and c.relkind = 'p' and c.relname like '%\_1m'
      and to_regclass(format('shelf.%I', c.relname || to_char(d.day, '_YYYYMMDD'))) is null
    order by c.relname, d.day
  loop
    -- Made apart and then attached: this locks the default partition, but not the parent. The
    -- default partition first, before its rows are touched, so that a writer waits at its door.
    execute format('lock table shelf.%I in access exclusive mode', parent || '_default');
    execute format('create table shelf.%I (like shelf.%I including all)', child, parent);
    execute format('comment on table shelf.%I is %L', child,
      format('Rows of shelf.%s of %s (UTC).', parent, day));
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
  'Makes the missing partitions of the one-minute tables for the UTC days from since to before until, at most 400 days, and moves their rows out of the default partitions. Returns how many it made. Safe to call again and by several sessions at once. Call it in a transaction of its own: it waits for those who write to a default partition.';
