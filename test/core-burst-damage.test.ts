import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { PartitionAggregator } from '../core/aggregate.ts'
import { aggregateRecordSchema, toAggregateRecords } from '../core/aggregate-record.ts'
import {
  ABSENT,
  type Burst,
  BurstError,
  decodeBurst,
  encodeBurst,
  requestColumns,
} from '../core/burst.ts'
import { burstJsonSchema, burstToJson } from '../core/burst-json.ts'
import { emptySignals, type Signals } from '../core/signals.ts'
import { arbitraryBurst } from './arbitraries.ts'

/** What a value came to: a burst, or the error of a record that goes to the dead letters. */
function read(value: string | Uint8Array): Burst | BurstError {
  try {
    return decodeBurst(value)
  } catch (error) {
    if (error instanceof BurstError) return error
    throw error
  }
}

/** Whatever decodes must be good for all that is made of it: one bad record stops nobody. */
function expectUsable(value: Uint8Array): void {
  const burst = read(value)
  const aggregator = new PartitionAggregator()
  aggregator.push({ key: 'demo', value, offset: 0, timestamp: 0 })
  const chunk = aggregator.push({ key: null, value: '', offset: 4096, timestamp: 0 })
  for (const part of chunk === undefined ? [] : toAggregateRecords(0, chunk)) {
    aggregateRecordSchema.parse(JSON.parse(JSON.stringify(part)))
  }
  if (burst instanceof BurstError) expect(chunk?.deadLetters).toHaveLength(1)
  else burstJsonSchema.parse(JSON.parse(JSON.stringify(burstToJson(burst))))
}

describe('a damaged record is a BurstError or a burst that can be used, and nothing else', () => {
  test('cut short anywhere: always an error', () => {
    fc.assert(
      fc.property(arbitraryBurst, (burst) => {
        const value = encodeBurst(burst)
        for (let length = 1; length < value.length; length++) {
          expect(read(value.subarray(0, length))).toBeInstanceOf(BurstError)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('with any bytes changed', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    })
    fc.assert(
      fc.property(arbitraryBurst, damage, (burst, changes) => {
        const value = encodeBurst(burst)
        for (const [at, byte] of changes) value[at % value.length] = byte
        expectUsable(value)
      }),
      { numRuns: 2000 },
    )
  })

  test('with each bit of a small burst flipped', () => {
    const requests = { ...requestColumns(2), processes: ['web', 'api'], codes: ['H12'] }
    requests.timeMs.set([1.4e12, 1.4e12 + 60_000])
    requests.serviceMs.set([3, 30_000])
    requests.process.set([0, 1])
    requests.code.set([ABSENT, 0])
    const ledger = new Map([[1_399_999_980_000, { received: 2, kept: 2 }]])
    const id = '0123456789abcdef'.repeat(2)
    const point = { timeMs: 1.4e12, process: 'web', name: 'load', source: '', value: 0.25 }
    const marker = { timeMs: 1.4e12, process: '', dyno: '', text: 'v1', by: '' }
    const signals: Signals = {
      points: [
        { ...point, kind: 'gauge' },
        { ...point, kind: 'measure' },
      ],
      markers: [{ ...marker, kind: 'release' }],
      dynos: [{ timeMs: 1.4e12, dyno: 'web.1', instance: 'a-1' }],
    }
    const header = { id, app: 'demo', drain: 'heroku', receivedAtMs: 1.4e12, ledger }
    const value = encodeBurst({ ...header, requests, signals })
    for (let bit = 0; bit < value.length * 8; bit++) {
      const damaged = value.slice()
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expectUsable(damaged)
    }
  })

  test('made of random bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.boolean(),
        (bytes, headed) => {
          if (headed) bytes[0] = 1
          expectUsable(bytes)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('made of random text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        read(text)
        read(`AQ${text}`)
      }),
    )
  })

  test('with something behind its end', () => {
    fc.assert(
      fc.property(arbitraryBurst, fc.uint8Array({ minLength: 1 }), (burst, more) => {
        const value = new Uint8Array([...encodeBurst(burst), ...more])
        expect(read(value)).toMatchObject({ code: 'corrupt' })
      }),
    )
  })
})

describe('what was written by a newer Shelf', () => {
  const value = encodeBurst({
    id: '00'.repeat(16),
    app: 'demo',
    drain: 'heroku',
    receivedAtMs: 0,
    ledger: new Map(),
    requests: requestColumns(0),
    signals: emptySignals(),
  })

  test('another version is unknown-version', () => {
    // 0x41 is left out: it stands for base64.
    for (let version = 0; version < 256; version++) {
      if (version === 1 || version === 0x41) continue
      const other = value.slice()
      other[0] = version
      expect(read(other)).toMatchObject({ code: 'unknown-version' })
      expect(read(other.toBase64())).toMatchObject({ code: 'unknown-version' })
    }
  })

  test('another section is unknown-section', () => {
    const other = value.slice()
    other[other.length - 1] = 77
    expect(read(other)).toMatchObject({ code: 'unknown-section' })
  })
})
