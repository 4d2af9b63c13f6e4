import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseQuantity, VALUE_MAX, VALUE_MIN } from '../core/units.ts'

describe('a quantity is brought to its base unit', () => {
  test.each([
    // As Heroku and its add-ons print them.
    ['21.22MB', 22_250_783],
    ['512.00MB', 2 ** 29],
    ['836M', 876_609_536],
    ['0.00MB', 0],
    ['194056863bytes', 194_056_863],
    ['15657100kB', 16_032_870_400],
    ['15664876.0kB', 16_040_833_024],
    ['145418pages', 145_418],
    ['0.99996', 0.99996],
    ['0.067227', 0.067227],
    ['72944943104', 72_944_943_104],
    ['0.455', 0.455],
    // As apps do.
    ['4ms', 0.004],
    ['100GB', 100 * 2 ** 30],
    ['1TB', 2 ** 40],
    ['7k', 7168],
    ['3B', 3],
    ['1s', 1],
    ['1sec', 1],
    ['2min', 120],
    ['2h', 7200],
    ['1us', 1e-6],
    ['1µs', 1e-6],
    ['1μs', 1e-6],
    ['1ns', 1e-9],
    ['33%', 0.33],
    ['100%', 1],
    // However a number may be written.
    ['0', 0],
    ['-0', 0],
    ['-12.5', -12.5],
    ['+3', 3],
    ['.5', 0.5],
    ['5.', 5],
    ['1e3', 1000],
    ['1.5e-3s', 0.0015],
    ['2E2MS', 0.2],
    ['00012', 12],
    ['-1.5kB', -1536],
    ['0.3B', 0],
    ['-0.3B', 0],
    ['1e15', VALUE_MAX],
    ['1e-99', 0],
  ])('%p is %p', (text, value) => {
    expect(parseQuantity(text)).toBe(value)
  })

  test('whole ms are exact', () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        expect(parseQuantity(`${ms}ms`)).toBe(ms / 1000)
      }),
    )
  })

  const units = fc.constantFrom(
    ...([
      ['', 1],
      ['ns', 1e-9],
      ['us', 1e-6],
      ['ms', 1e-3],
      ['s', 1],
      ['h', 3600],
      ['%', 0.01],
      ['pages', 1],
      ['bytes', 1],
      ['kB', 2 ** 10],
      ['MB', 2 ** 20],
      ['GB', 2 ** 30],
    ] as const),
  )

  test('whatever the number and its digits: within rounding, and bytes are whole', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(6), units, (digits, decimals, [unit, factor]) => {
        const number = digits / 10 ** decimals
        const value = parseQuantity(`${number.toFixed(decimals)}${unit}`)
        const expected = number * factor
        const isBytes = unit.toLowerCase().endsWith('b') || unit === 'bytes'
        if (Math.abs(expected) > VALUE_MAX) expect(value).toBeUndefined()
        else if (isBytes) expect(value).toBe(Math.round(expected) + 0)
        else if (Math.abs(expected) < VALUE_MIN * 0.99) expect(value).toBe(0)
        else {
          const offBy = Math.abs((value ?? Number.NaN) - expected)
          expect(offBy).toBeLessThanOrEqual(Math.max(Math.abs(expected) * 1e-15, VALUE_MIN))
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('whether the unit is written large or small', () => {
    fc.assert(
      fc.property(fc.integer(), units, (digits, [unit]) => {
        const value = parseQuantity(`${digits}${unit}`)
        expect(parseQuantity(`${digits}${unit.toUpperCase()}`)).toBe(value)
        expect(parseQuantity(`${digits}${unit.toLowerCase()}`)).toBe(value)
      }),
    )
  })
})

describe('what is no quantity is none', () => {
  test.each([
    '',
    ' ',
    'NaN',
    'nan',
    'Infinity',
    '-Infinity',
    'null',
    'undefined',
    'true',
    'MB',
    '%',
    '.',
    '-',
    'e5',
    '1e',
    '1e999',
    '1e16',
    '-1e16',
    '1e15s1',
    '999999TB',
    `1${'0'.repeat(20)}`,
    '1 MB',
    ' 1',
    '1\n',
    '1,000',
    '1.2.3',
    '0x10',
    '--1',
    '١',
    '1MBs',
    '1parsec',
    '1constructor',
    '12:30',
    '203.0.113.4',
  ])('%p', (text) => {
    expect(parseQuantity(text)).toBeUndefined()
  })

  test('any text is a number within the limits, or nothing', () => {
    const letters = fc.constantFrom(...'0123456789.eE+-kKmMgGtTbBsS%µ n'.split(''))
    const text = fc.oneof(fc.string(), fc.string({ unit: letters, maxLength: 12 }))
    fc.assert(
      fc.property(text, (some) => {
        const value = parseQuantity(some)
        if (value === undefined) return
        expect(Object.is(value, -0)).toBe(false)
        expect(Math.abs(value)).toBeLessThanOrEqual(VALUE_MAX)
        expect(value === 0 || Math.abs(value) >= VALUE_MIN).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})
