import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { ABSENT, packRequests, requestColumns } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { cellsToWire, type WireCell } from '../core/cell-wire.ts'
import { emptyHistogram, record, toSparse } from '../core/histogram.ts'
import { minuteOf } from '../core/ledger.ts'
import type { Marker } from '../core/marker.ts'
import type { Point } from '../core/point.ts'
import { emptySignals, type Signals } from '../core/signals.ts'
import { summand } from '../core/sum.ts'
import { arbitraryMeetingSignals } from './arbitraries.ts'

const MINUTE = Date.UTC(2025, 10, 22, 8)

/** Of one app. */
function cellsOf(...all: Signals[]): Cells {
  const cells = new Cells()
  for (const signals of all) cells.addSignals('demo', signals)
  return cells
}

const kindsOf = (wires: readonly WireCell[]): string[] => wires.map(({ kind }) => kind)

const withSignals = (signals: Partial<Signals>): Signals => ({ ...emptySignals(), ...signals })

describe('a cell is what its points add up to', () => {
  const keyOf = ({ process, name, source, timeMs }: Point): string =>
    `${minuteOf(timeMs)} ${process} ${name} ${source}`

  /** The points of a kind, by cell. */
  function grouped(points: readonly Point[], kind: Point['kind']): [string, Point[]][] {
    return [
      ...Map.groupBy(
        points.filter((point) => point.kind === kind),
        keyOf,
      ),
    ].toSorted()
  }

  const cellKey = (cell: { process: string; name: string; source: string; bucketMs: number }) =>
    `${cell.bucketMs} ${cell.process} ${cell.name} ${cell.source}`

  test('a gauge: count, sum, least, most, and the last by time', () => {
    fc.assert(
      fc.property(arbitraryMeetingSignals, (signals) => {
        const cells = [...cellsOf(signals).gauges.values()]
        const found = cells.map((cell): [string, number[]] => [
          cellKey(cell),
          [cell.count, cell.sum, cell.min, cell.max, cell.last, cell.lastMs],
        ])
        const expected = grouped(signals.points, 'gauge').map(([key, points]) => {
          const values = points.map(({ value }) => value)
          const lastMs = Math.max(...points.map(({ timeMs }) => timeMs))
          const last = points.filter(({ timeMs }) => timeMs === lastMs).map(({ value }) => value)
          const sum = values.reduce((total, value) => total + summand(value), 0)
          const extremes = [Math.min(...values), Math.max(...values), Math.max(...last)]
          return [key, [values.length, sum, ...extremes, lastMs]]
        })
        expect<unknown>(found.toSorted()).toEqual(expected)
      }),
    )
  })

  test('a counter: the sum', () => {
    fc.assert(
      fc.property(arbitraryMeetingSignals, (signals) => {
        const cells = [...cellsOf(signals).counters.values()]
        const found = cells.map((cell): [string, number] => [cellKey(cell), cell.sum])
        const expected = grouped(signals.points, 'counter').map(([key, points]) => [
          key,
          points.reduce((total, { value }) => total + summand(value), 0),
        ])
        expect<unknown>(found.toSorted()).toEqual(expected)
      }),
    )
  })

  test('a measure: the histogram', () => {
    fc.assert(
      fc.property(arbitraryMeetingSignals, (signals) => {
        const cells = [...cellsOf(signals).measures.values()]
        const found = cells.map((cell): [string, object] => [
          cellKey(cell),
          toSparse(cell.histogram),
        ])
        const expected = grouped(signals.points, 'measure').map(([key, points]) => {
          const histogram = emptyHistogram()
          for (const { value } of points) record(histogram, value)
          return [key, toSparse(histogram)]
        })
        expect<unknown>(found.toSorted()).toEqual(expected)
      }),
    )
  })

  test('apps, process types, names, sources, kinds and minutes have cells of their own', () => {
    const point: Point = {
      ...{ kind: 'gauge', timeMs: MINUTE, process: 'web', name: 'a', source: '', value: 1 },
    }
    const points: Point[] = [
      point,
      { ...point, process: 'worker' },
      { ...point, name: 'b' },
      { ...point, source: 'GREEN' },
      { ...point, timeMs: MINUTE + 60_000 },
      { ...point, kind: 'counter' },
      { ...point, kind: 'measure' },
    ]
    const cells = cellsOf(withSignals({ points }))
    cells.addSignals('shop', withSignals({ points: [point] }))
    expect(kindsOf(cellsToWire(cells))).toEqual([
      ...Array.from({ length: 6 }, () => 'gauge'),
      'counter',
      'histogram',
    ])
  })
})

describe('a marker', () => {
  const marker: Marker = {
    ...{ kind: 'release', timeMs: MINUTE, process: '', dyno: '', text: 'v7', by: '' },
  }

  const markersOf = (...markers: Marker[]) => [
    ...cellsOf(...markers.map((one) => withSignals({ markers: [one] }))).markers.values(),
  ]

  test('that comes twice is one', () => {
    expect(markersOf(marker, marker, { ...marker })).toEqual([{ app: 'demo', ...marker }])
  })

  test('that names who did it once, and once not, is one that names them', () => {
    const named = { ...marker, by: '0a1b2c3d' }
    expect(markersOf(marker, named)).toEqual([{ app: 'demo', ...named }])
    expect(markersOf(named, marker)).toEqual([{ app: 'demo', ...named }])
  })

  test.each<[string, Partial<Marker>]>([
    ['kind', { kind: 'rollback' }],
    ['time', { timeMs: MINUTE + 1 }],
    ['process type', { process: 'web' }],
    ['dyno', { dyno: 'web.1' }],
    ['text', { text: 'v8' }],
  ])('of another %s is another', (_what, change) => {
    expect(markersOf(marker, { ...marker, ...change })).toHaveLength(2)
  })
})

test('an instance of a dyno is seen from its first sighting to its last', () => {
  const sighting = { dyno: 'web.1', instance: 'a-1' }
  const times = [5, 1, 9, 4].map((s) => MINUTE + s * 1000)
  const dynos = [
    ...times.map((timeMs) => ({ ...sighting, timeMs })),
    { ...sighting, timeMs: MINUTE, instance: 'b-2' },
    { ...sighting, timeMs: MINUTE, dyno: 'web.2' },
  ]
  expect([...cellsOf(withSignals({ dynos })).dynos.values()]).toEqual([
    { app: 'demo', ...sighting, firstMs: MINUTE + 1000, lastMs: MINUTE + 9000 },
    { app: 'demo', dyno: 'web.1', instance: 'b-2', firstMs: MINUTE, lastMs: MINUTE },
    { app: 'demo', dyno: 'web.2', instance: 'a-1', firstMs: MINUTE, lastMs: MINUTE },
  ])
})

test('errors of the router are counters of their process type and minute, by code', () => {
  const requests = { ...requestColumns(5), processes: ['web', 'api'], codes: ['H12', 'H10'] }
  requests.timeMs.set([0, 1, 59_999, 60_000, 2].map((ms) => MINUTE + ms))
  requests.process.set([0, 0, 0, 0, 1])
  requests.code.set([0, ABSENT, 0, 0, 1])
  const cells = new Cells()
  cells.addRequests('demo', packRequests(requests))
  const errors = [...cells.counters.values()].map(({ process, name, bucketMs, sum }) => {
    return [process, name, (bucketMs - MINUTE) / 60_000, sum]
  })
  expect(errors).toEqual([
    ['web', 'H12', 0, 2],
    ['web', 'H12', 1, 1],
    ['api', 'H10', 0, 1],
  ])
})
