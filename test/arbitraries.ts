/** Arbitrary bursts and values for the property tests of core/. */
import fc from 'fast-check'
import { ABSENT, type Burst, type RequestColumns, requestColumns } from '../core/burst.ts'
import { LEDGER_COUNTS, type Ledger, MINUTE_MS } from '../core/ledger.ts'
import { MARKER_KINDS } from '../core/marker.ts'
import { POINT_KINDS, type Point } from '../core/point.ts'
import type { Signals } from '../core/signals.ts'
import { VALUE_MAX } from '../core/units.ts'

/** The last moment that is tried, Unix ms: 2200. */
const TIME_MS_MAX = Date.UTC(2200, 0, 1)

const INT_MAX = 2 ** 31 - 1

/** All of Unicode but NUL, and lone surrogates, which UTF-8 cannot carry. */
const arbitraryName = fc
  .string({ unit: 'binary', maxLength: 20 })
  .map((name) => name.replaceAll('\0', 'n'))

const arbitraryApp = fc.oneof(
  fc.constantFrom('demo', 'shop'),
  fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
)

/** The widest spread of each width that a column can have: 0, 1, 2, 3, 4 and 6 bytes. */
const SPREADS = [0, 2 ** 8 - 1, 2 ** 16 - 1, 2 ** 24 - 1, 2 ** 32 - 1, 2 ** 47]

/** `count` whole numbers from `least` to `most`, near each other or far apart. */
function arbitraryColumn(count: number, least: number, most: number): fc.Arbitrary<number[]> {
  return fc
    .tuple(fc.integer({ min: least, max: most }), fc.constantFrom(...SPREADS))
    .chain(([from, spread]) => {
      const value = fc.integer({ min: from, max: Math.min(most, from + spread) })
      const some = fc.array(value, { minLength: count, maxLength: count })
      const all = fc.constant(Array.from({ length: count }, () => least))
      return fc.oneof({ weight: 9, arbitrary: some }, { weight: 1, arbitrary: all })
    })
}

/** Names in order of first use, as the edge makes them, and each row's index. */
function dictionary(rows: readonly (string | undefined)[]): { names: string[]; indexes: number[] } {
  const names = [...new Set(rows.filter((name) => name !== undefined))]
  return { names, indexes: rows.map((name) => (name === undefined ? ABSENT : names.indexOf(name))) }
}

const arbitraryColumns: fc.Arbitrary<RequestColumns> = fc
  .oneof(fc.constant(0), fc.constant(1), fc.integer({ min: 2, max: 40 }))
  .chain((count) => {
    const rows = { minLength: count, maxLength: count }
    return fc
      .record({
        timeMs: arbitraryColumn(count, 0, TIME_MS_MAX),
        serviceMs: arbitraryColumn(count, ABSENT, INT_MAX),
        connectMs: arbitraryColumn(count, ABSENT, INT_MAX),
        status: arbitraryColumn(count, ABSENT, 999),
        bytes: arbitraryColumn(count, ABSENT, 10 ** 14 - 1),
        process: fc.array(fc.oneof(fc.constant('web'), arbitraryName), rows),
        code: fc.array(fc.option(arbitraryName, { nil: undefined }), rows),
      })
      .map(({ process, code, ...columns }) => {
        const requests = requestColumns(count)
        requests.timeMs.set(columns.timeMs)
        requests.serviceMs.set(columns.serviceMs)
        requests.connectMs.set(columns.connectMs)
        requests.status.set(columns.status)
        requests.bytes.set(columns.bytes)
        const processes = dictionary(process)
        const codes = dictionary(code)
        requests.process.set(processes.indexes)
        requests.code.set(codes.indexes)
        return { ...requests, processes: processes.names, codes: codes.names }
      })
  })

const arbitraryCount = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 1e12 }))

const arbitraryLedger: fc.Arbitrary<Ledger> = fc
  .uniqueArray(
    fc.tuple(
      fc.integer({ min: 0, max: TIME_MS_MAX / MINUTE_MS }),
      fc.record(Object.fromEntries(LEDGER_COUNTS.map((what) => [what, arbitraryCount])), {
        requiredKeys: [],
      }),
    ),
    { selector: ([minute]) => minute, maxLength: 5 },
  )
  .map((rows) => new Map(rows.map(([minute, counts]) => [minute * MINUTE_MS, { ...counts }])))

