/**
 * What people would backfill with: DuckDB reads Parquet of the same events, groups alike, and COPY
 * loads the rows into the same PostgreSQL. `bun bench/backfill-duckdb.ts PARQUET DATABASE_URL` is the
 * program that is measured.
 */
import { join } from 'node:path'
import { EmbeddedLog } from '../broker/embedded.ts'
import { decodeBurst } from '../core/burst.ts'
import { connect } from '../db/client.ts'
import { events, openDuckDB, requestsSql } from './duckdb.ts'
import { ndjsonOf } from './events.ts'
import { copyInto } from './postgres.ts'
import { ended } from './process.ts'

const THREADS = 2

/** What it took to make rows of a log. */
export interface Measured {
  requests: number
  /** From the start of the program to its end. */
  seconds: number
  /** Of its own process. */
  cpuSeconds: number
  peakMB: number
}

/**
 * The events of the embedded log in `folder`, as Parquet beside it. Not measured: whoever works so
 * has Parquet in the place of our log.
 */
export async function parquetOf(folder: string, partitions: number): Promise<string> {
  const [ndjson, parquet] = [join(folder, 'events.ndjson'), join(folder, 'events.parquet')]
  const file = Bun.file(ndjson).writer()
  const log = new EmbeddedLog({ folder, topics: { raw: { partitions } } })
  for (let partition = 0; partition < partitions; partition++) {
    for (let offset = 0; ; ) {
      const records = await log.read('raw', partition, offset, { waitMs: 0 })
      const last = records.at(-1)
      if (last === undefined) break
      for (const { value } of records)
        if (value.length > 0) file.write(ndjsonOf(decodeBurst(value)))
      offset = last.offset + 1
    }
  }
  log.close()
  await file.end()
  const duckdb = await openDuckDB(THREADS)
  await duckdb.run(`copy (from ${events.ndjson(ndjson)}) to '${parquet}' (format parquet)`)
  duckdb.closeSync()
  return parquet
}

/** Fills the table public.loaded of the database from Parquet, as a program of its own. */
export async function measureDuckDB(parquet: string, databaseUrl: string): Promise<Measured> {
  const sql = connect(databaseUrl, { max: 1 })
  await sql`create table public.loaded (like shelf.requests_1m including all)`
  const startMs = performance.now()
  const child = Bun.spawn([process.execPath, import.meta.path, parquet, databaseUrl], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const { cpuSeconds, peakMB } = await ended(child)
  const seconds = (performance.now() - startMs) / 1000
  const [row] = await sql<{ requests: number }[]>`
    select sum(requests)::float8 as requests from public.loaded`
  await sql`drop table public.loaded`
  await sql.end()
  return { requests: row?.requests ?? 0, seconds, cpuSeconds, peakMB }
}

/** Rows as COPY reads them. DuckDB writes them: JavaScript would be slower. */
function rowsSql(parquet: string): string {
  const histogram = (value: string): string => {
    const bins = `list_filter(map_keys(${value}), bin -> bin > -99999)`
    const counts = `list_transform(${bins}, bin -> ${value}[bin])`
    const list = (items: string): string => `'"{' || array_to_string(${items}, ',') || '}"'`
    return `'(' || coalesce(${value}[-99999], 0) || ',' || ${list(bins)} || ',' || ${list(counts)} || ',' ||
      ${value}_sum || ',' || ${value}_min || ',' || ${value}_max || ')'`
  }
  return `select concat_ws(chr(9), app, process, make_timestamp(minute * 60000000) || '+00', requests,
      to_json(status), ${histogram('service')}, ${histogram('connect')}, bytes) as line
    from (${requestsSql(events.parquet(parquet))})`
}

async function main(parquet: string, databaseUrl: string): Promise<void> {
  const duckdb = await openDuckDB(THREADS)
  const reader = await duckdb.runAndReadAll(rowsSql(parquet))
  const lines = reader.getColumns()[0] ?? []
  const sql = connect(databaseUrl, { max: 1 })
  await copyInto(sql, 'loaded', Buffer.from(`${lines.join('\n')}\n`))
  await sql.end()
}

const [parquet, databaseUrl] = process.argv.slice(2)
if (import.meta.main && parquet !== undefined && databaseUrl !== undefined) {
  await main(parquet, databaseUrl)
}
