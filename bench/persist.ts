/**
 * Cells into shelf.requests_1m, as `shelf persist` merges them, beside COPY of the same finished rows
 * into a bare table of the same columns: no key, no partitions, and they are text already. Ours
 * reads a backlog, a minute a transaction; then live, where each chunk of 2 s is a transaction.
 */
import { persistRecords } from '../batch/persist-records.ts'
import { PartitionAggregator } from '../core/aggregate.ts'
import { type AggregateRecord, toAggregateRecords } from '../core/aggregate-record.ts'
import { encodeBurst } from '../core/burst.ts'
import { minuteOf } from '../core/ledger.ts'
import type { Sql } from '../db/client.ts'
import { medians } from './compare.ts'
import { makeBursts } from './events.ts'
import { copyInto, copyOf, openPostgres } from './postgres.ts'
import type { BenchOptions, Figure } from './run.ts'

const APPS = 300
const MINUTES = 10

/** About three bursts of an app in a minute. */
const RATE = 1500

const RATIO_MIN = 0.25
const SECONDS_MAX = 25
const PARTITION = 0

export async function benchPersist({ seconds }: BenchOptions): Promise<Figure[]> {
  const minutes = makeMinutes()
  const { sql, stop } = await openPostgres()
  try {
    await persistAll(sql, minutes)
    const rows = await rowsIn(sql)
    const copied = await copyOf(sql, 'shelf.requests_1m')
    await sql`create table public.bare as select * from shelf.requests_1m with no data`
    const took = await medians(
      { ours: () => persistAll(sql, minutes), theirs: () => copyInto(sql, 'bare', copied) },
      {
        forMs: Math.min(seconds, SECONDS_MAX) * 1000,
        warmUpRuns: 1,
        runsMin: 3,
        before: () => empty(sql),
      },
    )
    const ratio = took.theirs / took.ours
    const perSecond = (ms: number): number => Math.round((rows / ms) * 1000)
    await empty(sql)
    const before = await rowsWritten(sql)
    const chunks = minutes.flat()
    await persistAll(
      sql,
      chunks.map((chunk) => [chunk]),
    )
    const written = (await rowsWritten(sql)) - before
    const cells = chunks.reduce((sum, chunk) => sum + chunk.cells.length, 0)
    return [
      {
        name: 'persist, beside COPY into a bare table',
        unit: 'rows/s',
        ours: perSecond(took.ours),
        theirs: perSecond(took.theirs),
        ratio: Number(ratio.toFixed(2)),
        target: `at least ${RATIO_MIN} of COPY`,
        met: ratio >= RATIO_MIN,
      },
      {
        name: `persist live, rows written per cell (${(cells / rows).toFixed(1)} cells a row)`,
        unit: '',
        ours: Number((written / cells).toFixed(2)),
        ...{ theirs: null, ratio: null },
        ...{ target: 'at most 1', met: written <= cells },
      },
    ]
  } finally {
    await stop()
  }
}

/** Records of chunks, by the minute of their log time, with cells of requests only. */
function makeMinutes(): AggregateRecord[][] {
  // Today's: its partition is made with the first rows.
  const sinceMs = minuteOf(Date.now()) - (MINUTES + 1) * 60_000
  const requests = MINUTES * 60 * RATE
  const aggregator = new PartitionAggregator()
  const minutes: AggregateRecord[][] = []
  let offset = 0
  for (const burst of makeBursts({ apps: APPS, requests, rate: RATE, seed: 1, sinceMs })) {
    const timestamp = burst.receivedAtMs
    const value = encodeBurst(burst)
    const chunk = aggregator.push({ offset: offset++, timestamp, key: burst.app, value })
    if (chunk === undefined) continue
    const minute = Math.floor((chunk.watermarkMs - sinceMs) / 60_000)
    minutes[minute] ??= []
    for (const record of toAggregateRecords(PARTITION, chunk)) {
      const cells = record.cells.filter(({ kind }) => kind === 'requests')
      minutes[minute].push({ ...record, cells, ledger: [] })
    }
  }
  return minutes
}

async function persistAll(
  sql: Sql,
  batches: readonly (readonly AggregateRecord[])[],
): Promise<void> {
  await sql`insert into shelf.progress (partition) values (${PARTITION}) on conflict do nothing`
  for (const records of batches) {
    await persistRecords(sql, PARTITION, records, { ifLeased: 'wait' })
  }
}

async function empty(sql: Sql): Promise<void> {
  await sql`delete from shelf.progress`
  await sql`truncate shelf.requests_1m`
  await sql`truncate public.bare`
}

async function rowsIn(sql: Sql): Promise<number> {
  const [row] = await sql<{ rows: number }[]>`select count(*) as rows from shelf.requests_1m`
  return row?.rows ?? 0
}

/** Versions of rows of requests_1m that were ever written. */
async function rowsWritten(sql: Sql): Promise<number> {
  await sql`select pg_stat_force_next_flush()`
  const [row] = await sql<{ rows: number }[]>`
    select sum(n_tup_ins + n_tup_upd)::bigint as rows from pg_stat_user_tables
    where relname like 'requests_1m%'`
  return row?.rows ?? 0
}
