/** Arbitrary raw logs of one partition for the tests of core/, and their aggregation. */
import fc from 'fast-check'
import { PartitionAggregator, type RawRecord } from '../core/aggregate.ts'
import { type AggregateRecord, toAggregateRecords } from '../core/aggregate-record.ts'
import { ABSENT, type Burst, encodeBurst, requestColumns } from '../core/burst.ts'
import { startsChunk } from '../core/chunk.ts'
import { DEDUPE_MS, DEDUPE_OFFSETS } from '../core/dedupe.ts'
import type { LedgerCounts } from '../core/ledger.ts'
import type { Signals } from '../core/signals.ts'
import { arbitraryMeetingSignals } from './arbitraries.ts'

/** A raw record, and the burst that it holds; a tick and what cannot be read hold none. */
export interface LogEntry {
  record: RawRecord
  burst?: Burst
}

const LOG_START_MS = Date.UTC(2025, 10, 22, 8)

/** Few ids, so that bursts come again. */
const IDS = Array.from({ length: 12 }, (_, i) => i.toString(16).padStart(32, '0'))

const smallCount = fc.integer({ min: 0, max: 5 })

/** Counts that balance, and what was lost upstream. */
const arbitraryCounts = fc
  .record({
    kept: smallCount,
    ignoredOutput: smallCount,
    ignoredUnknown: smallCount,
    malformed: smallCount,
    future: smallCount,
    lostL10: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1000 })),
    lostL12: smallCount,
  })
  .map((counts): LedgerCounts => {
    const { kept, ignoredOutput, ignoredUnknown, malformed } = counts
    const all = { ...counts, received: kept + ignoredOutput + ignoredUnknown + malformed }
    return Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0))
  })

const arbitraryRow = fc.record({
  process: fc.constantFrom('web', 'worker', 'web-é'),
  code: fc.constantFrom(undefined, 'H12', 'H10'),
  minute: fc.integer({ min: -3, max: 0 }),
  serviceMs: fc.oneof(fc.constant(ABSENT), fc.integer({ min: 0, max: 30_000 })),
  connectMs: fc.oneof(fc.constant(ABSENT), fc.integer({ min: 0, max: 50 })),
  status: fc.constantFrom(ABSENT, 200, 304, 503),
  bytes: fc.integer({ min: ABSENT, max: 100_000 }),
})

const arbitraryContent = fc.record({
  id: fc.constantFrom(...IDS),
  app: fc.constantFrom('demo', 'shop'),
  rows: fc.array(arbitraryRow, { maxLength: 6 }),
  signals: arbitraryMeetingSignals,
  ledger: fc.uniqueArray(fc.tuple(fc.integer({ min: -3, max: 0 }), arbitraryCounts), {
    selector: ([minute]) => minute,
    maxLength: 3,
  }),
})

function burstOf(
  content: typeof arbitraryContent extends fc.Arbitrary<infer Content> ? Content : never,
  receivedAtMs: number,
): Burst {
  const { id, app, rows, ledger, signals } = content
  const minuteMs = Math.floor(receivedAtMs / 60_000) * 60_000
  const requests = requestColumns(rows.length)
  requests.processes = [...new Set(rows.map(({ process }) => process))]
  requests.codes = [...new Set(rows.flatMap(({ code }) => code ?? []))]
  rows.forEach((row, i) => {
    requests.timeMs[i] = minuteMs + row.minute * 60_000 + i
    requests.serviceMs[i] = row.serviceMs
    requests.connectMs[i] = row.connectMs
    requests.status[i] = row.status
    requests.bytes[i] = row.bytes
    requests.process[i] = requests.processes.indexOf(row.process)
    requests.code[i] = row.code === undefined ? ABSENT : requests.codes.indexOf(row.code)
  })
  const minutes = ledger.map(([minute, counts]): [number, LedgerCounts] => [
    minuteMs + minute * 60_000,
    counts,
  ])
  return {
    id,
    app,
    drain: 'heroku',
    receivedAtMs,
    ledger: new Map(minutes),
    requests,
    signals: later(signals, minuteMs),
  }
}

function later({ points, markers, dynos }: Signals, byMs: number): Signals {
  return {
    points: points.map((point) => ({ ...point, timeMs: point.timeMs + byMs })),
    markers: markers.map((marker) => ({ ...marker, timeMs: marker.timeMs + byMs })),
    dynos: dynos.map((sighting) => ({ ...sighting, timeMs: sighting.timeMs + byMs })),
  }
}

/** How far a record lies behind the one before it: near, beyond a chunk, beyond the window. */
const arbitraryStep = fc.record({
  offsets: fc.oneof(
    { weight: 20, arbitrary: fc.constant(1) },
    { weight: 2, arbitrary: fc.integer({ min: 2, max: 5000 }) },
    { weight: 1, arbitrary: fc.constantFrom(DEDUPE_OFFSETS, DEDUPE_OFFSETS + 1) },
  ),
  ms: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 0, max: 900 }) },
    { weight: 4, arbitrary: fc.integer({ min: 2000, max: 500_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(DEDUPE_MS, DEDUPE_MS + 1) },
  ),
  content: fc.oneof(
    { weight: 10, arbitrary: arbitraryContent },
    { weight: 1, arbitrary: fc.constant('tick' as const) },
    { weight: 1, arbitrary: fc.constant('unreadable' as const) },
  ),
  asText: fc.boolean(),
})

/** Logs with offsets that ascend and log times that do not descend. */
export const arbitraryLog: fc.Arbitrary<LogEntry[]> = fc
  .array(arbitraryStep, { maxLength: 40, size: 'max' })
  .map((steps) => {
    let offset = 4000
    let timestamp = LOG_START_MS
    return steps.map(({ offsets, ms, content, asText }): LogEntry => {
      offset += offsets
      timestamp += ms
      const at = { offset, timestamp }
      if (content === 'tick') return { record: { ...at, key: null, value: '' } }
      if (content === 'unreadable') return { record: { ...at, key: 'shop', value: 'AQ==' } }
      const burst = burstOf(content, timestamp)
      const bytes = encodeBurst(burst)
      const value = asText ? bytes.toBase64() : bytes
      return { record: { ...at, key: burst.app, value }, burst }
    })
  })

/** Where the chunks of a log start, as indexes. */
export function chunkStarts(log: readonly LogEntry[]): number[] {
  return [...log.keys()].filter((i) => {
    const { record } = log[i] ?? {}
    return record !== undefined && startsChunk(record, log[i - 1]?.record)
  })
}

/**
 * What an aggregator writes that starts at `from`, knowing no more of what was before than lies in
 * the window of duplicates, and stops having read `to`.
 */
export function aggregated(log: readonly LogEntry[], from = 0, to = log.length): AggregateRecord[] {
  const aggregator = new PartitionAggregator()
  const place = log[from]?.record
  const before = log[from - 1]?.record
  for (const { record } of log.slice(0, from)) {
    const near = place !== undefined && place.offset - record.offset <= DEDUPE_OFFSETS
    const recent = before !== undefined && before.timestamp - record.timestamp <= DEDUPE_MS
    if (near && recent) aggregator.remember(record)
  }
  return log.slice(from, to).flatMap(({ record }) => {
    const chunk = aggregator.push(record)
    return chunk === undefined ? [] : toAggregateRecords(3, chunk)
  })
}
