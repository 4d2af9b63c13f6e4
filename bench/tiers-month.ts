/** Makes minutes of all kinds, set by set in PostgreSQL, and the year of days before them. */
import { emptyHistogram, record, toSparse } from '../core/histogram.ts'
import type { Sql } from '../db/client.ts'
import { histogramToText, timeToText } from '../db/schema.ts'
import {
  MEASURES_PROFILE,
  modelApps,
  SIZE_MAX,
  SIZE_SMALL_MAX,
  samples,
  VARIANTS_LARGE,
  VARIANTS_SMALL,
} from './tiers-apps.ts'

export const KINDS = ['requests', 'ledger', 'gauges', 'counters', 'histograms'] as const

export type Kind = (typeof KINDS)[number]

export const DAY_MS = 86_400_000

/** Of the coarsest tier. */
export const DAYS_BACK = 366

const SAMPLES_A_STATEMENT = 2000

/** The schema `bench`: what minutes are drawn from. */
export async function storeModels(sql: Sql, apps: number): Promise<string[]> {
  await sql.unsafe(`
    create schema bench;
    create table bench.apps (
      nth integer, app text, rate float8, profile integer, shift integer, awake integer);
    create table bench.metrics (
      nth integer, app integer, kind text, process text, name text, source text, share float8);
    create table bench.samples (
      profile integer, size integer, variant integer, requests bigint, status jsonb,
      service shelf.histogram, connect shelf.histogram, bytes bigint);
    -- From 0 up to 1, the same for the same.
    create function bench.random(minute bigint, seed bigint) returns float8
    language sql immutable parallel safe as
      $$ select (hashint8extended(minute, seed) & 1048575) / 1048576.0::float8 $$;
    -- The size of a sample that stands for about so many.
    create function bench.size(n float8, random float8) returns integer
    language sql immutable parallel safe as
      $$ select least(${SIZE_MAX},
        round(2 / ln(2.0::float8) * ln(greatest(1, n * exp(0.6 * (random - 0.5)))))::integer) $$;
    create function bench.variant(size integer, random float8) returns integer
    language sql immutable parallel safe as
      $$ select floor(random *
        case when size > ${SIZE_SMALL_MAX} then ${VARIANTS_LARGE} else ${VARIANTS_SMALL} end
      )::integer $$;
    -- The minutes in which apps run.
    create function bench.minutes(since timestamptz, until timestamptz)
    returns table (nth integer, app text, profile integer, bucket timestamptz, minute bigint,
      rate float8)
    language sql stable as $$
      select a.nth, a.app, a.profile, m, minute,
        a.rate * (1 + 0.8 * sin(2 * pi() * (minute % 1440 / 1440.0 + a.shift / 24.0)))
      from generate_series(since, until - interval '1 minute', interval '1 minute') m
      cross join lateral (select extract(epoch from m)::bigint / 60 as minute) at
      cross join bench.apps a
      where (minute / 60 + a.shift) % 24 < a.awake $$;`)
  const models = modelApps(apps)
  await sql`insert into bench.apps ${sql(
    models.map(({ metrics, ...model }, nth) => ({ nth, ...model })),
  )}`
  const metrics = models.flatMap((model, app) => model.metrics.map((one) => ({ app, ...one })))
  for (let at = 0; at < metrics.length; at += 1000) {
    const rows = metrics.slice(at, at + 1000).map((metric, i) => ({ nth: at + i, ...metric }))
    await sql`insert into bench.metrics ${sql(rows)}`
  }
  await storeSamples(sql)
  await sql`analyze bench.apps, bench.metrics, bench.samples`
  return models.map(({ app }) => app)
}

async function storeSamples(sql: Sql): Promise<void> {
  let batch: (string | number)[][] = []
  const flush = async (): Promise<void> => {
    const columns = Array.from({ length: 8 }, (_, i) => batch.map((row) => row[i] ?? null))
    await sql.unsafe(
      `insert into bench.samples
      select profile, size, variant, requests, status::jsonb, service::shelf.histogram,
        connect::shelf.histogram, bytes
      from unnest($1::int[], $2::int[], $3::int[], $4::bigint[], $5::text[], $6::text[],
        $7::text[], $8::bigint[])
        s (profile, size, variant, requests, status, service, connect, bytes)`,
      columns,
    )
    batch = []
  }
  for (const { profile, size, variant, status, serviceMs, connectMs, bytes } of samples()) {
    const histograms = [serviceMs, connectMs].map(histogramText)
    const key = [profile, size, variant, serviceMs.length]
    batch.push([...key, JSON.stringify(status), ...histograms, bytes])
    if (batch.length === SAMPLES_A_STATEMENT) await flush()
  }
  if (batch.length > 0) await flush()
}

function histogramText(values: readonly number[]): string {
  const histogram = emptyHistogram()
  for (const value of values) record(histogram, value)
  return histogramToText(toSparse(histogram))
}

