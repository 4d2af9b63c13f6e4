/**
 * A day of rows of minutes made to 10 minutes, hours and a day, beside a bare group-by over the same
 * bins, each tier from the one before, that writes nothing and keeps neither sums nor statuses.
 */
import { compactTiers } from '../batch/compact.ts'
import type { Sql } from '../db/client.ts'
import { timeToText } from '../db/schema.ts'
import { COARSER_TIERS } from '../db/tiers.ts'
import { medians } from './compare.ts'
import { copyInto, openPostgres } from './postgres.ts'
import { makeRows } from './rows.ts'
import type { BenchOptions, Figure } from './run.ts'

const APPS = 10
const REQUESTS_A_MINUTE = 60
const DAY_MS = 86_400_000
const DAY_MINUTES = 1440

const TIMES_MAX = 2
const SECONDS_MAX = 40

export async function benchCompact({ seconds }: BenchOptions): Promise<Figure[]> {
  const { sql, stop } = await openPostgres()
  try {
    // Two days ago: the minutes of it are kept still.
    const sinceMs = (Math.floor(Date.now() / DAY_MS) - 2) * DAY_MS
    await fill(sql, sinceMs)
    // As Shelf's own functions have it.
    await sql`set work_mem = '64MB'`
    const took = await medians(
      {
        ours: () => compactTiers(sql, AbortSignal.timeout(600_000)),
        theirs: () => groupBins(sql),
      },
      {
        ...{ forMs: Math.min(seconds, SECONDS_MAX) * 1000, warmUpRuns: 1, runsMin: 3 },
        before: (name) => (name === 'ours' ? startOver(sql) : undefined),
      },
    )
    const [days] = await sql<{ apps: number }[]>`select count(*) as apps from shelf.requests_1d`
    if (days?.apps !== APPS) throw new Error(`days of ${days?.apps} apps were made`)
    const times = took.ours / took.theirs
    const perSecond = (ms: number): number => Math.round((APPS * DAY_MINUTES * 1000) / ms)
    return [
      {
        name: 'compact a day, beside a bare group-by',
        unit: 'rows of minutes/s',
        ours: perSecond(took.ours),
        theirs: perSecond(took.theirs),
        ratio: Number((1 / times).toFixed(2)),
        target: `at most ${TIMES_MAX} times its time`,
        met: times <= TIMES_MAX,
      },
    ]
  } finally {
    await stop()
  }
}

async function fill(sql: Sql, sinceMs: number): Promise<void> {
  const day = timeToText(sinceMs).slice(0, 10)
  for (const tier of ['1m', ...COARSER_TIERS]) {
    await sql`select shelf.make_partitions(${day}::date, ${day}::date, ${tier})`
  }
  await sql`create table public.day (like shelf.requests_1m)`
  const rows = [...makeRows(APPS, sinceMs, DAY_MINUTES, REQUESTS_A_MINUTE)].join('')
  await copyInto(sql, 'day', Buffer.from(rows))
  await sql`insert into shelf.requests_1m select * from public.day`
  await sql`drop table public.day`
  await sql`vacuum analyze shelf.requests_1m`
  // The grace for what is late is over.
  const watermark = timeToText(sinceMs + DAY_MS + 600_000)
  await sql`insert into shelf.progress (partition, watermark) values (0, ${watermark})`
  await sql`create table public.tiers as select * from shelf.tiers`
}

/** As if nothing had been made of the minutes. */
async function startOver(sql: Sql): Promise<void> {
  await sql`truncate shelf.requests_10m, shelf.requests_1h, shelf.requests_1d, shelf.dirty`
  await sql`
    update shelf.tiers t set closed_until = b.closed_until, compacted_until = b.compacted_until,
      dropped_until = b.dropped_until
    from public.tiers b where b.tier = t.tier`
}

async function groupBins(sql: Sql): Promise<void> {
  for (const [tier, step] of [
    ['1m', '10 minutes'],
    ['10m', '1 hour'],
    ['1h', '1 day'],
  ] as const) {
    for (const histogram of ['service', 'connect']) {
      await sql`
        select count(*), sum(n) from (
          select app, process, date_bin(${step}::interval, bucket, '1970-01-01 00:00+00') as bucket,
            bin, sum(n) as n
          from ${sql(`shelf.requests_${tier}`)} r,
            unnest((r.${sql(histogram)}).bins, (r.${sql(histogram)}).counts) b (bin, n)
          group by 1, 2, 3, 4
        ) bins`
    }
  }
}
