/** Two times of an app beside each other: before and after a release, this week and the last. */
import type { Sql } from '../db/client.ts'
import { stepFor } from './range.ts'
import { type RequestStep, readRequests, readTotals, type Totals } from './read/requests.ts'
import { bucketsOf, type Span } from './read/span.ts'
import type { Column } from './view.ts'

const MINUTE_MS = 60_000
const WEEK_MS = 7 * 24 * 60 * MINUTE_MS

/** How long before and after a release, by the name in the URL. */
export const WINDOW_NAMES = ['30m', '2h', '24h'] as const

export type Window = (typeof WINDOW_NAMES)[number]

const WINDOW_MINUTES: Record<Window, number> = { '30m': 30, '2h': 120, '24h': 1440 }

export interface Period {
  label: string
  sinceMs: number
  untilMs: number
  totals: Totals
  /** Of it there is data, minutes, in whole steps. */
  knownMinutes: number
  /** By step, from the period's beginning. */
  p50: Column
  p95: Column
  /** Requests a minute. */
  throughput: Column
  /** The share that failed. */
  errors: Column
}

export interface Comparison {
  app: string
  stepMs: number
  /** Of each step: seconds since the beginning of its period. */
  elapsed: number[]
  before: Period
  after: Period
}

/** This week, from seven days ago until now, and the seven days before it. */
export async function compareWeeks(
  sql: Sql,
  app: string,
  nowMs: number,
  leastMs: number,
): Promise<Comparison> {
  const stepMs = stepFor(WEEK_MS, leastMs)
  const untilMs = Math.ceil(nowMs / stepMs) * stepMs
  return await compare(sql, app, stepMs, nowMs, [
    { label: 'the week before', sinceMs: untilMs - 2 * WEEK_MS, untilMs: untilMs - WEEK_MS },
    { label: 'the last 7 days', sinceMs: untilMs - WEEK_MS, untilMs },
  ])
}

/** As shelf.release_impact has it: the minute in which it was logged is in neither. */
export async function compareRelease(
  sql: Sql,
  app: string,
  releaseMs: number,
  window: Window,
  nowMs: number,
  leastMs: number,
): Promise<Comparison> {
  const spanMs = WINDOW_MINUTES[window] * MINUTE_MS
  const stepMs = stepFor(spanMs, leastMs)
  const minuteMs = Math.floor(releaseMs / MINUTE_MS) * MINUTE_MS
  const afterMs = minuteMs + MINUTE_MS
  return await compare(sql, app, stepMs, nowMs, [
    { label: 'before', sinceMs: minuteMs - spanMs, untilMs: minuteMs },
    { label: 'after', sinceMs: afterMs, untilMs: afterMs + spanMs },
  ])
}

type Times = Pick<Period, 'label' | 'sinceMs' | 'untilMs'>

async function compare(
  sql: Sql,
  app: string,
  stepMs: number,
  nowMs: number,
  [first, second]: [Times, Times],
): Promise<Comparison> {
  const [before, after] = await Promise.all([
    readPeriod(sql, { app, stepMs, ...first }, first.label, nowMs),
    readPeriod(sql, { app, stepMs, ...second }, second.label, nowMs),
  ])
  const steps = Math.round((first.untilMs - first.sinceMs) / stepMs)
  const elapsed = Array.from({ length: steps }, (_, i) => (i * stepMs) / 1000)
  return { app, stepMs, elapsed, before, after }
}

async function readPeriod(sql: Sql, span: Span, label: string, nowMs: number): Promise<Period> {
  // Steps are counted from 1970: those of a period that begins within one are by the minute.
  const isAligned = span.sinceMs % span.stepMs === 0
  const read = isAligned ? span : { ...span, stepMs: MINUTE_MS }
  const [rows, totals] = await Promise.all([
    readRequests(sql, read, undefined),
    readTotals(sql, read),
  ])
  const at = new Map(rows.map((row) => [row.bucket, row]))
  const time = bucketsOf(read)
  const column = (of: (row: RequestStep, i: number) => number | null): Column =>
    time.map((bucket, i) => {
      const row = at.get(bucket)
      return row === undefined ? null : of(row, i)
    })
  const minutes = (i: number): number =>
    Math.max(0.1, Math.min(read.stepMs, nowMs - (time[i] ?? 0) * 1000) / MINUTE_MS)
  return {
    label,
    sinceMs: span.sinceMs,
    untilMs: span.untilMs,
    totals,
    knownMinutes: time.reduce((sum, bucket, i) => sum + (at.has(bucket) ? minutes(i) : 0), 0),
    p50: column(({ p50 }) => p50),
    p95: column(({ p95 }) => p95),
    throughput: column(({ requests }, i) => requests / minutes(i)),
    errors: column(({ requests, failed }) => failed / requests),
  }
}
