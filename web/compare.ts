/** Two times of an app beside each other: before and after a release, this week and the last. */
import type { Sql } from '../db/client.ts'
import { stepFor } from './range.ts'
import { type RequestStep, readRequests, readTotals, type Totals } from './read/requests.ts'
import { bucketsOf, type Span } from './read/span.ts'
import { type LedgerStep, readLedger } from './read/truth.ts'
import type { Column } from './view.ts'

const MINUTE_MS = 60_000
/** Of less than this a rate says little. */
const RATE_MS_MIN = 10_000
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
  /** 0 to 1, of the messages that were sent; null where it is not known. */
  completeness: number | null
  /** Of it there is data, minutes, in whole steps. */
  knownMinutes: number
  /** Where each step begins, seconds since 1970. */
  time: number[]
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
  return await compare(sql, app, { stepMs, unitMs: stepMs }, nowMs, [
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
  // Of what is far back only coarser steps are kept: then it is the step in which it was logged.
  const unitMs = Math.max(MINUTE_MS, leastMs)
  const spanMs = Math.max(WINDOW_MINUTES[window] * MINUTE_MS, unitMs)
  const startMs = Math.floor(releaseMs / unitMs) * unitMs
  const afterMs = startMs + unitMs
  return await compare(sql, app, { stepMs: stepFor(spanMs, unitMs), unitMs }, nowMs, [
    { label: 'before', sinceMs: startMs - spanMs, untilMs: startMs },
    { label: 'after', sinceMs: afterMs, untilMs: afterMs + spanMs },
  ])
}

type Times = Pick<Period, 'label' | 'sinceMs' | 'untilMs'>

interface Steps {
  stepMs: number
  /** Of a period that does not begin with a step. */
  unitMs: number
}

async function compare(
  sql: Sql,
  app: string,
  { stepMs, unitMs }: Steps,
  nowMs: number,
  times: [Times, Times],
): Promise<Comparison> {
  // Steps are counted from 1970. Both periods have the same ones, so that they lie over each other.
  const isAligned = times.every(({ sinceMs }) => sinceMs % stepMs === 0)
  const read = isAligned ? stepMs : unitMs
  const [before, after] = await Promise.all(
    times.map(({ label, ...span }) =>
      readPeriod(sql, { app, stepMs: read, ...span }, label, nowMs),
    ),
  )
  if (before === undefined || after === undefined) throw new Error('two periods are compared')
  return { app, stepMs: read, elapsed: before.time.map((_, i) => (i * read) / 1000), before, after }
}

async function readPeriod(sql: Sql, span: Span, label: string, nowMs: number): Promise<Period> {
  const [rows, totals, ledger] = await Promise.all([
    readRequests(sql, span, undefined),
    readTotals(sql, span),
    readLedger(sql, span),
  ])
  const at = new Map(rows.map((row) => [row.bucket, row]))
  const known = new Set(rows.map(({ bucket }) => bucket))
  for (const { bucket, received } of ledger) if (received > 0) known.add(bucket)
  const time = bucketsOf(span)
  const minutes = (bucket: number): number =>
    Math.max(0.1, Math.min(span.stepMs, nowMs - bucket * 1000) / MINUTE_MS)
  // Of the step that has not passed, the newest rows are on their way: its beginning is no fall.
  const isRated = (bucket: number): boolean =>
    known.has(bucket) && nowMs - bucket * 1000 >= Math.min(span.stepMs, RATE_MS_MIN)
  const column = (of: (row: RequestStep) => number | null): Column =>
    time.map((bucket) => {
      const row = at.get(bucket)
      return row === undefined ? null : of(row)
    })
  return {
    label,
    sinceMs: span.sinceMs,
    untilMs: span.untilMs,
    totals,
    completeness: completenessOf(ledger),
    knownMinutes: time.reduce((sum, each) => sum + (known.has(each) ? minutes(each) : 0), 0),
    time,
    p50: column(({ p50 }) => p50),
    p95: column(({ p95 }) => p95),
    throughput: time.map((bucket) =>
      isRated(bucket) ? (at.get(bucket)?.requests ?? 0) / minutes(bucket) : null,
    ),
    errors: column(({ requests, failed }) => (requests === 0 ? null : failed / requests)),
  }
}

/** As shelf.request_stats has it of one step; null where nothing is known, or not how much is missing. */
function completenessOf(ledger: readonly LedgerStep[]): number | null {
  if (ledger.some(({ isUnknown }) => isUnknown)) return null
  let [read, sent] = [0, 0]
  for (const { received, malformed, lostUpstream, lostHere } of ledger) {
    read += received - malformed
    sent += received + lostUpstream + lostHere
  }
  return sent === 0 ? null : read / sent
}
