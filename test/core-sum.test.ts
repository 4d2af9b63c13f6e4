import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { emptyHistogram, merge, record } from '../core/histogram.ts'
import { summand } from '../core/sum.ts'

/** Below 2^29 in all, where sums of fractions are exact. */
const fractions = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 500 })

/** Below 2^53 in all: bytes, mostly. */
const wholes = fc.array(fc.integer({ min: -1e12, max: 1e12 }), { maxLength: 500 })

const values = fc.oneof(fractions, wholes)

const shuffled = values.chain((some) =>
  fc.tuple(
    fc.constant(some),
    fc.shuffledSubarray(some, { minLength: some.length, maxLength: some.length }),
  ),
)

const sumOf = (some: readonly number[]): number => some.map(summand).reduce((a, b) => a + b, 0)

test('the order of adding never matters', () => {
  fc.assert(
    fc.property(shuffled, ([some, others]) => {
      expect(sumOf(others)).toBe(sumOf(some))
    }),
  )
})

test('nor does how the values are grouped', () => {
  fc.assert(
    fc.property(values, fc.nat(500), (some, at) => {
      const grouped = sumOf(some.slice(0, at)) + sumOf(some.slice(at))
      expect(grouped).toBe(sumOf(some))
    }),
  )
})

test('in a histogram neither: its sum is the same however it was filled and merged', () => {
  fc.assert(
    fc.property(shuffled, fc.nat(500), ([some, others], at) => {
      const whole = emptyHistogram()
      for (const value of some) record(whole, Math.abs(value))
      const parts = [others.slice(at), others.slice(0, at)].map((part) => {
        const histogram = emptyHistogram()
        for (const value of part) record(histogram, Math.abs(value))
        return histogram
      })
      const merged = emptyHistogram()
      for (const part of parts) merge(merged, part)
      expect(merged.sum).toBe(whole.sum)
    }),
  )
})

test('a summand is its value: whole numbers exactly, others within 2^-25', () => {
  fc.assert(
    fc.property(fc.double({ min: -1e15, max: 1e15, noNaN: true }), fc.integer(), (some, whole) => {
      expect(Math.abs(summand(some) - some)).toBeLessThanOrEqual(2 ** -25)
      expect(summand(summand(some))).toBe(summand(some))
      expect(summand(whole)).toBe(whole)
    }),
  )
})

test('a summand is never -0, which JSON does not have', () => {
  for (const value of [-1e-9, -Number.MIN_VALUE, -(2 ** -26)]) expect(summand(value)).toBe(0)
})
