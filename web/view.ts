/**
 * All that the page of an app shows, by column, so that it is small and drawn as it is. The numbers
 * are those of the SQL functions. null is a gap: nothing is known of that step. 0 is a step of which
 * messages came, and none of them was this.
 */
import { MINUTE_MS } from '../core/ledger.ts'
import type { Sql } from '../db/client.ts'
import type { Range } from './range.ts'
import { readIncidentMarkers } from './read/incidents.ts'
import { type Marker, readMarkers } from './read/markers.ts'
import { type RequestStep, readRequests } from './read/requests.ts'
import { type ErrorStep, type GaugeSeries, readErrors, readGauges } from './read/signals.ts'
import { bucketsOf, type Span } from './read/span.ts'
import { type Facts, type LedgerStep, type Loss, lossesOf, readLedger } from './read/truth.ts'

/** Up to here losses are told by the minute, else by the step. */
const LOSS_MINUTES_SPAN_MS_MAX = 3 * 86_400_000

const MEMORY = ['memory_total', 'memory_rss', 'memory_swap', 'memory_quota']
const LOAD = ['load_avg_1m']

export type Column = (number | null)[]

export interface View {
  app: string
  /** Unix ms. */
  sinceMs: number
  untilMs: number
  stepMs: number
  nowMs: number
  /** `24h`, where the range ends now; null where it is fixed. */
  relative: string | null
  lastAtMs: number | null
  process: string | null
  processes: string[]
  /** Where each step begins, seconds since 1970: what all columns are along. */
  time: number[]
  /** How much of each step has passed, seconds: rates are by it. */
  seconds: number[]
  requests: Record<'requests' | 'failed' | 'timed' | 'p50' | 'p95' | 'p99' | 'max' | 'mean', Column>
  /** By status code; `none`: without one. */
  status: Record<string, Column>
  /** Of each step: row and count, by turns. */
  heat: number[][]
  errors: { code: string; level: string; counts: Column }[]
  /** By process type. */
  memory: Record<string, Record<'mean' | 'max' | 'rss' | 'swap' | 'quota', Column>>
  load: Record<string, Record<'mean' | 'max', Column>>
  completeness: Column
  /** Whether messages came, by step. */
  isKnown: boolean[]
  losses: Loss[]
  markers: Marker[]
}

export async function readView(
  sql: Sql,
  app: string,
  range: Range,
  facts: Facts,
  process?: string,
): Promise<View> {
  const span = { app, ...range }
  const [requests, errors, gauges, { ledger, losses }, markers, incidents] = await Promise.all([
    readRequests(sql, span, process),
    readErrors(sql, span, process),
    readGauges(sql, span, [...MEMORY, ...LOAD], process),
    readTruth(sql, span),
    readMarkers(sql, span),
    readIncidentMarkers(sql, span),
  ])
  const time = bucketsOf(range)
  const at = new Map(time.map((bucket, i) => [bucket, i]))
  const known = new Set(ledger.filter(({ received }) => received > 0).map(({ bucket }) => bucket))
  for (const { bucket } of requests) known.add(bucket)
  const isKnown = time.map((bucket) => known.has(bucket))
  const grid: Grid = { at, isKnown }
  return {
    app,
    sinceMs: range.sinceMs,
    untilMs: range.untilMs,
    stepMs: range.stepMs,
    nowMs: facts.nowMs,
    relative: range.relative ?? null,
    lastAtMs: facts.lastAtMs,
    process: process ?? null,
    processes: facts.processes,
    time,
    seconds: secondsOf(time, range.stepMs, facts),
    requests: requestColumns(grid, requests),
    status: statusColumns(grid, requests),
    heat: heatColumn(grid, requests),
    errors: errorColumns(grid, errors),
    memory: memoryColumns(grid, gauges),
    load: loadColumns(grid, gauges),
    completeness: sparse(grid, ledger, ({ completeness }) => completeness),
    isKnown,
    losses,
    markers: [...markers, ...incidents].sort((a, b) => a.time - b.time),
  }
}

/** Losses are told by the minute where that is no long list; mostly there are none to look up. */
async function readTruth(sql: Sql, span: Span): Promise<{ ledger: LedgerStep[]; losses: Loss[] }> {
  const ledger = await readLedger(sql, span)
  const losses = lossesOf(ledger, span.stepMs)
  const isShort = span.untilMs - span.sinceMs <= LOSS_MINUTES_SPAN_MS_MAX
  if (losses.length === 0 || !isShort || span.stepMs <= MINUTE_MS) return { ledger, losses }
  const minutes = await readLedger(sql, { ...span, stepMs: MINUTE_MS })
  return { ledger, losses: lossesOf(minutes, MINUTE_MS) }
}

