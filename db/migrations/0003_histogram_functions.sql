-- What one does with histograms and status counts. In plain SQL; a null counts as empty.

-- Bins.

create function shelf.lower_bound(bin integer) returns double precision
language sql immutable parallel safe as $$
  select power(2::double precision, bin / 32::double precision)
$$;

comment on function shelf.lower_bound(integer) is
  'The value below which a bin begins, exclusive: 2^(bin/32). Its upper bound is that of bin + 1.';

create function shelf.bin_value(bin integer) returns double precision
language sql immutable parallel safe as $$
  select 2 * power(2::double precision, bin / 32::double precision)
    / (1 + power(2::double precision, -1 / 32::double precision))
$$;

comment on function shelf.bin_value(integer) is
  'The value that stands for a bin: equally far, relatively, from both bounds, at most 1.083 %.';

-- The logarithm may be off by its last bit just at a bound; the comparisons with the bounds decide.
create function shelf.bin_of(v double precision) returns integer
language sql immutable strict parallel safe as $$
  select case
    when v <= shelf.lower_bound(near) then near - 1
    when near < 32767 and v > shelf.lower_bound(near + 1) then near + 1
    else near
  end
  from (
    select ceil(32 * ln(v) / ln(2::double precision))::integer - 1 as near
    where v > 0 and v < 'infinity'
  ) logarithm
$$;

comment on function shelf.bin_of(double precision) is
  'The bin of a finite value above 0; null for any other value.';

-- Merging.

create function shelf.merge(a shelf.histogram, b shelf.histogram) returns shelf.histogram
language sql immutable parallel safe as $$
  select row(
    coalesce((a).zero, 0) + coalesce((b).zero, 0),
    coalesce(array_agg(bin), '{}'),
    coalesce(array_agg(n), '{}'),
    coalesce((a).sum, 0) + coalesce((b).sum, 0),
    least((a).min, (b).min),
    greatest((a).max, (b).max)
  )::shelf.histogram
  from (
    select bin, coalesce(x.n, 0) + coalesce(y.n, 0) as n
    from (select unnest((a).bins) as bin, unnest((a).counts) as n) x
    full join (select unnest((b).bins) as bin, unnest((b).counts) as n) y using (bin)
    order by bin
  ) bins
$$;

comment on function shelf.merge(shelf.histogram, shelf.histogram) is
  'The histogram of the values of both, exactly. Nulls are empty; the result is never null.';

create function shelf.merge_all(histograms shelf.histogram[]) returns shelf.histogram
language sql immutable parallel safe as $$
  select row(zero, coalesce(bins, '{}'), coalesce(counts, '{}'), sum, min, max)::shelf.histogram
  from (
    select
      coalesce(sum((h).zero), 0)::bigint as zero,
      coalesce(sum((h).sum), 0) as sum,
      min((h).min) as min,
      max((h).max) as max
    from unnest(histograms) h
  ) totals,
  (
    select array_agg(bin) as bins, array_agg(n) as counts
    from (
      select bin, sum(n)::bigint as n
      from unnest(histograms) h,
        lateral (select unnest((h).bins) as bin, unnest((h).counts) as n) bins
      group by bin
      order by bin
    ) ordered
  ) bins
$$;

comment on function shelf.merge_all(shelf.histogram[]) is
  'The histogram of the values of all, exactly. Takes time in proportion to their bins. The last step of the aggregate shelf.merge.';

create aggregate shelf.merge (shelf.histogram) (
  sfunc = array_append,
  stype = shelf.histogram[],
  initcond = '{}',
  combinefunc = array_cat,
  finalfunc = shelf.merge_all,
  parallel = safe
);

comment on aggregate shelf.merge (shelf.histogram) is
  'The histogram of the values of all rows, exactly; the empty histogram where there are none. Percentiles of many rows are quantiles of their merge, never an average of percentiles.';

-- Asking.

create function shelf.count(h shelf.histogram) returns bigint
language sql immutable parallel safe as $$
  select coalesce((h).zero, 0) + coalesce(sum(n), 0)::bigint from unnest((h).counts) n
$$;

comment on function shelf.count(shelf.histogram) is 'How many values; 0 when empty.';

create function shelf.mean(h shelf.histogram) returns double precision
language sql immutable parallel safe as $$
  select (h).sum / nullif(shelf.count(h), 0)
