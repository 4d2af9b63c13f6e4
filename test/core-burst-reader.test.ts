import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { encodeBurst, type PackedBurst, readBurst } from '../core/burst.ts'
import { readKeptBurst, readNextBurst } from '../core/burst-reader.ts'
import { Cells } from '../core/cell.ts'
import { cellsToWire } from '../core/cell-wire.ts'
import { arbitraryBurst } from './arbitraries.ts'
import { emptyBurst } from './bursts.ts'

/** All that a burst holds: its requests as the cells they make. */
function contentOf({ requests, ...burst }: PackedBurst): object {
  const cells = new Cells()
  cells.addRequests(burst.app, requests)
  return { ...burst, requests: cellsToWire(cells) }
}

const arbitraryValue = fc
  .tuple(arbitraryBurst, fc.boolean())
  .map(([burst, isText]) => (isText ? encodeBurst(burst).toBase64() : encodeBurst(burst)))

test('a burst is read alike whatever was read before it', () => {
  fc.assert(
    fc.property(fc.array(arbitraryValue, { maxLength: 5 }), (values) => {
      for (const value of values) {
        expect(contentOf(readNextBurst(value))).toEqual(contentOf(readBurst(value)))
      }
    }),
  )
})

test('a burst that is kept stays as it is while others are read', () => {
  fc.assert(
    fc.property(fc.array(arbitraryValue, { maxLength: 5 }), (values) => {
      const kept = values.map(readKeptBurst)
      for (const value of values) readNextBurst(value)
      expect(kept.map(contentOf)).toEqual(values.map((value) => contentOf(readBurst(value))))
    }),
  )
})

describe('names are told apart', () => {
  const expectRead = (name: string): void => {
    expect(readNextBurst(encodeBurst({ ...emptyBurst, drain: name })).drain).toBe(name)
  }

  test('where their bytes have one hash', () => {
    // 31 * 'A' + 'a' = 31 * 'B' + 'B'
    for (const name of ['Aa', 'BB', 'Aa', '', '\ufeffAa']) expectRead(name)
  })

  test('where the characters of one are the bytes of the other, and of one hash as well', () => {
    for (const name of ['Â\xadaÒ¢', '\xadaҢ']) expectRead(name)
  })
})

test('a record larger than what is kept for the next is read as well', () => {
  const drain = 'd'.repeat(1000)
  const points = Array.from({ length: 100 }, (_, i) => ({
    ...{ kind: 'gauge' as const, timeMs: 0, process: 'web', source: '', value: i },
    name: `${i}${'n'.repeat(990)}`,
  }))
  const signals = { points, markers: [], dynos: [] }
  const value = encodeBurst({ ...emptyBurst, drain, signals }).toBase64()
  expect(value.length).toBeGreaterThan(65_536)
  expect(contentOf(readNextBurst(value))).toEqual(contentOf(readBurst(value)))
})
