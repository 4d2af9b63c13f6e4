import { describe, expect, test } from 'bun:test'
import { ABSENT, type Burst, BurstError, decodeBurst } from '../core/burst.ts'
import { ByteWriter } from '../core/bytes.ts'

/** What a value came to: a burst, or the error of a record that goes to the dead letters. */
function read(value: string | Uint8Array): Burst | BurstError {
  try {
    return decodeBurst(value)
  } catch (error) {
    if (error instanceof BurstError) return error
    throw error
  }
}

describe('a small record never costs much', () => {
  /** The header of a burst, up to the sections. */
  function header(): ByteWriter {
    const writer = new ByteWriter()
    writer.byte(1)
    writer.raw(new Uint8Array(16))
    for (const text of ['demo', 'heroku']) writer.string(text)
    for (const number of [0, 0]) writer.varint(number)
    return writer
  }

  /** Requests whose columns are all of width 0, which take no bytes for a row. */
  function flatSection(writer: ByteWriter, rows: number): void {
    for (const number of [1, rows, 1]) writer.varint(number)
    writer.string('web')
    writer.varint(0)
    for (const least of [0, 0, 0, 200, 0, 0, ABSENT]) {
      writer.byte(0)
      writer.signed(least)
    }
  }

  const hugeCounts = [1e5, 1e6, 1e9, 2 ** 32, 2 ** 48, Number.MAX_SAFE_INTEGER]

  test.each(hugeCounts)('%p requests in a few bytes are refused', (rows) => {
    const writer = header()
    flatSection(writer, rows)
    writer.byte(0)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })

  test.each(hugeCounts)('%p names in a few bytes are refused', (names) => {
    const writer = header()
    for (const number of [1, 1, names]) writer.varint(number)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })

  test.each(hugeCounts)('%p ledger rows in a few bytes are refused', (rows) => {
    const writer = new ByteWriter()
    writer.byte(1)
    writer.raw(new Uint8Array(16))
    for (const text of ['demo', 'heroku']) writer.string(text)
    for (const number of [0, rows]) writer.varint(number)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })

  test('as many requests as a body can hold are read, however few bytes they take', () => {
    const writer = header()
    flatSection(writer, 40_000)
    writer.byte(0)
    const burst = decodeBurst(writer.finish())
    expect(burst.requests.timeMs).toHaveLength(40_000)
    expect(burst.requests.status[39_999]).toBe(200)
  })

  test.each(hugeCounts)('%p texts of signals in a few bytes are refused', (texts) => {
    const writer = header()
    for (const number of [2, texts]) writer.varint(number)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })

  test.each(hugeCounts)('%p points, markers or dynos in a few bytes are refused', (rows) => {
    for (const before of [0, 1, 2]) {
      const writer = header()
      writer.varint(2)
      for (let empty = 0; empty <= before; empty++) writer.varint(0)
      writer.varint(rows)
      expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
    }
  })

  /** A section of one gauge, whose texts are all the first of the table. */
  function pointSection(writer: ByteWriter, kind: number, value: number, text: number): void {
    for (const number of [2, 1]) writer.varint(number)
    writer.string('web')
    writer.varint(1)
    writer.byte(kind)
    for (const number of [0, text, text, text]) writer.varint(number)
    writer.float(value)
    for (const number of [0, 0]) writer.varint(number)
  }

  test.each<[string, number, number, number]>([
    ['a value that is none', 0, Number.NaN, 0],
    ['a value beyond the limit', 0, 1.001e15, 0],
    ['an endless value', 0, Number.NEGATIVE_INFINITY, 0],
    ['a negative counter', 1, -1, 0],
    ['a negative measure', 2, -1, 0],
    ['another kind', 3, 1, 0],
    ['a text behind the table', 0, 1, 1],
  ])(
    'a point with %s is refused: sums and histograms would refuse it later',
    (_what, kind, value, text) => {
      const bad = header()
      pointSection(bad, kind, value, text)
      bad.byte(0)
      expect(read(bad.finish())).toMatchObject({ code: 'corrupt' })
    },
  )

  test.each([
    ['a NUL, which Postgres does not take', 'a\0b'],
    ['more characters than the log holds', 'n'.repeat(1001)],
  ])('a text with %s is refused', (_what, text) => {
    const writer = header()
    for (const number of [2, 1]) writer.varint(number)
    writer.raw(new TextEncoder().encode(text), true)
    for (const number of [0, 0, 0, 0]) writer.varint(number)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })

  test('a point is read', () => {
    const good = header()
    pointSection(good, 0, 1, 0)
    good.byte(0)
    const words = { process: 'web', name: 'web', source: 'web' }
    expect(decodeBurst(good.finish()).signals.points).toEqual([
      { kind: 'gauge', timeMs: 0, value: 1, ...words },
    ])
  })

  test('a second section of signals is refused: the first would be lost', () => {
    const writer = header()
    pointSection(writer, 0, 1, 0)
    pointSection(writer, 0, 1, 0)
    writer.byte(0)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })

  test('a second section of requests is refused: the first would be lost', () => {
    const writer = header()
    for (let section = 0; section < 20_000; section++) flatSection(writer, 40_000)
    writer.byte(0)
    expect(read(writer.finish())).toMatchObject({ code: 'corrupt' })
  })
})
