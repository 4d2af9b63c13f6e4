/**
 * Requests of an app by step, all process types together or one. Histograms of process types are
 * merged here, by the code that made them: it takes a fraction of what PostgreSQL would need.
 */
import {
  countOf,
  emptyHistogram,
  fromSparse,
  type Histogram,
  merge,
  quantile,
} from '../../core/histogram.ts'
import type { Sql } from '../../db/client.ts'
import { histogramFromText } from '../../db/schema.ts'
import { bucketSeconds, ofProcess, type Span, times } from './span.ts'

/** Bins of a row of the heat map: a quarter of a doubling. */
const HEAT_BINS = 8

/** Of 1d, 1h, 10m, 1m. */
const TIER_STEPS_MS = [86_400_000, 3_600_000, 600_000, 60_000]

/** Of some requests. Times of service, ms, null where none had one. */
export interface Totals {
  requests: number
  /** 5xx or without a status. */
  failed: number
  /** How many had a service time: what the percentiles are of. */
  timed: number
  p50: number | null
  p95: number | null
  p99: number | null
  max: number | null
  mean: number | null
  status: Record<string, number>
  /** Row of the heat map and count, by turns, ascending. -1: 0 ms. */
  heat: number[]
}

/** One step. */
export interface RequestStep extends Totals {
  /** Seconds since 1970. */
  bucket: number
}

interface Row {
  bucket: number
  requests: number
  status: Record<string, number>
  service: string
}

/** @param process of this type only; undefined: of all, merged */
export async function readRequests(
  sql: Sql,
  span: Span,
  process: string | undefined,
): Promise<RequestStep[]> {
  const rows = await readRows(sql, span, process)
  const stepSeconds = span.stepMs / 1000
  const groups = Map.groupBy(rows, ({ bucket }) => Math.floor(bucket / stepSeconds) * stepSeconds)
  return [...groups].map(([bucket, members]) => ({ bucket, ...totalsOf(members) }))
}

/** All requests of a span in one. */
export async function readTotals(sql: Sql, span: Span): Promise<Totals> {
  return totalsOf(await readRows(sql, span, undefined))
}

/** As the tiers have them: PostgreSQL merges only what no tier has merged before. */
async function readRows(sql: Sql, span: Span, process: string | undefined): Promise<Row[]> {
  const stepMs = TIER_STEPS_MS.find((tierMs) => span.stepMs % tierMs === 0) ?? span.stepMs
  return await sql<Row[]>`
    select ${bucketSeconds(sql)} as bucket, requests, status, service
    from shelf.requests_at(array[${span.app}], ${times(sql, { ...span, stepMs })})
    where ${ofProcess(sql, process)}
    order by 1`
}

function totalsOf(rows: readonly Row[]): Totals {
  const [service = emptyHistogram(), ...others] = rows.map((row) =>
    fromSparse(histogramFromText(row.service)),
  )
  for (const other of others) merge(service, other)
  const status: Record<string, number> = {}
  let [requests, ok] = [0, 0]
  for (const row of rows) {
    requests += row.requests
    for (const [code, n] of Object.entries(row.status)) {
      status[code] = (status[code] ?? 0) + n
      if (Number(code) < 500) ok += n
    }
  }
  const timed = countOf(service)
  return {
    requests,
    failed: requests - ok,
    timed,
    p50: quantile(service, 0.5) ?? null,
    p95: quantile(service, 0.95) ?? null,
    p99: quantile(service, 0.99) ?? null,
    max: timed === 0 ? null : service.max,
    mean: timed === 0 ? null : service.sum / timed,
    status,
    heat: heatOf(service),
  }
}

function heatOf({ zero, first, counts }: Histogram): number[] {
  const heat = zero > 0 ? [-1, zero] : []
  let row = -2
  for (let k = 0; k < counts.length; k++) {
    const count = counts[k] ?? 0
    if (count === 0) continue
    // Below 1 ms nobody needs to tell: rows are whole numbers from 0 on.
    const at = Math.max(0, Math.floor((first + k) / HEAT_BINS))
    if (at === row) heat[heat.length - 1] = (heat.at(-1) ?? 0) + count
    else heat.push(at, count)
    row = at
  }
  return heat
}
