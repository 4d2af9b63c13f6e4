/**
 * Decoding and folding the raw log on one core, as `shelf aggregate` does, beside DuckDB doing the
 * same group-by with the same bins over the same events. By CPU time. Ours reads base64, as the log
 * has it over HTTP; the log itself and JSON are left out, as reading the file is not for DuckDB.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chunk, PartitionAggregator, type RawRecord } from '../core/aggregate.ts'
import { encodeBurst } from '../core/burst.ts'
import { cpuClock, medians } from './compare.ts'
import { events, openDuckDB, requestsSql } from './duckdb.ts'
import { makeBursts, ndjsonOf, REQUESTS_A_BURST } from './events.ts'
import type { BenchOptions, Figure } from './run.ts'

const REQUESTS = 500_000
const APPS = 100

/** Of the partition: chunks are of 2 s of log time. */
const RATE = 50_000

const REQUESTS_PER_S_MIN = 20_000_000
const RATIO_MIN = 3
const BYTES_MAX = 14
const SECONDS_MAX = 40

export async function benchAggregate({ seconds }: BenchOptions): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  const [ndjson, parquet] = [join(folder, 'events.ndjson'), join(folder, 'events.parquet')]
  try {
    const { records, bytes } = await makeEvents(ndjson)
    const duckdb = await openDuckDB(1)
    await duckdb.run(`copy (from ${events.ndjson(ndjson)}) to '${parquet}' (format parquet)`)
    const ask = async (source: string): Promise<number> => {
      const reader = await duckdb.runAndReadAll(requestsSql(source))
      return reader.getRowObjects().reduce((sum, { requests }) => sum + Number(requests), 0)
    }
    const ways = {
      ours: () => check(aggregate(records)),
      parquet: async () => check(await ask(events.parquet(parquet))),
      ndjson: async () => check(await ask(events.ndjson(ndjson))),
    }
    const forMs = Math.min(seconds, SECONDS_MAX) * 1000
    const took = await medians(ways, { forMs, clock: cpuClock, warmUpRuns: 3 })
    duckdb.closeSync()
    return [
      figure('aggregate, DuckDB on Parquet', took.ours, took.parquet),
      { ...figure('aggregate, DuckDB on NDJSON', took.ours, took.ndjson), target: '-', met: true },
      {
        name: 'bytes of a request in the raw topic, of its line',
        unit: 'bytes',
        ours: Number((bytes / REQUESTS).toFixed(1)),
        theirs: null,
        ratio: null,
        target: `at most ${BYTES_MAX}`,
        met: bytes / REQUESTS <= BYTES_MAX,
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The raw log's records, and the same events as NDJSON in a file. */
async function makeEvents(path: string): Promise<{ records: RawRecord[]; bytes: number }> {
  const sinceMs = Date.UTC(2026, 0, 1)
  const wanted = { apps: APPS, requests: REQUESTS, rate: RATE, seed: 1, sinceMs }
  const file = Bun.file(path).writer()
  const records: RawRecord[] = []
  let bytes = 0
  for (const burst of makeBursts(wanted)) {
    file.write(ndjsonOf(burst))
    const value = encodeBurst(burst)
    bytes += value.length
    records.push({
      ...{ offset: records.length, timestamp: burst.receivedAtMs, key: burst.app },
      value: value.toBase64(),
    })
  }
  await file.end()
  // A record that closes the last chunk.
  const timestamp = sinceMs + (REQUESTS / RATE) * 1000 + 60_000
  records.push({ offset: records.length, timestamp, key: null, value: '' })
  return { records, bytes }
}

/** Makes the cells of all chunks. Returns how many requests are in them. */
export function aggregate(records: readonly RawRecord[]): number {
  const aggregator = new PartitionAggregator()
  let requests = 0
  for (const record of records) {
    const chunk = aggregator.push(record)
    if (chunk !== undefined) requests += requestsIn(chunk)
  }
  return requests
}

function requestsIn({ cells }: Chunk): number {
  let sum = 0
  for (const { requests } of cells.requests.values()) sum += requests
  return sum
}

function check(requests: number): void {
  const all = Math.ceil(REQUESTS / REQUESTS_A_BURST) * REQUESTS_A_BURST
  if (requests !== all) throw new Error(`${requests} requests were counted, of ${all}`)
}

function figure(name: string, oursMs: number, theirsMs: number): Figure {
  const perSecond = (ms: number): number => Math.round((REQUESTS / ms) * 1000)
  const ratio = theirsMs / oursMs
  return {
    name,
    unit: 'requests/s',
    ours: perSecond(oursMs),
    theirs: perSecond(theirsMs),
    ratio: Number(ratio.toFixed(2)),
    target: `at least ${REQUESTS_PER_S_MIN}/s and ${RATIO_MIN} times theirs`,
    met: perSecond(oursMs) >= REQUESTS_PER_S_MIN && ratio >= RATIO_MIN,
  }
}
