/** The rows of the heat map: a quarter of a doubling each, 8 bins of the histogram. */
import { lowerBound } from '../../core/histogram.ts'

const HEAT_BINS = 8
/** Rows of the heat map a doubling. */
export const HEAT_ROWS = 4
/** From 8 ms on every row has a whole millisecond in it. */
const COARSE_ROWS = 12

/** By step: row and count, by turns; row -1 is 0 ms. */
export type Heat = readonly (readonly number[])[]

/** The values of a row, ms: above the first, up to the second. */
export function heatBounds(row: number): [number, number] {
  return [lowerBound(row * HEAT_BINS), lowerBound((row + 1) * HEAT_BINS)]
}

/** Calls back with each row and its count; what took 0 ms is in the lowest row. */
export function eachCell(column: readonly number[], use: (row: number, n: number) => void): void {
  for (let k = 0; k < column.length; k += 2) use(Math.max(0, column[k] ?? 0), column[k + 1] ?? 0)
}

/**
 * The row down to which each row is drawn. Platforms log whole milliseconds, and below 8 ms some
 * rows have none: they belong to the row above them, and are no holes in the distribution.
 */
export function lowestRows(heat: Heat): (row: number) => number {
  const used = new Set<number>()
  for (const column of heat) eachCell(column, (row) => used.add(row))
  const lowest = new Map<number, number>()
  for (const row of used) {
    let low = row
    while (row < COARSE_ROWS && low > 0 && !used.has(low - 1)) low--
    lowest.set(row, low)
  }
  return (row) => lowest.get(row) ?? row
}

/** Requests by response time in a few columns, a factor of 4 each: the heat map as a table. */
export function heatTable(heat: Heat): { from: number; to: number; counts: (number | null)[] }[] {
  const wide = 2 * HEAT_ROWS
  const groups = new Set<number>()
  for (const column of heat) eachCell(column, (row) => groups.add(Math.floor(row / wide)))
  return [...groups]
    .toSorted((a, b) => a - b)
    .map((group) => ({
      from: group === 0 ? 0 : heatBounds(group * wide)[0],
      to: heatBounds((group + 1) * wide)[0],
      counts: heat.map((column) => {
        if (column.length === 0) return null
        let sum = 0
        eachCell(column, (row, n) => {
          if (Math.floor(row / wide) === group) sum += n
        })
        return sum
      }),
    }))
}

/** The cell of a step that is drawn over a row: its values and count; undefined where there is none. */
export function cellAt(
  heat: Heat,
  i: number,
  row: number,
): { from: number; to: number; n: number } | undefined {
  const lowest = lowestRows(heat)
  let n = 0
  let top = -1
  eachCell(heat[i] ?? [], (each, more) => {
    if (row > each || row < lowest(each)) return
    n += more
    top = each
  })
  if (top < 0) return undefined
  return { from: heatBounds(lowest(top))[0], to: heatBounds(top)[1], n }
}