interface Grid {
  /** The place of a step. */
  at: ReadonlyMap<number, number>
  isKnown: readonly boolean[]
}

/** A column of gaps, with what there is in its place. */
function sparse<Row extends { bucket: number }>(
  { at, isKnown }: Grid,
  rows: readonly Row[],
  read: (row: Row) => number | null,
): Column {
  const column: Column = isKnown.map(() => null)
  for (const row of rows) {
    const i = at.get(row.bucket)
    if (i !== undefined) column[i] = read(row)
  }
  return column
}

/** The same of counts: where messages came and none was counted, it is 0. */
function counts<Row extends { bucket: number }>(
  grid: Grid,
  rows: readonly Row[],
  read: (row: Row) => number,
): Column {
  return sparse(grid, rows, read).map((value, i) => value ?? (grid.isKnown[i] ? 0 : null))
}

function requestColumns(grid: Grid, rows: RequestStep[]): View['requests'] {
  const column = (name: 'p50' | 'p95' | 'p99' | 'max' | 'mean') =>
    sparse(grid, rows, (row) => row[name])
  return {
    requests: counts(grid, rows, (row) => row.requests),
    failed: counts(grid, rows, (row) => row.failed),
    timed: counts(grid, rows, (row) => row.timed),
    p50: column('p50'),
    p95: column('p95'),
    p99: column('p99'),
    max: column('max'),
    mean: column('mean'),
  }
}

function statusColumns(grid: Grid, rows: RequestStep[]): View['status'] {
  const codes = new Set(rows.flatMap(({ status }) => Object.keys(status)))
  const columns: View['status'] = {}
  for (const code of [...codes].sort()) {
    columns[code] = counts(grid, rows, ({ status }) => status[code] ?? 0)
  }
  const without = counts(grid, rows, ({ requests, status }) =>
    Object.values(status).reduce((left, n) => left - n, requests),
  )
  if (without.some((n) => n !== null && n > 0)) columns.none = without
  return columns
}

function heatColumn({ at, isKnown }: Grid, rows: RequestStep[]): number[][] {
  const column: number[][] = isKnown.map(() => [])
  for (const { bucket, heat } of rows) {
    const i = at.get(bucket)
    if (i !== undefined) column[i] = heat
  }
  return column
}

function errorColumns(grid: Grid, rows: ErrorStep[]): View['errors'] {
  return [...Map.groupBy(rows, ({ code }) => code)].map(([code, steps]) => ({
    code,
    level: steps[0]?.level ?? 'warning',
    counts: counts(grid, steps, ({ errors }) => errors),
  }))
}

/** By process type, what a step of a gauge has. */
function gaugesBy(grid: Grid, gauges: GaugeSeries[], names: readonly string[]) {
  const ours = gauges.filter(({ name }) => names.includes(name))
  return [...Map.groupBy(ours, ({ process }) => process)].map(([process, members]) => {
    const of = (name: string, what: 'means' | 'highs'): Column => {
      const column: Column = grid.isKnown.map(() => null)
      const gauge = members.find((member) => member.name === name)
      for (const [k, bucket] of (gauge?.buckets ?? []).entries()) {
        const i = grid.at.get(bucket)
        if (i !== undefined) column[i] = gauge?.[what][k] ?? null
      }
      return column
    }
    return { process, of }
  })
}

function memoryColumns(grid: Grid, gauges: GaugeSeries[]): View['memory'] {
  const columns: View['memory'] = {}
  for (const { process, of } of gaugesBy(grid, gauges, MEMORY)) {
    columns[process] = {
      mean: of('memory_total', 'means'),
      max: of('memory_total', 'highs'),
      rss: of('memory_rss', 'means'),
      swap: of('memory_swap', 'highs'),
      quota: of('memory_quota', 'highs'),
    }
  }
  return columns
}

function loadColumns(grid: Grid, gauges: GaugeSeries[]): View['load'] {
  const columns: View['load'] = {}
  for (const { process, of } of gaugesBy(grid, gauges, LOAD)) {
    columns[process] = { mean: of('load_avg_1m', 'means'), max: of('load_avg_1m', 'highs') }
  }
  return columns
}

/** The last step has not passed yet: up to where messages came, at most up to now. */
function secondsOf(time: readonly number[], stepMs: number, { nowMs, lastAtMs }: Facts): number[] {
  const end = Math.min(nowMs, Math.max(lastAtMs ?? nowMs, 0)) / 1000
  return time.map((bucket) => {
    const passed = Math.min(stepMs / 1000, end - bucket)
    return passed > 0 ? Math.round(passed * 10) / 10 : stepMs / 1000
  })
}