$$;

comment on function shelf.mean(shelf.histogram) is
  'The mean of the values, from their exact sum and count; null when empty.';

create function shelf.value_at_rank(
  rank double precision,
  n double precision,
  zero bigint,
  bins integer[],
  seen double precision[],
  min double precision,
  max double precision
) returns double precision
language sql immutable parallel safe as $$
  select case
    when rank <= 1 then min
    when rank >= n then max
    when rank <= zero then 0
    else least(greatest(shelf.bin_value(bins[1 + width_bucket(rank - 1, seen)]), min), max)
  end
$$;

comment on function shelf.value_at_rank(
  double precision, double precision, bigint, integer[], double precision[],
  double precision, double precision
) is
  'A step of quantiles: the value of a rank (1 to n) in a histogram of n values, where seen[k] is how many values are in bins[k] and below, zeros included.';

create function shelf.quantile(h shelf.histogram, q double precision) returns double precision
language sql immutable strict parallel safe as $$
  select shelf.value_at_rank(ceil(q * n), n, (h).zero, (h).bins, seen, (h).min, (h).max)
  from (
    select array_agg(seen) as seen, coalesce(max(seen), (h).zero) as n
    from (
      select (h).zero + sum(n) over (order by bin rows unbounded preceding) as seen
      from (select unnest((h).bins) as bin, unnest((h).counts)::double precision as n) bins
      order by bin
    ) cumulated
  ) ranks
  where n > 0 and q between 0 and 1
$$;

comment on function shelf.quantile(shelf.histogram, double precision) is
  'The value of nearest rank ceil(q * count), for q from 0 to 1. At most 1.083 % from the truth; the first and the last rank are exactly min and max. Null when the histogram is empty, and for a q that is null or outside 0 to 1.';

create function shelf.fraction_at_most(h shelf.histogram, v double precision)
returns double precision
language sql immutable strict parallel safe as $$
  select case
    when v >= (h).max then 1
    when v < (h).min then 0
    else ((h).zero + coalesce((
      select sum(n * case
        when v >= shelf.lower_bound(bin + 1) then 1
        when v <= shelf.lower_bound(bin) then 0
        else 32 * ln(v) / ln(2::double precision) - bin
      end)
      from (select unnest((h).bins) as bin, unnest((h).counts) as n) bins
    ), 0)) / n
  end
  from shelf.count(h) n
  where n > 0 and v <> 'nan'
$$;

comment on function shelf.fraction_at_most(shelf.histogram, double precision) is
  'The share of the values that are at most v, from 0 to 1. Exact where v is the bound of a bin, below min, or max and above; within a bin interpolated on the logarithm, so off by less than that bin''s share. Null when empty.';

-- Counts by code.

create function shelf.add_counts(a jsonb, b jsonb) returns jsonb
language sql immutable parallel safe as $$
  select coalesce(jsonb_object_agg(code, n), '{}')
  from (
    select code, coalesce(x.n::bigint, 0) + coalesce(y.n::bigint, 0) as n
    from jsonb_each_text(a) x (code, n)
    full join jsonb_each_text(b) y (code, n) using (code)
  ) codes
$$;

comment on function shelf.add_counts(jsonb, jsonb) is
  'Adds maps of counts by key: {"200": 2} and {"200": 1, "503": 1} give {"200": 3, "503": 1}. Nulls are empty; the result is never null.';

create function shelf.add_counts_all(maps jsonb[]) returns jsonb
language sql immutable parallel safe as $$
  select coalesce(jsonb_object_agg(code, n), '{}')
  from (
    select code, sum(n::bigint)::bigint as n
    from unnest(maps) map, jsonb_each_text(map) counts (code, n)
    group by code
  ) codes
$$;

comment on function shelf.add_counts_all(jsonb[]) is
  'Adds maps of counts by key. The last step of the aggregate shelf.add_counts.';

create aggregate shelf.add_counts (jsonb) (
  sfunc = array_append,
  stype = jsonb[],
  initcond = '{}',
  combinefunc = array_cat,
  finalfunc = shelf.add_counts_all,
  parallel = safe
);

comment on aggregate shelf.add_counts (jsonb) is
  'Adds the maps of counts by key of all rows; {} where there are none.';
