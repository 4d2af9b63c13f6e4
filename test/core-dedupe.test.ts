import { describe, expect, test } from 'bun:test'
import { PartitionAggregator } from '../core/aggregate.ts'
import { ABSENT, type Burst, encodeBurst, requestColumns } from '../core/burst.ts'
import type { Position } from '../core/chunk.ts'
import { DEDUPE_MS, DEDUPE_OFFSETS, DedupeWindow } from '../core/dedupe.ts'
import { countOf } from '../core/histogram.ts'
import { addCounts, type LedgerCounts } from '../core/ledger.ts'
import { emptySignals, type Signals } from '../core/signals.ts'

const MINUTE = Date.UTC(2025, 10, 22, 8)

const AT = { timeMs: MINUTE, process: 'web', name: 'load_avg_1m', source: '' }

/** One of each kind. */
const SIGNALS: Signals = {
  points: [
    { ...AT, kind: 'gauge', value: 0.5 },
    { ...AT, kind: 'counter', value: 1 },
    { ...AT, kind: 'measure', value: 4 },
  ],
  markers: [{ timeMs: MINUTE, kind: 'release', process: '', dyno: '', text: 'v7', by: '' }],
  dynos: [{ timeMs: MINUTE, dyno: 'web.1', instance: 'a-1' }],
}

/** A try of a burst with two requests and one line of the app's own. */
function attempt(change: Partial<Burst> = {}, lostL10 = 0): Burst {
  const requests = { ...requestColumns(2), processes: ['web'] }
  requests.timeMs.fill(MINUTE)
  requests.serviceMs.set([5, 700])
  requests.status.fill(200)
  requests.code.fill(ABSENT)
  // An L10 line is a message too: the resend that has one is longer.
  const counts: LedgerCounts =
    lostL10 === 0
      ? { received: 3, kept: 2, ignoredOutput: 1 }
      : { received: 4, kept: 3, ignoredOutput: 1, lostL10 }
  const ledger = new Map([[MINUTE, counts]])
  const id = 'ab'.repeat(16)
  const burst = { id, app: 'demo', drain: 'heroku', receivedAtMs: MINUTE, ledger, requests }
  return { ...burst, signals: SIGNALS, ...change }
}

/** What bursts at these places of one partition add up to; of each kind of signal how many. */
function counted(...log: [Position, Burst][]): LedgerCounts & Record<string, number> {
  const aggregator = new PartitionAggregator()
  const [last] = log.at(-1) ?? [{ offset: 0, timestamp: 0 }]
  const end = { offset: last.offset + 1, timestamp: last.timestamp + 2000 }
  const records = log.map(([at, burst]) => ({ ...at, key: burst.app, value: encodeBurst(burst) }))
  const sum: LedgerCounts = {}
  const values = { requests: 0, gauges: 0, counters: 0, measures: 0 }
  for (const record of [...records, { ...end, key: null, value: '' }]) {
    const cells = aggregator.push(record)?.cells
    for (const row of cells?.ledger.values() ?? []) addCounts(sum, row.counts)
    for (const cell of cells?.requests.values() ?? []) values.requests += cell.requests
    for (const cell of cells?.gauges.values() ?? []) values.gauges += cell.count
    for (const cell of cells?.counters.values() ?? []) values.counters += cell.sum
    for (const cell of cells?.measures.values() ?? []) values.measures += countOf(cell.histogram)
  }
  return { ...sum, ...values }
}

const at = (offset: number, timestamp = MINUTE): Position => ({ offset, timestamp })

const SIGNALS_ONCE = { gauges: 1, counters: 1, measures: 1 }
const ONCE = { requests: 2, ...SIGNALS_ONCE, received: 3, kept: 2, ignoredOutput: 1 }
const SIGNALS_TWICE = { gauges: 2, counters: 2, measures: 2 }
const TWICE = { requests: 4, ...SIGNALS_TWICE, received: 6, kept: 4, ignoredOutput: 2 }
const RESENT = { ...ONCE, received: 6, duplicates: 3 }