export const arbitraryId = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => bytes.toHex())

const arbitraryTimeMs = fc.integer({ min: 0, max: TIME_MS_MAX })

/** What a metric may be: no NaN, nothing beyond the limit, and no -0, which logs do not have. */
const arbitraryValue = fc
  .oneof(
    fc.double({ min: -VALUE_MAX, max: VALUE_MAX, noNaN: true }),
    fc.double({ min: -10, max: 10, noNaN: true }),
    fc.integer({ min: -1000, max: 1000 }),
    fc.constantFrom(0, VALUE_MAX, -VALUE_MAX, Number.MIN_VALUE),
  )
  .map((value) => value + 0)

const arbitraryPoint: fc.Arbitrary<Point> = fc
  .record({
    kind: fc.constantFrom(...POINT_KINDS),
    timeMs: arbitraryTimeMs,
    process: arbitraryName,
    name: arbitraryName,
    source: arbitraryName,
    value: arbitraryValue,
  })
  .map((point) => (point.kind === 'gauge' ? point : { ...point, value: Math.abs(point.value) }))

/** Any signals that a burst can hold. */
const arbitrarySignals: fc.Arbitrary<Signals> = fc.record({
  points: fc.array(arbitraryPoint, { maxLength: 8 }),
  markers: fc.array(
    fc.record({
      kind: fc.constantFrom(...MARKER_KINDS),
      timeMs: arbitraryTimeMs,
      process: arbitraryName,
      dyno: arbitraryName,
      text: arbitraryName,
      by: arbitraryName,
    }),
    { maxLength: 5 },
  ),
  dynos: fc.array(
    fc.record({ timeMs: arbitraryTimeMs, dyno: arbitraryName, instance: arbitraryName }),
    { maxLength: 5 },
  ),
})

/** Whole numbers and fractions under names of their own: so logs have them, and sums stay exact. */
const arbitraryNamedValue = fc.oneof(
  fc.record({ name: fc.constantFrom('R14', 'memory_rss'), value: fc.nat(1e9) }),
  fc.record({
    name: fc.constantFrom('load_avg_1m', 'custom.db.latency'),
    value: fc.double({ min: 0, max: 1000, noNaN: true }),
  }),
)

/** Three minutes, and moments that come again in each. */
const arbitraryMomentMs = fc
  .tuple(fc.nat(2), fc.constantFrom(0, 1, 59_999))
  .map(([minute, ms]) => minute * MINUTE_MS + ms)

/** Signals of the first minutes of 1970 that often share a cell, or are the same. */
export const arbitraryMeetingSignals: fc.Arbitrary<Signals> = fc.record({
  points: fc.array(
    fc
      .record({
        kind: fc.constantFrom(...POINT_KINDS),
        timeMs: arbitraryMomentMs,
        process: fc.constantFrom('web', 'worker'),
        source: fc.constantFrom('', 'GREEN'),
        named: arbitraryNamedValue,
      })
      .map(({ named, ...point }): Point => ({ ...point, ...named })),
    { maxLength: 5 },
  ),
  markers: fc.array(
    fc.record({
      kind: fc.constantFrom('release' as const, 'restart' as const),
      timeMs: arbitraryMomentMs,
      process: fc.constantFrom('', 'web'),
      dyno: fc.constantFrom('', 'web.1'),
      text: fc.constantFrom('', 'v7'),
      by: fc.constantFrom('', '0a1b2c3d', 'd3c2b1a0'),
    }),
    { maxLength: 3 },
  ),
  dynos: fc.array(
    fc.record({
      timeMs: arbitraryMomentMs,
      dyno: fc.constantFrom('web.1', 'web.2'),
      instance: fc.constantFrom('a-1', 'b-2'),
    }),
    { maxLength: 3 },
  ),
})

/** Any burst, as the codec may meet it: its ledger need not fit its requests. */
export const arbitraryBurst: fc.Arbitrary<Burst> = fc.record({
  id: arbitraryId,
  app: arbitraryApp,
  drain: arbitraryName,
  receivedAtMs: arbitraryTimeMs,
  ledger: arbitraryLedger,
  requests: arbitraryColumns,
  signals: arbitrarySignals,
})

/** Numbers from 0 to 1, the same in every run, for data sets that need a shape. */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    // mulberry32, Tommy Ettinger, public domain
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
