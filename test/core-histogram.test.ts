import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  countOf,
  emptyHistogram,
  fromSparse,
  type Histogram,
  merge,
  quantile,
  RELATIVE_ERROR_MAX,
  record,
  toSparse,
} from '../core/histogram.ts'
import { seededRandom } from './arbitraries.ts'

/** The rounding of the arithmetic, on top of what the bins allow. */
const ROUNDING = 1e-12

function histogramOf(values: readonly number[]): Histogram {
  const histogram = emptyHistogram()
  for (const value of values) record(histogram, value)
  return histogram
}

describe('a quantile is within the stated error of nearest rank', () => {
  const shapes: [string, (random: () => number) => number][] = [
    ['whole ms, uniform', (random) => Math.floor(random() * 30_000)],
    ['log-normal', (random) => Math.exp(3.5 + Math.sqrt(-2 * Math.log(1 - random())))],
    ['exponential', (random) => -Math.log(1 - random()) * 50],
    ['two humps', (random) => (random() < 0.9 ? 5 + random() * 10 : 25_000 + random() * 5000)],
    ['mostly zero', (random) => (random() < 0.8 ? 0 : 1 + Math.floor(random() * 100))],
    ['all the same', () => 42],
    ['powers of two', (random) => 2 ** Math.floor(random() * 30)],
    ['of all magnitudes', (random) => 10 ** (random() * 600 - 300)],
    ['tiny', (random) => 1e-300 * (1 + random())],
    ['huge', (random) => Number.MAX_VALUE * (0.5 + random() / 2)],
  ]
  const sizes = [1, 2, 3, 10, 100, 1000, 20_000]
  const quantiles = [0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]

  test.each(shapes)('%s', (_name, shape) => {
    for (const size of sizes) {
      const random = seededRandom(size)
      const values = Array.from({ length: size }, () => shape(random))
      const histogram = histogramOf(values)
      const sorted = values.toSorted((a, b) => a - b)
      for (const q of quantiles) {
        const truth = sorted[Math.max(1, Math.ceil(q * size)) - 1] ?? Number.NaN
        const found = quantile(histogram, q) ?? Number.NaN
        const allowed = truth * (RELATIVE_ERROR_MAX + ROUNDING)
        if (!(Math.abs(found - truth) <= allowed)) {
          throw new Error(`q ${q} of ${size}: found ${found}, is ${truth}`)
        }
      }
    }
  })

  test('and the stated error is 1.083 %', () => {
    expect(RELATIVE_ERROR_MAX).toBeLessThan(0.010831)
    expect(RELATIVE_ERROR_MAX).toBeGreaterThan(0.010829)
  })

  test('the first and the last rank are exact', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, noNaN: true, max: 1e300 }), { minLength: 1 }),
        (values) => {
          const histogram = histogramOf(values)
          expect(quantile(histogram, 0)).toBe(Math.min(...values))
          expect(quantile(histogram, 1)).toBe(Math.max(...values))
        },
      ),
    )
  })
})

describe('merging', () => {
  const whole = fc.oneof(
    fc.integer({ min: 0, max: 100 }),
    fc.integer({ min: 0, max: 30_000 }),
    fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  )
  const arbitraryValues = fc.array(whole, { maxLength: 60 })

  function merged(...lists: readonly number[][]): Histogram {
    const histogram = emptyHistogram()
    for (const values of lists) merge(histogram, histogramOf(values))
    return histogram
  }

  test('is the same as recording all values in one', () => {
    fc.assert(
      fc.property(fc.array(arbitraryValues, { maxLength: 5 }), (lists) => {
        expect(toSparse(merged(...lists))).toEqual(toSparse(histogramOf(lists.flat())))
      }),
    )
  })

  test('is commutative and associative', () => {
    fc.assert(
      fc.property(arbitraryValues, arbitraryValues, arbitraryValues, (a, b, c) => {
        expect(toSparse(merged(a, b))).toEqual(toSparse(merged(b, a)))
        const left = merged(a, b)
        merge(left, histogramOf(c))
        const right = histogramOf(a)
        merge(right, merged(b, c))
        expect(toSparse(left)).toEqual(toSparse(right))
      }),
    )
  })

  test('with fractions, only the sum is rounded', () => {
    const fractions = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { maxLength: 40 })
    fc.assert(
      fc.property(fractions, fractions, (a, b) => {
        const { sum, ...rest } = toSparse(merged(a, b))
        const { sum: wholeSum, ...all } = toSparse(histogramOf([...a, ...b]))
        expect(rest).toEqual(all)
        expect(Math.abs(sum - wholeSum)).toBeLessThanOrEqual(wholeSum * ROUNDING)
      }),
    )
  })

  test('leaves the other histogram as it was', () => {
    const other = histogramOf([0, 1, 500])
    const before = toSparse(other)
    merge(histogramOf([30_000]), other)
    expect(toSparse(other)).toEqual(before)
  })

  test('with an empty histogram changes nothing', () => {
    const histogram = histogramOf([0, 3, 99])
    merge(histogram, emptyHistogram())
    expect(toSparse(histogram)).toEqual(toSparse(histogramOf([0, 3, 99])))
  })
})

