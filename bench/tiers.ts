/**
 * The tiers of a made month: what they weigh, how fast they are compacted, how soon request_stats
 * answers over each, and how many partitions that reads. On a PostgreSQL of its own, as `shelf up`
 * sets it up.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compactTiers } from '../batch/compact.ts'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import { timeToText } from '../db/schema.ts'
import { startPostgres } from '../db/server.ts'
import { freePort } from '../test/sql-server.ts'
import type { BenchOptions, Figure } from './run.ts'
import {
  DAY_MS,
  DAYS_BACK,
  KINDS,
  type Kind,
  makeMinutes,
  repeatDays,
  storeModels,
} from './tiers-month.ts'
import { measureRanges } from './tiers-ranges.ts'

/** Where the month ends. In the middle of all buckets, as a dashboard's right edge is. */
const UNTIL_MS = Date.UTC(2026, 9, 31, 17, 43)

const TIERS = ['1m', '10m', '1h', '1d'] as const

const UNTIL_DAY_MS = Math.floor(UNTIL_MS / DAY_MS) * DAY_MS

/**
 * Of metrics, fewer days: they are nine tenths of all rows, and request_stats does not read them. As
 * many as minutes are kept.
 */
const METRIC_DAYS_MAX = 7

/** Sessions that make minutes; compaction has one, as in `shelf run`. */
const MAKERS = 2

/** While the month is made: what is lost at a crash is made again. */
const MAKER_SETTINGS = {
  ...{ fsync: 'off', full_page_writes: 'off', max_wal_size: '16GB', shared_buffers: '1GB' },
  autovacuum: 'off',
}

