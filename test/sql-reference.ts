/** A histogram made the slow and plain way, for the tests to hold others against. */
import type { SparseHistogram } from '../core/histogram.ts'

/** The histogram of finite values from 0 on. */
export function histogramOf(values: readonly number[]): SparseHistogram {
  const counts = new Map<number, number>()
  for (const value of values) {
    if (value === 0) continue
    const bin = Math.ceil(Math.log2(value) * 32) - 1
    counts.set(bin, (counts.get(bin) ?? 0) + 1)
  }
  const bins = [...counts].sort(([a], [b]) => a - b)
  const sorted = values.toSorted((a, b) => a - b)
  return {
    zero: values.filter((value) => value === 0).length,
    bins: bins.map(([bin]) => bin),
    counts: bins.map(([, count]) => count),
    sum: values.reduce((sum, value) => sum + value, 0),
    min: sorted[0] ?? null,
    max: sorted.at(-1) ?? null,
  }
}

/** The value of nearest rank ceil(q * count), from the values themselves. */
export function nearestRank(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(q * values.length)) - 1] ?? Number.NaN
}

/** How far a quantile may be off: 1.083 % of the truth, and the rounding of the arithmetic. */
export function allowedError(truth: number): number {
  return truth * ((2 ** (1 / 32) - 1) / (2 ** (1 / 32) + 1) + 1e-12)
}