describe('the sparse form', () => {
  test('is read back to the same histogram, which can be filled further', () => {
    const values = fc.array(fc.double({ min: 0, max: 1e300, noNaN: true }))
    fc.assert(
      fc.property(values, (list) => {
        const sparse = toSparse(histogramOf(list))
        const back = fromSparse(JSON.parse(JSON.stringify(sparse)))
        expect(toSparse(back)).toEqual(sparse)
        record(back, 7)
        expect(countOf(back)).toBe(list.length + 1)
      }),
    )
  })

  test('holds only bins that hold something, ascending', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1e6 })), (values) => {
        const { zero, bins, counts } = toSparse(histogramOf(values))
        expect(bins).toEqual(bins.toSorted((a, b) => a - b))
        expect(new Set(bins).size).toBe(bins.length)
        expect(counts.every((count) => count > 0)).toBe(true)
        expect(counts.reduce((sum, count) => sum + count, zero)).toBe(values.length)
      }),
    )
  })
})

describe('at the edges', () => {
  test('an empty histogram has no quantile, and nulls for min and max', () => {
    expect(quantile(emptyHistogram(), 0.5)).toBeUndefined()
    expect(countOf(emptyHistogram())).toBe(0)
    const nothing = { zero: 0, bins: [], counts: [], sum: 0, min: null, max: null }
    expect(toSparse(emptyHistogram())).toEqual(nothing)
    expect(toSparse(fromSparse(nothing))).toEqual(nothing)
  })

  test('zeros have a bin of their own', () => {
    const histogram = histogramOf([0, 0, 8])
    expect(toSparse(histogram)).toEqual({
      zero: 2,
      bins: [95],
      counts: [1],
      sum: 8,
      min: 0,
      max: 8,
    })
    expect(quantile(histogram, 0.5)).toBe(0)
    expect(toSparse(histogramOf([0]))).toMatchObject({ zero: 1, min: 0, max: 0 })
  })

  test('the least and the greatest floats are taken', () => {
    const histogram = histogramOf([Number.MIN_VALUE, Number.MAX_VALUE])
    expect(countOf(histogram)).toBe(2)
    expect(quantile(histogram, 0)).toBe(Number.MIN_VALUE)
    expect(quantile(histogram, 1)).toBe(Number.MAX_VALUE)
  })

  test.each([
    -1,
    -Number.MIN_VALUE,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ])('%p is refused, and leaves the histogram as it was', (value) => {
    const histogram = histogramOf([5])
    expect(() => record(histogram, value)).toThrow(RangeError)
    expect(toSparse(histogram)).toEqual(toSparse(histogramOf([5])))
  })

  test.each([-0.1, 1.1, Number.NaN])('there is no quantile %p', (q) => {
    expect(quantile(histogramOf([5]), q)).toBeUndefined()
  })

  test('a value recorded many times at once counts as often', () => {
    const histogram = emptyHistogram()
    record(histogram, 3, 4)
    expect(toSparse(histogram)).toEqual(toSparse(histogramOf([3, 3, 3, 3])))
  })
})
