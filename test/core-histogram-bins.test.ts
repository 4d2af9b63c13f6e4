import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { binOf, emptyHistogram, lowerBound, record, toSparse } from '../core/histogram.ts'

const bits = new DataView(new ArrayBuffer(8))

/** The float that lies `steps` floats above a positive `value`. */
function neighbour(value: number, steps: bigint): number {
  bits.setFloat64(0, value)
  bits.setBigUint64(0, bits.getBigUint64(0) + steps)
  return bits.getFloat64(0)
}

/** Whether a normal float is above 2^(bin/32), told exactly: value^32 > 2^bin. */
function isAbove(value: number, bin: number): boolean {
  bits.setFloat64(0, value)
  const raw = bits.getBigUint64(0)
  const exponent = Number(raw >> 52n) - 1075
  const power = ((raw & (2n ** 52n - 1n)) | (2n ** 52n)) ** 32n
  const shift = BigInt(bin - 32 * exponent)
  return shift < 0n || power > 1n << shift
}

test('every whole number from 1 to 65,535 is recorded in the bin of the definition', () => {
  for (let value = 1; value <= 65_535; value++) {
    const bin = binOf(value)
    const right = isAbove(value, bin) && !isAbove(value, bin + 1)
    if (!right) throw new Error(`${value} is not in bin ${bin}`)
    const histogram = emptyHistogram()
    record(histogram, value)
    const { bins } = toSparse(histogram)
    if (bins.length !== 1 || bins[0] !== bin) throw new Error(`${value} was put in ${bins}`)
  }
})

test('a power of two ends its bin, and the next float begins another', () => {
  for (let exponent = -1021; exponent <= 1023; exponent++) {
    const power = 2 ** exponent
    expect(binOf(power)).toBe(exponent * 32 - 1)
    expect(binOf(neighbour(power, 1n))).toBe(exponent * 32)
    expect(binOf(neighbour(power, -1n))).toBe(exponent * 32 - 1)
  }
})

test('a bound is within two floats of 2^(i/32)', () => {
  for (let bin = -32 * 1000; bin < 32 * 1000; bin += 1) {
    const bound = lowerBound(bin)
    const near = !isAbove(neighbour(bound, -2n), bin) && isAbove(neighbour(bound, 2n), bin)
    if (!near) throw new Error(`bin ${bin} begins at ${bound}`)
  }
})

test('a bound belongs to the bin below it', () => {
  for (let bin = -32 * 1000; bin < 32 * 1000; bin += 7) {
    expect(binOf(lowerBound(bin))).toBe(bin - 1)
    expect(binOf(neighbour(lowerBound(bin), 1n))).toBe(bin)
  }
})

test('any value lies between the bounds of its bin', () => {
  fc.assert(
    fc.property(fc.double({ min: 2 ** -1021, noDefaultInfinity: true, noNaN: true }), (value) => {
      const bin = binOf(value)
      expect(value).toBeGreaterThan(lowerBound(bin))
      expect(value).toBeLessThanOrEqual(lowerBound(bin + 1))
    }),
  )
})

test('1 ms to 30 s takes 477 bins', () => {
  // The bin of 1 itself, (2^(-1/32), 1], is the first of them.
  expect(binOf(30_000) - binOf(1) + 1).toBe(477)
})
