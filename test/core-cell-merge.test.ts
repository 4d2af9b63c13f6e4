import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { Cells } from '../core/cell.ts'
import { addWireCell, cellsToWire } from '../core/cell-wire.ts'
import { emptySignals, type Signals } from '../core/signals.ts'
import { arbitraryMeetingSignals } from './arbitraries.ts'

/** Of one app. */
function cellsOf(...all: Signals[]): Cells {
  const cells = new Cells()
  for (const signals of all) cells.addSignals('demo', signals)
  return cells
}

/** The cells of several, merged as a reader of the topic does it. */
function merged(...all: Cells[]): Cells {
  const cells = new Cells()
  for (const part of all) for (const wire of cellsToWire(part)) addWireCell(cells, wire)
  return cells
}

describe('merging cells of gauges, counters, measures, markers and dynos', () => {
  test('is commutative', () => {
    fc.assert(
      fc.property(arbitraryMeetingSignals, arbitraryMeetingSignals, (a, b) => {
        const [one, other] = [cellsOf(a), cellsOf(b)]
        expect(cellsToWire(merged(one, other))).toEqual(cellsToWire(merged(other, one)))
      }),
    )
  })

  test('is associative', () => {
    fc.assert(
      fc.property(fc.array(arbitraryMeetingSignals, { minLength: 3, maxLength: 3 }), (all) => {
        const [a, b, c] = [0, 1, 2].map((i) => cellsOf(all[i] ?? emptySignals()))
        const none = new Cells()
        const left = merged(merged(a ?? none, b ?? none), c ?? none)
        const right = merged(a ?? none, merged(b ?? none, c ?? none))
        expect(cellsToWire(left)).toEqual(cellsToWire(right))
      }),
    )
  })

  test('gives the cells of all signals, in whatever order they come', () => {
    const shuffled = fc
      .array(arbitraryMeetingSignals, { maxLength: 5 })
      .chain((all) =>
        fc.tuple(
          fc.constant(all),
          fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
        ),
      )
    fc.assert(
      fc.property(shuffled, ([all, others]) => {
        const reversed = others.map(({ points, markers, dynos }) => ({
          points: points.toReversed(),
          markers: markers.toReversed(),
          dynos: dynos.toReversed(),
        }))
        const parts = reversed.map((signals) => cellsOf(signals))
        expect(cellsToWire(merged(...parts))).toEqual(cellsToWire(cellsOf(...all)))
      }),
    )
  })

  test('leaves alone the cells that are added', () => {
    fc.assert(
      fc.property(arbitraryMeetingSignals, (signals) => {
        const from = cellsOf(signals)
        const before = structuredClone(cellsToWire(from))
        const into = new Cells()
        for (let twice = 0; twice < 2; twice++) {
          for (const cell of from.gauges.values()) into.addGauge(cell)
          for (const cell of from.counters.values()) into.addCounter(cell)
          for (const cell of from.measures.values()) into.addMeasure(cell)
          for (const cell of from.markers.values()) into.addMarker(cell)
          for (const cell of from.dynos.values()) into.addDyno(cell)
        }
        expect(cellsToWire(from)).toEqual(before)
      }),
    )
  })

  test('with nothing changes nothing, and leaves alone what was merged', () => {
    fc.assert(
      fc.property(arbitraryMeetingSignals, (signals) => {
        const cells = cellsOf(signals)
        const before = structuredClone(cellsToWire(cells))
        expect(cellsToWire(merged(cells, new Cells()))).toEqual(before)
        merged(cells, cells, cells)
        expect(cellsToWire(cells)).toEqual(before)
      }),
    )
  })
})
