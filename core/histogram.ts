/**
 * OpenTelemetry's base-2 exponential histogram at scale 5 (the bins of a Prometheus native
 * histogram of schema 5): bin i holds (2^(i/32), 2^((i+1)/32)], zero has a bin of its own.
 * https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
 */

import { summand } from './sum.ts'
import type { Tally } from './tally.ts'

/** Bins for each doubling of the value: 2^scale. */
export const BINS_PER_DOUBLING = 32

/** The most that a quantile can be off by, relative to the value: (g - 1) / (g + 1), g = 2^(1/32). */
export const RELATIVE_ERROR_MAX =
  (2 ** (1 / BINS_PER_DOUBLING) - 1) / (2 ** (1 / BINS_PER_DOUBLING) + 1)

/**
 * Where a bin is answered for, as a multiple of its lower bound: the harmonic middle, 2g / (1 + g),
 * which is equally far, relatively, from both bounds.
 */
const MIDDLE = 1 + RELATIVE_ERROR_MAX

/** 2^(k/32). By square roots and products, which IEEE 754 rounds alike in every runtime. */
const STEPS = (() => {
  const steps = new Float64Array(BINS_PER_DOUBLING)
  const roots = [2]
  for (let i = 0; i < 5; i++) roots.push(Math.sqrt(roots[i] as number))
  for (let k = 0; k < BINS_PER_DOUBLING; k++) {
    let step = 1
    for (let bit = 0; bit < 5; bit++) {
      if (k & (1 << bit)) step *= roots[5 - bit] as number
    }
    steps[k] = step
  }
  return steps
})()

/** The value below which bin `bin` begins (exclusive). */
export function lowerBound(bin: number): number {
  return (STEPS[bin & (BINS_PER_DOUBLING - 1)] as number) * 2 ** (bin >> 5)
}

/** The bin of a finite value above 0. */
export function binOf(value: number): number {
  const bin = Math.ceil(Math.log2(value) * BINS_PER_DOUBLING) - 1
  if (value <= lowerBound(bin)) return bin - 1
  if (value > lowerBound(bin + 1)) return bin + 1
  return bin
}

/** Bins of whole numbers below this come from a table: service times in ms mostly are. */
const TABLE_SIZE = 65_536
let table: Int16Array | undefined

/** In a column of whole numbers: none. */
const ABSENT_MAX = -1

/** The bin of a whole number above 0. */
function binOfWhole(value: number): number {
  if (value >= TABLE_SIZE) return binOf(value)
  if (table === undefined) {
    table = new Int16Array(TABLE_SIZE)
    for (let v = 1; v < TABLE_SIZE; v++) table[v] = binOf(v)
  }
  return table[value] as number
}

/** A histogram being filled. `counts[k]` is the count of bin `first + k`. */
export interface Histogram {
  zero: number
  first: number
  counts: Float64Array
  sum: number
  /** Infinity while it is empty. */
  min: number
  /** -Infinity while it is empty. */
  max: number
}

export function emptyHistogram(): Histogram {
  return {
    zero: 0,
    first: 0,
    counts: new Float64Array(0),
    sum: 0,
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
  }
}

/** Makes room for bins `low` to `high`, with slack, so that growth is rare. */
function makeRoom(histogram: Histogram, low: number, high: number): void {
  const { first, counts } = histogram
  const end = first + counts.length
  if (low >= first && high < end) return
  const empty = counts.length === 0
  // Small at first: there may be as many histograms as there are apps and minutes.
  const slack = Math.max(4, counts.length >> 1)
  const from = empty || low < first ? low - slack : first
  const to = empty || high >= end ? high + 1 + slack : end
  const wider = new Float64Array(to - from)
  if (!empty) wider.set(counts, first - from)
  histogram.first = from
  histogram.counts = wider
}

/**
 * Adds `count` times `value`. The value is finite and not negative; anything else is the caller's
 * error and throws RangeError.
 */
export function record(histogram: Histogram, value: number, count = 1): void {
  if (value === 0) {
    histogram.zero += count
  } else {
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`a histogram holds finite values from 0 on, not ${value}`)
    }
    const isWhole = value < TABLE_SIZE && Number.isInteger(value)
    const bin = isWhole ? binOfWhole(value) : binOf(value)
    makeRoom(histogram, bin, bin)
    const at = bin - histogram.first
    histogram.counts[at] = (histogram.counts[at] as number) + count
  }
  histogram.sum += summand(value) * count
  if (value < histogram.min) histogram.min = value
  if (value > histogram.max) histogram.max = value
}

