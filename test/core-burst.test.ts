import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { ABSENT, type Burst, decodeBurst, encodeBurst, requestColumns } from '../core/burst.ts'
import { RouterLines } from '../core/router-line.ts'
import { emptySignals } from '../core/signals.ts'
import { TIME_MS_MAX } from '../core/time.ts'
import { arbitraryBurst } from './arbitraries.ts'
import {
  byteOrderMark,
  emptyBurst,
  extremes,
  GAUGE,
  MARKER,
  SIGHTING,
  withSignals,
} from './bursts.ts'
import { sharedData, testOn } from './data.ts'

const routerLog = sharedData('playlab-router.log')

describe('decode(encode(burst)) is the burst', () => {
  test('for any burst, as bytes, as base64 text and as the bytes of base64 text', () => {
    fc.assert(
      fc.property(arbitraryBurst, (burst) => {
        const value = encodeBurst(burst)
        expect(decodeBurst(value)).toStrictEqual(burst)
        expect(decodeBurst(value.toBase64())).toStrictEqual(burst)
        expect(decodeBurst(new TextEncoder().encode(value.toBase64()))).toStrictEqual(burst)
      }),
      { numRuns: 300, examples: [[emptyBurst], [byteOrderMark], [extremes]] },
    )
  })

  test.each([0, 1, 255, 256, 65_535, 65_536, 2 ** 24 - 1, 2 ** 24, 2 ** 32 - 1, 2 ** 32, 1e14 - 1])(
    'for a column whose values are up to %p apart',
    (spread) => {
      const requests = { ...requestColumns(3), processes: ['web'] }
      requests.bytes.set([0, spread, Math.floor(spread / 2)])
      requests.code.fill(ABSENT)
      const burst = { ...emptyBurst, requests }
      expect(decodeBurst(encodeBurst(burst))).toStrictEqual(burst)
    },
  )

  test('for a value that lies inside a larger buffer', () => {
    const value = encodeBurst({ ...emptyBurst, app: 'demo' })
    const larger = new Uint8Array(value.length + 20).fill(0x41)
    larger.set(value, 10)
    expect(decodeBurst(larger.subarray(10, 10 + value.length)).app).toBe('demo')
  })

  test('and encoding is a function of the burst alone', () => {
    fc.assert(
      fc.property(arbitraryBurst, (burst) => {
        const value = encodeBurst(burst)
        expect(encodeBurst(decodeBurst(value))).toEqual(value)
      }),
    )
  })
})

describe('what the raw topic could not give back is not written', () => {
  const withRequest = (set: (requests: Burst['requests']) => void): Burst => {
    const requests = { ...requestColumns(1), processes: ['web'] }
    requests.code.fill(ABSENT)
    set(requests)
    return { ...emptyBurst, requests }
  }

  test.each<[string, Burst]>([
    ['an app of no name', { ...emptyBurst, app: '' }],
    ['an app of any name', { ...emptyBurst, app: 'jane@example.com' }],
    ['a NUL, which Postgres does not take', { ...emptyBurst, drain: 'her\0ku' }],
    ['a text that is too long', withSignals({ markers: [{ ...MARKER, text: 'v'.repeat(1001) }] })],
    ['an id of 15 bytes', { ...emptyBurst, id: '00'.repeat(15) }],
    ['a receipt before 1970', { ...emptyBurst, receivedAtMs: -1 }],
    ['no time of receipt', { ...emptyBurst, receivedAtMs: Number.NaN }],
    ['a request before 1970', withRequest(({ timeMs }) => timeMs.fill(-1))],
    ['a request at no time', withRequest(({ timeMs }) => timeMs.fill(Number.NaN))],
    ['half a byte', withRequest(({ bytes }) => bytes.fill(0.5))],
    ['a negative service time', withRequest(({ serviceMs }) => serviceMs.fill(-2))],
    ['more bytes than 6 bytes hold', withRequest(({ bytes }) => bytes.fill(2 ** 48))],
    ['a status of four digits', withRequest(({ status }) => status.fill(1000))],
    ['a process that is not named', withRequest(({ process }) => process.fill(1))],
    ['half a minute', { ...emptyBurst, ledger: new Map([[30_000, { kept: 1 }]]) }],
    ['a minute before 1970', { ...emptyBurst, ledger: new Map([[-60_000, { kept: 1 }]]) }],
    ['a gauge of NaN', withSignals({ points: [{ ...GAUGE, value: Number.NaN }] })],
    ['a value beyond the limit', withSignals({ points: [{ ...GAUGE, value: -1.001e15 }] })],
    ['a negative measure', withSignals({ points: [{ ...GAUGE, kind: 'measure', value: -1 }] })],
    ['a negative counter', withSignals({ points: [{ ...GAUGE, kind: 'counter', value: -1 }] })],
    ['a point before 1970', withSignals({ points: [{ ...GAUGE, timeMs: -1 }] })],
    ['a point of year 10,000', withSignals({ points: [{ ...GAUGE, timeMs: TIME_MS_MAX + 1 }] })],
    ['half a millisecond', withSignals({ points: [{ ...GAUGE, timeMs: 0.5 }] })],
    ['a marker at no time', withSignals({ markers: [{ ...MARKER, timeMs: Number.NaN }] })],
    ['a dyno before 1970', withSignals({ dynos: [{ ...SIGHTING, timeMs: -1 }] })],
  ])('%s is a RangeError', (_what, burst) => {
    expect(() => encodeBurst(burst)).toThrow(RangeError)
  })
})

describe('size', () => {
  const LINES = 100

  /** The real lines as bursts of 100, the way the edge makes them. */
  function* routerBursts(): Generator<Burst> {
    const lines = routerLog.text.trimEnd().split('\n')
    for (let from = 0; from < lines.length; from += LINES) {
      const slice = lines.slice(from, from + LINES)
      const requests = requestColumns(slice.length)
      slice.forEach((text, i) => {
        const bytes = new TextEncoder().encode(text)
        const read = new RouterLines(bytes)
        if (!read.read(text.indexOf(': ') + 2, bytes.length)) throw new Error(text)
        const { line } = read
        const { processStart, processEnd } = line
        const process = text.slice(processStart, processEnd)
        if (!requests.processes.includes(process)) requests.processes.push(process)
        requests.timeMs[i] = Date.parse(text.slice(0, text.indexOf(' ')))
        requests.serviceMs[i] = line.serviceMs
        requests.connectMs[i] = line.connectMs
        requests.status[i] = line.status
        requests.bytes[i] = line.bytes
        requests.process[i] = requests.processes.indexOf(process)
        requests.code[i] = ABSENT
      })
      const receivedAtMs = Math.max(...requests.timeMs)
      const minuteMs = Math.floor(receivedAtMs / 60_000) * 60_000
      const ledger = new Map([[minuteMs, { received: slice.length, kept: slice.length }]])
      const id = 'ab'.repeat(16)
      const burst = { id, app: 'playlab', drain: 'heroku', receivedAtMs, ledger, requests }
      yield { ...burst, signals: emptySignals() }
    }
  }

  testOn([routerLog], 'a real router line takes at most 11 bytes, 14 as base64', () => {
    let lines = 0
    let text = 0
    for (const burst of routerBursts()) {
      const rows = burst.requests.timeMs.length
      const value = encodeBurst(burst)
      lines += rows
      text += value.toBase64().length
      // The last burst is shorter: its header weighs more.
      if (rows === LINES) expect(value.length / rows).toBeLessThanOrEqual(11)
    }
    expect(lines).toBe(11_865)
    expect(text / lines).toBeLessThanOrEqual(14)
  })
})