/** $1 to $2 is the range. By minute, as rows come in life. */
const INSERTS: Record<Kind, string> = {
  requests: `
    insert into shelf.requests_1m
      (app, process, bucket, requests, status, service, connect, bytes)
    select m.app, 'web', m.bucket, s.requests, s.status, s.service, s.connect, s.bytes
    from bench.minutes($1, $2) m
    cross join lateral bench.size(m.rate, bench.random(m.minute, m.nth)) n (size)
    join bench.samples s on s.profile = m.profile and s.size = n.size
      and s.variant = bench.variant(n.size, bench.random(m.minute, m.nth + 1000))
    where bench.random(m.minute, m.nth + 2000) >= exp(-least(m.rate, 30))
    union all
    -- What reached no process: H10, H14.
    select m.app, '', m.bucket, 3, '{"503": 3}', '(0,{},{},0,,)', '(0,{},{},0,,)', 0
    from bench.minutes($1, $2) m
    where bench.random(m.minute, m.nth + 3000) < 0.01
    order by 3, 1, 2`,
  ledger: `
    insert into shelf.ledger_1m (app, bucket, received, kept, ignored_output)
    select m.app, m.bucket, 5 * n, 2 * n, 3 * n
    from bench.minutes($1, $2) m
    cross join lateral (select ceil(m.rate)::bigint + 40 as n) n
    order by 2, 1`,
  gauges: `
    insert into shelf.gauges_1m
      (app, process, name, source, bucket, count, sum, min, max, last, last_at)
    select m.app, g.process, g.name, g.source, m.bucket, 3, 3 * v, 0.9 * v, 1.1 * v, v,
      m.bucket + interval '52.137 s'
    from bench.minutes($1, $2) m
    join bench.metrics g on g.app = m.nth and g.kind = 'gauges'
    cross join lateral (select 1e8 * bench.random(m.minute, g.nth) as v) v
    order by 5, 1, 2, 3, 4`,
  counters: `
    insert into shelf.counters_1m (app, process, name, source, bucket, sum)
    select m.app, c.process, c.name, c.source, m.bucket,
      1 + floor(100 * bench.random(m.minute, c.nth + 1000000))
    from bench.minutes($1, $2) m
    join bench.metrics c on c.app = m.nth and c.kind = 'counters'
    where bench.random(m.minute, c.nth) < c.share
    order by 5, 1, 2, 3, 4`,
  histograms: `
    insert into shelf.histograms_1m (app, process, name, source, bucket, histogram)
    select m.app, h.process, h.name, h.source, m.bucket, s.service
    from bench.minutes($1, $2) m
    join bench.metrics h on h.app = m.nth and h.kind = 'histograms'
    cross join lateral bench.size(m.rate / 10, bench.random(m.minute, h.nth + 1000000)) n (size)
    join bench.samples s on s.profile = ${MEASURES_PROFILE} and s.size = n.size
      and s.variant = bench.variant(n.size, bench.random(m.minute, h.nth + 2000000))
    where bench.random(m.minute, h.nth) < h.share
    order by 5, 1, 2, 3, 4`,
}

/** Minutes of some kinds, from `sinceMs` to before `untilMs` (Unix ms). Returns how many rows. */
export async function makeMinutes(
  sql: Sql,
  kinds: readonly Kind[],
  sinceMs: number,
  untilMs: number,
): Promise<number> {
  let rows = 0
  for (const kind of kinds) {
    const made = await sql.unsafe(INSERTS[kind], [timeToText(sinceMs), timeToText(untilMs)])
    rows += made.count
  }
  return rows
}

/**
 * Days of a kind, back to a year before `untilMs` (a midnight): those that were made, from `sinceMs`
 * (one too) on, again and again.
 */
export async function repeatDays(
  sql: Sql,
  kind: Kind,
  sinceMs: number,
  untilMs: number,
): Promise<void> {
  const days = (untilMs - sinceMs) / DAY_MS
  const columns = await sql<{ column: string; isTime: boolean }[]>`
    select attname as column, atttypid = 'timestamptz'::regtype as "isTime" from pg_attribute
    where attrelid = ${`shelf.${kind}_1d`}::regclass and attnum > 0 and not attisdropped
    order by attnum`
  const list = columns.map(({ column, isTime }) => (isTime ? `${column} - back` : column))
  await sql.unsafe(
    `insert into shelf.${kind}_1d
    select ${list.join(', ')}
    from shelf.${kind}_1d
    cross join generate_series(1, ceil(${DAYS_BACK}.0 / $3::int)::int) times
    cross join lateral (select times * $3 * interval '1 day' as back) back
    where bucket >= $1 and bucket < $2
      and bucket - back >= $2::timestamptz - interval '${DAYS_BACK} days'
    order by bucket - back, app`,
    [timeToText(sinceMs), timeToText(untilMs), days],
  )
}
