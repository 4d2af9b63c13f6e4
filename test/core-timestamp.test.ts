import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseTimestamp } from '../core/timestamp.ts'
import { bytesOf } from './frames.ts'

/** What the bytes of `text` say, where they lie inside a larger body. */
function timeOf(text: string): number {
  const body = bytesOf(`9${text}9`)
  return parseTimestamp(body, 1, body.length - 1)
}

describe('a timestamp', () => {
  const two = (n: number): string => String(n).padStart(2, '0')

  const arbitraryOffset = fc.oneof(
    fc.constantFrom({ text: 'Z', minutes: 0 }, { text: '+00:00', minutes: 0 }),
    fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }).map((minutes) => {
      const size = Math.abs(minutes)
      const text = `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`
      return { text, minutes }
    }),
  )

  test('is read as Date.parse reads it, whatever its fraction and offset', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 24 * 3600, max: Date.UTC(9999, 11, 31) / 1000 - 24 * 3600 }),
        fc.stringMatching(/^\d{0,9}$/),
        arbitraryOffset,
        (second, fraction, offset) => {
          const local = new Date((second + offset.minutes * 60) * 1000).toISOString().slice(0, 19)
          const text = `${local}${fraction === '' ? '' : '.'}${fraction}${offset.text}`
          expect(timeOf(text)).toBe(second * 1000 + Number(fraction.padEnd(3, '0').slice(0, 3)))
          expect(timeOf(text)).toBe(Date.parse(text))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('is read on every day from 1970 to 2400', () => {
    for (let ms = 0; ms < Date.UTC(2400, 0, 1); ms += 86_400_000) {
      const text = new Date(ms).toISOString()
      if (timeOf(text) !== ms) throw new Error(`${text} is read as ${timeOf(text)}`)
    }
  })

  test('is read with small letters for T and Z', () => {
    expect(timeOf('2025-11-22t08:00:00z')).toBe(Date.UTC(2025, 10, 22, 8))
  })

  test('at a leap second is the first moment of the next minute', () => {
    expect(timeOf('2016-12-31T23:59:60.5Z')).toBe(Date.UTC(2017, 0, 1) + 500)
  })

  test.each([
    '',
    '-',
    'now',
    '1732262400',
    '2025-11-22',
    '2025-11-22T08:00',
    '2025-11-22T08:00:00',
    '2025-11-22 08:00:00Z',
    '2025-11-22T08:00:00 Z',
    '2025/11/22T08:00:00Z',
    '2025-11-22T08.00.00Z',
    '2025-00-22T08:00:00Z',
    '2025-13-22T08:00:00Z',
    '2025-11-00T08:00:00Z',
    '2025-11-31T08:00:00Z',
    '2025-02-29T08:00:00Z',
    '2024-02-30T08:00:00Z',
    '2100-02-29T08:00:00Z',
    '2025-04-31T08:00:00Z',
    '2025-11-22T24:00:00Z',
    '2025-11-22T08:60:00Z',
    '2025-11-22T08:00:61Z',
    '2025-11-22T08:00:0xZ',
    '2025-11-22T08:00:00.Z',
    '2025-11-22T08:00:00.1234567890Z',
    '2025-11-22T08:00:00,123Z',
    '2025-11-22T08:00:00.12',
    '2025-11-22T08:00:00.12-',
    '2025-11-22T08:00:00+0000',
    '2025-11-22T08:00:00+00',
    '2025-11-22T08:00:00+00:0',
    '2025-11-22T08:00:00+00:000',
    '2025-11-22T08:00:00+24:00',
    '2025-11-22T08:00:00+00:60',
    '2025-11-22T08:00:00+99:99',
    '2025-11-22T08:00:00ZZ',
    '2025-11-22T08:00:00+00-00',
    '+025-11-22T08:00:00Z',
    '12025-11-22T08:00:00Z',
    '1969-12-31T23:59:59Z',
    '1970-01-01T00:59:59+01:00',
    '0000-01-01T00:00:00Z',
  ])('that is none, or before 1970, is refused: %p', (text) => {
    expect(timeOf(text)).toBeNaN()
  })

  test('is never read beyond its end', () => {
    const text = '2025-11-22T08:00:00.123456+00:00'
    const body = bytesOf(text)
    for (let end = 0; end < text.length; end++) {
      expect(parseTimestamp(body, 0, end)).toBeNaN()
    }
    expect(parseTimestamp(body, 0, text.length)).toBe(Date.parse(text))
  })

  test('of any bytes is a time from 1970 on or none', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,10})?(Z|[+-]\d\d:\d\d)$/),
        (text) => {
          const timeMs = timeOf(text)
          if (!Number.isNaN(timeMs)) expect(timeMs).toBeGreaterThanOrEqual(0)
        },
      ),
    )
  })
})
