import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  type AggregateRecord,
  aggregateRecordSchema,
  ledgerCellFromWire,
  toAggregateRecords,
} from '../core/aggregate-record.ts'
import { ABSENT, packRequests, requestColumns } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { addWireCell, cellsToWire, compareText } from '../core/cell-wire.ts'
import type { Signals } from '../core/signals.ts'
import { arbitraryBurst, seededRandom } from './arbitraries.ts'

/** Under the 1,048,588 bytes that Kafka takes (max.message.bytes), with room for its envelope. */
const RECORD_BYTES_MAX = 1_000_000

const WATERMARK_MS = Date.UTC(2025, 10, 22, 8)

const bytesOf = (record: AggregateRecord): number => Buffer.byteLength(JSON.stringify(record))

function recordsOf(cells: Cells): AggregateRecord[] {
  return toAggregateRecords(3, {
    epoch: 0,
    begin: 0,
    from: 10,
    to: 20,
    watermarkMs: WATERMARK_MS,
    cells,
    deadLetters: [],
  })
}

/** As a reader of the topic gets it. */
const received = (record: AggregateRecord): AggregateRecord =>
  aggregateRecordSchema.parse(JSON.parse(JSON.stringify(record)))

/** The cells that records hold, merged, in an order of their own. */
function merged(records: readonly AggregateRecord[]): object {
  const cells = new Cells()
  for (const record of records) {
    for (const wire of record.cells) addWireCell(cells, wire)
    for (const wire of record.ledger) {
      const { app, bucketMs, counts } = ledgerCellFromWire(wire)
      cells.addLedger(app, bucketMs, counts)
    }
  }
  return inOrder(cells)
}

function inOrder(cells: Cells): object {
  const ledger = [...cells.ledger].sort(([a], [b]) => compareText(a, b))
  return { cells: cellsToWire(cells), ledger }
}

/** One of each kind. */
function signalsOf(i: number): Signals {
  const at = { timeMs: WATERMARK_MS + (i % 5) * 60_000, process: 'wéb', source: '' }
  const { timeMs, process } = at
  return {
    points: [
      { ...at, kind: 'gauge', name: 'load_avg_1m', value: 0.5 },
      { ...at, kind: 'counter', name: 'R14', value: 1 },
      { ...at, kind: 'measure', name: 'custom.db', value: 0.004 },
    ],
    markers: [{ timeMs, kind: 'restart', process, dyno: 'wéb.1', text: 'cycling', by: '' }],
    dynos: [{ timeMs, dyno: 'wéb.1', instance: 'a-1' }],
  }
}

/** As many cells as an hour of many apps makes, each with as many bins as service times fill. */
function manyCells(count: number, random = seededRandom(1)): Cells {
  const cells = new Cells()
  const order = Array.from({ length: count }, (_, i) => ({ i, rank: random() }))
  for (const { i } of order.sort((a, b) => a.rank - b.rank)) {
    const requests = { ...requestColumns(120), processes: ['wéb'] }
    requests.timeMs.fill(WATERMARK_MS + (i % 5) * 60_000)
    // By place, not by chance: each cell is the same in whatever order the cells come.
    for (let row = 0; row < 120; row++) requests.serviceMs[row] = 1 + ((row * row * 2 + i) % 30_000)
    requests.code.fill(ABSENT)
    cells.addRequests(`app-日本-${i}`, packRequests(requests))
    cells.addSignals(`app-日本-${i}`, signalsOf(i))
    cells.addLedger(`app-日本-${i}`, WATERMARK_MS, { received: 120, kept: 120 })
  }
  return cells
}

