/** The rows of the heat map: a quarter of a doubling each, 8 bins of the histogram. */
import { lowerBound } from '../../core/histogram.ts'

const HEAT_BINS = 8

/** The values of a row, ms: above the first, up to the second. */
export function heatBounds(row: number): [number, number] {
  return [lowerBound(row * HEAT_BINS), lowerBound((row + 1) * HEAT_BINS)]
}
