/** Sorts cells by the tier whose rows they go to. */
import { Cells } from '../core/cell.ts'
import type { Tier } from './schema.ts'
import type { PlaceOf } from './tiers.ts'

/**
 * The cells of each tier, those that meet in a bucket merged; and how many no tier keeps. Markers
 * and dynos have no tiers.
 */
export function placeCells(
  cells: Cells,
  placeOf: PlaceOf,
): { placed: Record<Tier, Cells>; passedOver: number } {
  const placed = { '1d': new Cells(), '1h': new Cells(), '10m': new Cells(), '1m': new Cells() }
  let passedOver = 0
  const place = <Cell extends { bucketMs: number }>(
    from: ReadonlyMap<string, Cell>,
    live: Map<string, Cell>,
    add: (to: Cells, cell: Cell) => void,
  ): void => {
    for (const [key, cell] of from) {
      const found = placeOf(cell.bucketMs)
      if (found === undefined) passedOver += 1
      else if (found.tier === '1m') live.set(key, cell)
      else add(placed[found.tier], { ...cell, bucketMs: found.bucketMs })
    }
  }
  const live = placed['1m']
  place(cells.counters, live.counters, (to, cell) => to.addCounter(cell))
  place(cells.gauges, live.gauges, (to, cell) => to.addGauge(cell))
  place(cells.measures, live.measures, (to, cell) => to.addMeasure(cell))
  place(cells.requests, live.requests, (to, cell) => to.mergeRequestCell(cell))
  place(cells.ledger, live.ledger, (to, { app, bucketMs, counts }) => {
    to.addLedger(app, bucketMs, counts)
  })
  return { placed, passedOver }
}