describe('the records of a chunk', () => {
  test('give back exactly its cells', () => {
    fc.assert(
      fc.property(fc.array(arbitraryBurst, { maxLength: 4 }), (bursts) => {
        const cells = new Cells()
        for (const { app, ledger, requests, signals } of bursts) {
          cells.addRequests(app, packRequests(requests))
          cells.addSignals(app, signals)
          for (const [minuteMs, counts] of ledger) cells.addLedger(app, minuteMs, counts)
        }
        expect(merged(recordsOf(cells).map(received))).toEqual(inOrder(cells))
      }),
    )
  })

  test('are one, without cells, where nothing came', () => {
    const [record, ...others] = recordsOf(new Cells())
    expect(others).toEqual([])
    expect(record && received(record)).toEqual({
      version: 1,
      partition: 3,
      epoch: 0,
      begin: 0,
      from: 10,
      to: 20,
      part: 0,
      parts: 1,
      watermark: '2025-11-22T08:00:00.000Z',
      cells: [],
      ledger: [],
    })
  })

  test('tell a cell as it is', () => {
    const cells = new Cells()
    const requests = { ...requestColumns(3), processes: ['web'] }
    requests.timeMs.fill(WATERMARK_MS + 59_999)
    requests.serviceMs.set([0, 8, ABSENT])
    requests.connectMs.fill(ABSENT)
    requests.status.set([503, 200, ABSENT])
    requests.bytes.set([1, ABSENT, 20])
    requests.code.fill(ABSENT)
    cells.addRequests('demo', packRequests(requests))
    expect(recordsOf(cells)[0]?.cells).toEqual([
      {
        kind: 'requests',
        app: 'demo',
        process: 'web',
        bucket: '2025-11-22T08:00:00.000Z',
        requests: 3,
        status: { 200: 1, 503: 1 },
        bytes: 21,
        service: { zero: 1, bins: [95], counts: [1], sum: 8, min: 0, max: 8 },
        connect: { zero: 0, bins: [], counts: [], sum: 0, min: null, max: null },
      },
    ])
  })

  test('tell cells of the other kinds as they are', () => {
    const cells = new Cells()
    cells.addSignals('demo', signalsOf(0))
    const later = signalsOf(0).points.map((point) => ({ ...point, timeMs: point.timeMs + 1000 }))
    cells.addSignals('demo', { points: later, markers: [], dynos: [] })
    const [bucket, at] = ['2025-11-22T08:00:00.000Z', '2025-11-22T08:00:01.000Z']
    const key = { app: 'demo', process: 'wéb', source: '', bucket }
    const gauge = { count: 2, sum: 1, min: 0.5, max: 0.5, last: 0.5, at }
    const sum = 67_109 * 2 ** -24
    const histogram = { zero: 0, bins: [-255], counts: [2], sum: 2 * sum, min: 0.004, max: 0.004 }
    const dyno = { app: 'demo', dyno: 'wéb.1' }
    const marker = { marker: 'restart', process: 'wéb', text: 'cycling', by: '' }
    expect(recordsOf(cells)[0]?.cells).toMatchObject([
      { kind: 'gauge', ...key, name: 'load_avg_1m', ...gauge },
      { kind: 'counter', ...key, name: 'R14', sum: 2 },
      { kind: 'histogram', ...key, name: 'custom.db', histogram },
      { kind: 'marker', ...dyno, ...marker, time: bucket },
      { kind: 'dyno', ...dyno, instance: 'a-1', first: bucket, last: bucket },
    ])
  })
})

describe('a chunk that outgrows one message', () => {
  const cells = manyCells(1500)
  const records = recordsOf(cells)

  test('becomes several records, each of which Kafka takes', () => {
    expect(records.length).toBeGreaterThan(3)
    for (const record of records) expect(bytesOf(record)).toBeLessThanOrEqual(RECORD_BYTES_MAX)
    expect(records.map(({ part }) => part)).toEqual([...records.keys()])
    for (const { from, to, parts } of records) {
      expect({ from, to, parts }).toEqual({ from: 10, to: 20, parts: records.length })
    }
  })

  test('is cut where it must be: no part could take the first cell of the next', () => {
    for (const [i, record] of records.entries()) {
      const next = records[i + 1]?.cells[0] ?? records[i + 1]?.ledger[0]
      if (next === undefined) continue
      expect(bytesOf(record) + Buffer.byteLength(JSON.stringify(next))).toBeGreaterThan(900_000)
    }
  })

  test('is cut the same by everybody, in whatever order the cells came', () => {
    const other = recordsOf(manyCells(1500, seededRandom(99)))
    expect(other.map((record) => JSON.stringify(record))).toEqual(
      records.map((record) => JSON.stringify(record)),
    )
  })

  test('is whole: its parts one behind the other are all its cells, in order', () => {
    expect(merged(records.map(received))).toEqual(inOrder(cells))
    expect(records.flatMap((part) => part.cells)).toEqual(cellsToWire(cells))
    expect(records.flatMap((part) => part.cells)).toHaveLength(6 * 1500)
  })
})

describe('a record that is not one of ours', () => {
  const [good] = recordsOf(manyCells(1))
  const cellOf = (kind: string) => good?.cells.find((cell) => cell.kind === kind)
  const [gauge, marker, measure] = ['gauge', 'marker', 'histogram'].map(cellOf)
  const unordered = { zero: 0, bins: [7, 7], counts: [1, 1], sum: 1, min: 0, max: 1 }

  test.each([
    ['a part before the first', { part: -1 }],
    ['half an offset', { from: 0.5 }],
    ['no watermark', { watermark: 'now' }],
    ['cells of another kind', { cells: [{ kind: 'gauges' }] }],
    ['a cell without its key', { cells: [{ ...gauge, name: undefined }] }],
    ['a sum that no JSON holds', { cells: [{ ...gauge, sum: null }] }],
    ['a name that is too long', { cells: [{ ...gauge, name: 'n'.repeat(1001) }] }],
    ['a marker of another kind', { cells: [{ ...marker, marker: 'party' }] }],
    ['bins that do not ascend', { cells: [{ ...measure, histogram: unordered }] }],
    ['another version', { version: 2 }],
    ['no ledger', { ledger: undefined }],
  ])('%s is refused', (_what, change) => {
    expect(aggregateRecordSchema.safeParse(good).success).toBe(true)
    expect(aggregateRecordSchema.safeParse({ ...good, ...change }).success).toBe(false)
  })
})