describe('a resent burst', () => {
  test('is counted once, and its messages as duplicates', () => {
    expect(counted([at(0), attempt()])).toEqual(ONCE)
    expect(counted([at(0), attempt()], [at(1), attempt()])).toEqual(RESENT)
  })

  test('is counted once also in another chunk', () => {
    expect(counted([at(0), attempt()], [at(5000, MINUTE + 10_000), attempt()])).toEqual(RESENT)
  })

  test('is counted once however often it comes', () => {
    const tries = Array.from({ length: 10 }, (_, i): [Position, Burst] => [at(i), attempt()])
    expect(counted(...tries)).toEqual({ ...ONCE, received: 30, duplicates: 27 })
  })

  test('whose body differs is still the same: the id alone counts', () => {
    const shorter = attempt({ requests: requestColumns(0), signals: emptySignals() })
    expect(counted([at(0), attempt()], [at(1), shorter])).toEqual(RESENT)
  })

  test('another id, with the same body, is another burst', () => {
    expect(counted([at(0), attempt()], [at(1), attempt({ id: 'cd'.repeat(16) })])).toEqual(TWICE)
  })

  test.each([
    ['15 minutes later', at(1, MINUTE + DEDUPE_MS), RESENT],
    ['later than 15 minutes', at(1, MINUTE + DEDUPE_MS + 1), TWICE],
    ['131,072 offsets later', at(DEDUPE_OFFSETS), RESENT],
    ['more than 131,072 offsets later', at(DEDUPE_OFFSETS + 1), TWICE],
  ])('%s counts as the window says', (_when, later, expected) => {
    expect(counted([at(0), attempt()], [later, attempt()])).toEqual(expected)
  })

  test('is a duplicate of the try before it, also where the first has left the window', () => {
    const step = DEDUPE_MS - 1
    expect(
      counted(
        [at(0), attempt()],
        [at(1, MINUTE + step), attempt()],
        [at(2, MINUTE + 2 * step), attempt()],
      ),
    ).toEqual({ ...ONCE, received: 9, duplicates: 6 })
  })
})

describe('a resend with an L10 line that the first try lacked', () => {
  test('adds just that loss', () => {
    expect(counted([at(0), attempt()], [at(1), attempt({}, 500)])).toEqual({
      ...ONCE,
      received: 7,
      duplicates: 4,
      lostL10: 500,
    })
  })

  test('adds what is new in a loss that grew', () => {
    const tries = [500, 500, 800, 0, 800].map((lost, i): [Position, Burst] => [
      at(i),
      attempt({}, lost),
    ])
    expect(counted(...tries)).toMatchObject({ requests: 2, kept: 3, lostL10: 800 })
  })

  test('adds it in the minutes that it names', () => {
    const two = new Map([
      [MINUTE - 60_000, { received: 1, kept: 1, lostL10: 10 }],
      [MINUTE, { received: 1, kept: 1, lostL10: 10 }],
    ])
    expect(counted([at(0), attempt({}, 5)], [at(1), attempt({ ledger: two })])).toMatchObject({
      lostL10: 20,
    })
  })
})

test('the window forgets what it no longer needs', () => {
  const window = new DedupeWindow()
  for (let i = 0; i < 3; i++) {
    expect(window.note(`early ${i}`, at(i), 0)).toBeUndefined()
  }
  expect(window.note('later', at(3, MINUTE + DEDUPE_MS + 1), 0)).toBeUndefined()
  expect(window.note('early 0', at(4, MINUTE + DEDUPE_MS + 1), 0)).toBeUndefined()
  expect(window.note('later', at(5, MINUTE + DEDUPE_MS + 1), 0)).toEqual({ lostL10: 0 })
})

test('a burst resent 100,000 times, each with a smaller loss, is no work to speak of', () => {
  const window = new DedupeWindow()
  const started = performance.now()
  for (let i = 0; i < 100_000; i++) {
    const earlier = window.note('same', at(i), 200_000 - i)
    expect(earlier?.lostL10 ?? 200_000).toBe(200_000)
  }
  expect(performance.now() - started).toBeLessThan(5000)
})