/** Adds whole numbers, each so often; those below 0 are absent ones, and passed over. */
export function recordTally(histogram: Histogram, { length, values, counts: times }: Tally): void {
  let sum = 0
  let least = Number.POSITIVE_INFINITY
  let most = ABSENT_MAX
  for (let i = 0; i < length; i++) {
    const value = values[i] as number
    if (value <= ABSENT_MAX) continue
    sum += value * (times[i] as number)
    if (value < least) least = value
    if (value > most) most = value
  }
  if (most === ABSENT_MAX) return
  histogram.sum += sum
  histogram.min = Math.min(histogram.min, least)
  histogram.max = Math.max(histogram.max, most)
  // Room is made once, for all of them.
  if (most > 0) makeRoom(histogram, binOfWhole(Math.max(least, 1)), binOfWhole(most))
  const { counts, first } = histogram
  for (let i = 0; i < length; i++) {
    const value = values[i] as number
    const count = times[i] as number
    if (value > 0) {
      const at = binOfWhole(value) - first
      counts[at] = (counts[at] as number) + count
    } else if (value === 0) histogram.zero += count
  }
}

/** Adds all of `other` to `histogram`. Exact: the same as if every value had been recorded here. */
export function merge(histogram: Histogram, other: Histogram): void {
  const { first, counts } = other
  if (counts.length > 0) {
    makeRoom(histogram, first, first + counts.length - 1)
    for (let k = 0; k < counts.length; k++) {
      const at = first + k - histogram.first
      histogram.counts[at] = (histogram.counts[at] as number) + (counts[k] as number)
    }
  }
  histogram.zero += other.zero
  histogram.sum += other.sum
  histogram.min = Math.min(histogram.min, other.min)
  histogram.max = Math.max(histogram.max, other.max)
}

/** How many values it holds. */
export function countOf(histogram: Histogram): number {
  const { zero, counts } = histogram
  let count = zero
  for (let k = 0; k < counts.length; k++) count += counts[k] as number
  return count
}

/**
 * The value at `q` (0 to 1) by nearest rank, undefined when it is empty. At most
 * RELATIVE_ERROR_MAX from the truth; the first and the last rank are exact.
 */
export function quantile(histogram: Histogram, q: number): number | undefined {
  const count = countOf(histogram)
  if (count === 0 || !(q >= 0 && q <= 1)) return undefined
  const rank = Math.max(1, Math.ceil(q * count))
  if (rank === 1) return histogram.min
  if (rank === count) return histogram.max
  let seen = histogram.zero
  if (rank <= seen) return 0
  for (let k = 0; k < histogram.counts.length; k++) {
    seen += histogram.counts[k] as number
    if (rank <= seen) {
      const middle = lowerBound(histogram.first + k) * MIDDLE
      return Math.min(Math.max(middle, histogram.min), histogram.max)
    }
  }
  return histogram.max
}

/** The form of the log and of Postgres: only bins that hold something, ascending. */
export interface SparseHistogram {
  zero: number
  bins: number[]
  counts: number[]
  sum: number
  /** null when it is empty, and so is max. */
  min: number | null
  max: number | null
}

export function toSparse(histogram: Histogram): SparseHistogram {
  const bins: number[] = []
  const counts: number[] = []
  for (let k = 0; k < histogram.counts.length; k++) {
    const count = histogram.counts[k] as number
    if (count !== 0) {
      bins.push(histogram.first + k)
      counts.push(count)
    }
  }
  const empty = histogram.min > histogram.max
  return {
    zero: histogram.zero,
    bins,
    counts,
    sum: histogram.sum,
    min: empty ? null : histogram.min,
    max: empty ? null : histogram.max,
  }
}

export function fromSparse(sparse: SparseHistogram): Histogram {
  const histogram = emptyHistogram()
  const low = sparse.bins[0]
  if (low !== undefined) makeRoom(histogram, low, sparse.bins[sparse.bins.length - 1] ?? low)
  sparse.bins.forEach((bin, i) => {
    histogram.counts[bin - histogram.first] = sparse.counts[i] ?? 0
  })
  histogram.zero = sparse.zero
  histogram.sum = sparse.sum
  if (sparse.min !== null) histogram.min = sparse.min
  if (sparse.max !== null) histogram.max = sparse.max
  return histogram
}