export async function benchTiers({ apps, days }: BenchOptions): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  const place = { dataDir: join(dir, 'postgres'), port: await freePort(), password: 'bench' }
  const stop = { now: async (): Promise<void> => {} }
  try {
    const maker = await startPostgres({ ...place, settings: MAKER_SETTINGS })
    stop.now = () => maker.stop()
    await migrate(maker.url)
    const names = await make(maker.url, apps, days)
    await maker.stop()

    const server = await startPostgres(place)
    stop.now = () => server.stop()
    const sql = connect(server.url, { max: 1 })
    await compact(sql, days)
    for (const kind of KINDS) await repeatDays(sql, kind, sinceOf(kind, days), UNTIL_DAY_MS)
    for (const tier of TIERS) await tidy(sql, tier)
    await printWeights(sql, apps, days)
    await sql.end()
    return await measureRanges(server.url, names, UNTIL_MS)
  } finally {
    await stop.now()
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Where the minutes of a kind begin. */
function sinceOf(kind: Kind, days: number): number {
  const isRead = kind === 'requests' || kind === 'ledger'
  return UNTIL_DAY_MS - (isRead ? days : Math.min(days, METRIC_DAYS_MAX)) * DAY_MS
}

/** Partitions, and all minutes. Returns the apps' names, the busiest first. */
async function make(databaseUrl: string, apps: number, days: number): Promise<string[]> {
  const settings = { work_mem: '512MB', jit: 'off' }
  const sql = connect(databaseUrl, { max: MAKERS, settings })
  try {
    const names = await storeModels(sql, apps)
    for (const tier of TIERS) {
      const since = timeToText(UNTIL_MS - (tier === '1d' ? DAYS_BACK : days) * DAY_MS)
      const until = timeToText(UNTIL_MS + 8 * DAY_MS)
      await sql`
        select shelf.make_partitions(${since}::timestamptz::date, ${until}::timestamptz::date,
          ${tier})`
    }
    const startedAt = performance.now()
    let atMs = UNTIL_DAY_MS - days * DAY_MS
    let rows = 0
    const makers = Array.from({ length: MAKERS }, async () => {
      while (atMs < UNTIL_MS) {
        const dayMs = atMs
        atMs += DAY_MS
        const kinds = KINDS.filter((kind) => sinceOf(kind, days) <= dayMs)
        const made = await makeMinutes(sql, kinds, dayMs, Math.min(dayMs + DAY_MS, UNTIL_MS))
        rows += made
      }
    })
    await Promise.all(makers)
    say('rows of minutes made', rows, startedAt)
    await tidy(sql, '1m')
    return names
  } finally {
    await sql.end()
  }
}

/** Day by day, as far as the log goes then: as it is in life, but faster. */
async function compact(sql: Sql, days: number): Promise<void> {
  const [before] = await sql<{ rows: number }[]>`
    select sum(reltuples)::bigint as rows from pg_class
    where relnamespace = 'shelf'::regnamespace and relkind = 'r' and relname ~ '_1m_'`
  const startedAt = performance.now()
  for (let dayMs = UNTIL_DAY_MS - days * DAY_MS; dayMs < UNTIL_MS; dayMs += DAY_MS) {
    // Two minutes are for what is late.
    const log = timeToText(dayMs + DAY_MS < UNTIL_MS ? dayMs + DAY_MS + 120_000 : UNTIL_MS)
    await sql`
      insert into shelf.progress (partition, watermark) values (0, ${log})
      on conflict (partition) do update set watermark = excluded.watermark`
    await compactTiers(sql, AbortSignal.timeout(3_600_000))
  }
  say('rows of minutes compacted to all three tiers', before?.rows ?? 0, startedAt)
}

/** What autovacuum does in time. */
async function tidy(sql: Sql, tier: string): Promise<void> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class
    where relnamespace = 'shelf'::regnamespace and relkind = 'r' and relname ~ ${`_${tier}_`}`
  await Promise.all(tables.map(({ name }) => sql`vacuum (analyze) ${sql(`shelf.${name}`)}`))
}

async function printWeights(sql: Sql, apps: number, days: number): Promise<void> {
  const weights = await sql<{ kind: Kind; tier: string; rows: number; bytes: number }[]>`
    select kind, tier, sum(greatest(c.reltuples, 0))::bigint as rows,
      sum(pg_total_relation_size(c.oid))::bigint as bytes
    from unnest(${[...KINDS]}::text[]) kind
    cross join unnest(${[...TIERS]}::text[]) tier
    join pg_inherits i on i.inhparent = format('shelf.%I', kind || '_' || tier)::regclass
    join pg_class c on c.oid = i.inhrelid
    group by kind, tier
    order by array_position(${[...KINDS]}, kind), array_position(${[...TIERS]}, tier)`
  const [all] = await sql<{ size: string }[]>`
    select pg_size_pretty(pg_database_size(current_database())) as size`
  console.log(`rows and bytes, with indexes, per app and day; the whole database is ${all?.size}`)
  const table: Record<string, Record<string, string>> = {}
  const totals = new Map<string, { rows: number; bytes: number }>()
  for (const { kind, tier, rows, bytes } of weights) {
    const made = tier === '1d' ? DAYS_BACK : (UNTIL_MS - sinceOf(kind, days)) / DAY_MS
    const total = totals.get(tier) ?? { rows: 0, bytes: 0 }
    totals.set(tier, total)
    const mean = { rows: rows / made / apps, bytes: bytes / made / apps }
    total.rows += mean.rows
    total.bytes += mean.bytes
    table[kind] = { ...table[kind], [tier]: words(mean) }
  }
  table.all = Object.fromEntries([...totals].map(([tier, total]) => [tier, words(total)]))
  console.table(table)
}

const words = ({ rows, bytes }: { rows: number; bytes: number }): string =>
  `${rows.toFixed(1)} rows, ${Math.round(bytes)} B`

function say(what: string, rows: number, startedAt: number): void {
  const seconds = (performance.now() - startedAt) / 1000
  console.log(`${rows} ${what} in ${seconds.toFixed(0)} s, ${Math.round(rows / seconds)} a second`)
}
