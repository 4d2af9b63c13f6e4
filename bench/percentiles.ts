/**
 * p50, p95 and p99 of each minute of a day for an app that served many requests, beside
 * percentile_cont over the raw rows and, where Debian's postgresql-15-tdigest is installed, tdigest
 * over digests of minutes (ours over rows of minutes likewise); and how far p99.9 of a minute is from the truth. All on one PostgreSQL.
 */
import type { Sql } from '../db/client.ts'
import { timeToText } from '../db/schema.ts'
import { medians } from './compare.ts'
import { debianPostgres, hasExtension, openPostgres } from './postgres.ts'
import type { BenchOptions, Figure } from './run.ts'

const REQUESTS = Number(process.env.SHELF_BENCH_REQUESTS ?? 10_000_000)
const DAY_MS = 86_400_000
const TIMES_RAW_MIN = 100
const TIMES_DIGESTS_MAX = 5

/** tdigest's compression, as its documentation has it. */
const COMPRESSION = 100

/** While the raw rows are made: what is lost at a crash is made again. */
const SETTINGS = {
  ...{ fsync: 'off', max_wal_size: '8GB', shared_buffers: '1GB', work_mem: '256MB' },
  max_parallel_workers_per_gather: '0',
}

export async function benchPercentiles({ seconds }: BenchOptions): Promise<Figure[]> {
  const binDir = debianPostgres()
  const hasDigests = binDir !== undefined && hasExtension(binDir, 'tdigest')
  const { sql, stop } = await openPostgres({
    settings: SETTINGS,
    ...(hasDigests && { binDir, extension: 'tdigest' }),
  })
  try {
    const sinceMs = (Math.floor(Date.now() / DAY_MS) - 2) * DAY_MS
    await makeRaw(sql, sinceMs)
    await makeShelf(sql, sinceMs)
    if (hasDigests) await makeDigests(sql)
    const since = timeToText(sinceMs)
    const until = timeToText(sinceMs + DAY_MS)
    const ours = () => sql`
      select bucket, p50, p95, p99 from shelf.request_stats('bench', ${since}, ${until}, '1 minute')`
    const summary = () => sql`
      select r.bucket, s.p50, s.p95, s.p99 from shelf.requests_1m r
      cross join lateral shelf.summary(r.service) s
      where r.app = 'bench' and r.bucket >= ${since} and r.bucket < ${until}`
    const digests = () => sql`
      select bucket, public.tdigest_percentile(digest, array[0.5, 0.95, 0.99]) from public.digests
      where app = 'bench' and bucket >= ${since} and bucket < ${until} group by bucket`
    const raw = () => sql`
      select date_trunc('minute', at) as bucket,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (order by service)
      from public.raw where app = 'bench' and at >= ${since} and at < ${until} group by 1`
    const ways: Record<string, () => unknown> = { ours, summary, ...(hasDigests && { digests }) }
    const quick = await medians(ways, { forMs: Math.min(seconds, 5) * 1000 })
    const slow = await medians({ raw }, { forMs: 0, warmUpRuns: 0, runsMin: 3 })
    const { ours: oursMs = Number.NaN, summary: summaryMs = Number.NaN, digests: digestsMs } = quick
    return [
      speed('request_stats of 1,440 minutes, raw rows', oursMs, slow.raw, 1 / TIMES_RAW_MIN),
      ...(digestsMs === undefined
        ? []
        : [speed('percentiles of 1,440 rows, tdigest', summaryMs, digestsMs, TIMES_DIGESTS_MAX)]),
      await accuracy(sql, hasDigests),
    ]
  } finally {
    await stop()
  }
}

/** Requests of one day, the same ones each time; and the index that serves the question best. */
async function makeRaw(sql: Sql, sinceMs: number): Promise<void> {
  await sql`create unlogged table public.raw (app text, at timestamptz, service integer)`
  await sql`select setseed(0.5)`
  await sql`
    insert into public.raw
    select 'bench', ${timeToText(sinceMs)}::timestamptz + i * interval '1 day' / ${REQUESTS},
      round(exp(3 + random() * 3) * case when random() < 0.02 then 20 else 1 end)
    from generate_series(0, ${REQUESTS - 1}) i`
  await sql`create index on public.raw (app, at) include (service)`
  await sql`vacuum analyze public.raw`
}

/** The rows that Shelf would have. */
async function makeShelf(sql: Sql, sinceMs: number): Promise<void> {
  const day = timeToText(sinceMs).slice(0, 10)
  await sql`select shelf.make_partitions(${day}::date, ${day}::date)`
  await sql`
    insert into shelf.requests_1m (app, process, bucket, requests, status, service)
    select app, 'web', bucket, sum(n), jsonb_build_object('200', sum(n)),
      row(0, array_agg(bin order by bin), array_agg(n order by bin), sum(total), min(least),
        max(most))::shelf.histogram
    from (
      select app, bucket, shelf.bin_of(service) as bin, sum(n)::bigint as n,
        sum(service * n)::float8 as total, min(service)::float8 as least,
        max(service)::float8 as most
      from (
        select app, date_trunc('minute', at) as bucket, service, count(*) as n
        from public.raw group by 1, 2, 3
      ) counted
      group by 1, 2, 3
    ) bins
    group by app, bucket`
  await sql`vacuum analyze shelf.requests_1m`
}

async function makeDigests(sql: Sql): Promise<void> {
  await sql`
    create table public.digests as
    select app, date_trunc('minute', at) as bucket,
      public.tdigest(service, ${COMPRESSION}) as digest
    from public.raw group by 1, 2`
  await sql`alter table public.digests add primary key (app, bucket)`
  await sql`vacuum analyze public.digests`
}

/** @param timesMax how much longer than theirs ours may take */
function speed(name: string, oursMs: number, theirsMs: number, timesMax: number): Figure {
  const ratio = theirsMs / oursMs
  const target =
    timesMax < 1 ? `${1 / timesMax} times faster` : `at most ${timesMax} times its time`
  return {
    name,
    unit: 'ms',
    ours: round(oursMs),
    theirs: round(theirsMs),
    ratio: round(ratio),
    ...{ target, met: oursMs <= theirsMs * timesMax },
  }
}

const round = (value: number): number => Number(value.toPrecision(3))

/** How far p99.9 of a minute is from the truth, in the middle of all minutes, %. */
async function accuracy(sql: Sql, hasDigests: boolean): Promise<Figure> {
  const errors = async (answers: string): Promise<number> => {
    const [row] = await sql.unsafe<{ error: number }[]>(`
      with truth as (
        select date_trunc('minute', at) as bucket,
          percentile_disc(0.999) within group (order by service) as value
        from public.raw group by 1
      ), answers as (${answers})
      select percentile_cont(0.5) within group (
        order by 100 * abs(a.value - t.value) / t.value) as error
      from truth t join answers a using (bucket)`)
    return row?.error ?? Number.NaN
  }
  const ours = await errors(
    'select bucket, shelf.quantile(service, 0.999) as value from shelf.requests_1m',
  )
  const theirs = hasDigests
    ? await errors(
        `select bucket, public.tdigest_percentile(digest, 0.999) as value from public.digests
        group by bucket`,
      )
    : null
  return {
    name: 'p99.9 of a minute, off the truth (median)',
    unit: '%',
    ours: round(ours),
    theirs: theirs === null ? null : round(theirs),
    ratio: theirs === null ? null : round(theirs / ours),
    target: 'closer than tdigest',
    met: theirs === null || ours < theirs,
  }
}
