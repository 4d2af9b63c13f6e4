/** What the messages of the lifelike app come to, minute by minute: for tests to compare with SQL. */
import { LEDGER_COUNTS, type LedgerCounts, minuteOf } from '../core/ledger.ts'
import type { DemoMessage, DemoPoint, DemoRequest } from './demo-line.ts'

export interface RequestTruth {
  requests: number
  status: Record<string, number>
  serviceMs: number[]
  connectMs: number[]
  bytes: number
}

export interface GaugeTruth {
  count: number
  sum: number
  min: number
  max: number
}

/**
 * By minute and what it is about, as text: `2026-11-23T03:20:00.000Z web`, and behind that, for
 * metrics, ` memory_rss` and the source, if it has one.
 */
export interface Truth {
  messages: number
  requests: Map<string, RequestTruth>
  gauges: Map<string, GaugeTruth>
  counters: Map<string, number>
  measures: Map<string, number[]>
  /** By minute alone. */
  ledger: Map<string, LedgerCounts>
}

export function emptyTruth(): Truth {
  return {
    messages: 0,
    requests: new Map(),
    gauges: new Map(),
    counters: new Map(),
    measures: new Map(),
    ledger: new Map(),
  }
}

/** The key of a row: its minute (any time in it), and the words that tell it from others. */
export function truthKey(timeMs: number, ...words: string[]): string {
  return [new Date(minuteOf(timeMs)).toISOString(), ...words].join(' ').trimEnd()
}

/** Takes a message that was sent. */
export function addMessage(truth: Truth, { timeMs, line }: DemoMessage): void {
  truth.messages += 1
  addToLedger(truth, timeMs, { received: 1, [line.verdict]: 1 })
  addToLedger(truth, timeMs, { unreadable: line.unreadable ?? 0 })
  if (line.loss !== undefined) {
    const { code, messages } = line.loss
    addToLedger(truth, timeMs, { [code === 'L10' ? 'lostL10' : 'lostL12']: messages })
  }
  if (line.request !== undefined) addRequest(truth, timeMs, line.request)
  for (const point of line.points) addPoint(truth, timeMs, point)
}

function addToLedger({ ledger }: Truth, timeMs: number, more: LedgerCounts): void {
  const counts = entry(ledger, truthKey(timeMs), (): LedgerCounts => ({}))
  for (const what of LEDGER_COUNTS) {
    const by = more[what] ?? 0
    if (by > 0) counts[what] = (counts[what] ?? 0) + by
  }
}

function addRequest(truth: Truth, timeMs: number, request: DemoRequest): void {
  const { process, status, serviceMs, connectMs, bytes, code } = request
  const row = entry(truth.requests, truthKey(timeMs, process), () => ({
    requests: 0,
    status: {},
    serviceMs: [],
    connectMs: [],
    bytes: 0,
  }))
  row.requests += 1
  row.status[status] = (row.status[status] ?? 0) + 1
  row.bytes += bytes ?? 0
  if (serviceMs !== undefined) row.serviceMs.push(serviceMs)
  if (connectMs !== undefined) row.connectMs.push(connectMs)
  if (code !== undefined) addCount(truth, truthKey(timeMs, process, code), 1)
}

function addPoint(truth: Truth, timeMs: number, point: DemoPoint): void {
  const { kind, process, name, source, value } = point
  const key = truthKey(timeMs, process, name, source)
  if (kind === 'counter') {
    addCount(truth, key, value)
  } else if (kind === 'measure') {
    entry(truth.measures, key, () => []).push(value)
  } else {
    const row = entry(truth.gauges, key, () => ({
      count: 0,
      sum: 0,
      min: Number.POSITIVE_INFINITY,
      max: Number.NEGATIVE_INFINITY,
    }))
    row.count += 1
    row.sum += value
    row.min = Math.min(row.min, value)
    row.max = Math.max(row.max, value)
  }
}

function addCount({ counters }: Truth, key: string, by: number): void {
  counters.set(key, (counters.get(key) ?? 0) + by)
}

/** The row of a key, made where there is none. */
function entry<Row>(rows: Map<string, Row>, key: string, make: () => Row): Row {
  const row = rows.get(key) ?? make()
  rows.set(key, row)
  return row
}
