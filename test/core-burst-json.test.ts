import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { ABSENT, requestColumns } from '../core/burst.ts'
import { burstFromJson, burstJsonSchema, burstToJson } from '../core/burst-json.ts'
import { emptySignals } from '../core/signals.ts'
import { VALUE_MAX } from '../core/units.ts'
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

describe('parse(print(burst)) is the burst', () => {
  test('for any burst, and the schema accepts what is printed', () => {
    fc.assert(
      fc.property(arbitraryBurst, (burst) => {
        const line = JSON.stringify(burstToJson(burst))
        expect(burstFromJson(burstJsonSchema.parse(JSON.parse(line)))).toStrictEqual(burst)
      }),
      { numRuns: 300, examples: [[emptyBurst], [byteOrderMark], [extremes]] },
    )
  })

  const printed = burstToJson({
    ...emptyBurst,
    requests: { ...requestColumns(1), processes: [''] },
  })

  test('an absent value is not printed, and a zero is', () => {
    const requests = { ...requestColumns(1), processes: ['web'] }
    requests.serviceMs.fill(ABSENT)
    requests.code.fill(ABSENT)
    expect(burstToJson({ ...emptyBurst, requests }).requests).toEqual([
      { time: '1970-01-01T00:00:00.000Z', process: 'web', connect: 0, status: 0, bytes: 0 },
    ])
  })

  test.each([
    ['a service time that no column holds', { service: 2 ** 31 }],
    ['a connect time that no column holds', { connect: 2 ** 31 }],
    ['a status of four digits', { status: 1000 }],
    ['more bytes than a column holds', { bytes: 2 ** 48 }],
    ['a negative service time', { service: -1 }],
    ['half a millisecond', { service: 0.5 }],
    ['a time before 1970', { time: '1969-12-31T23:59:59.999Z' }],
    ['no time', { time: 'yesterday' }],
  ])('a line with %s is refused', (_what, change) => {
    const requests = printed.requests.map((request) => ({ ...request, ...change }))
    expect(burstJsonSchema.safeParse(printed).success).toBe(true)
    expect(burstJsonSchema.safeParse({ ...printed, requests }).success).toBe(false)
  })

  test('what is empty is not printed', () => {
    const { points, markers, dynos } = burstToJson(
      withSignals({ points: [GAUGE], markers: [MARKER], dynos: [SIGHTING] }),
    )
    const time = '1970-01-01T00:00:00.000Z'
    expect(points).toEqual([
      { time, kind: 'gauge', process: 'web', name: 'load_avg_1m', value: 0.5 },
    ])
    expect(markers).toEqual([{ time, kind: 'release', text: 'v42' }])
    expect(dynos).toEqual([{ time, dyno: 'web.1', instance: 'a-1' }])
  })

  test('a line of before there were signals is read', () => {
    const { points, markers, dynos, ...line } = printed
    expect(burstFromJson(burstJsonSchema.parse(line)).signals).toEqual(emptySignals())
  })

  test.each([
    ['a value beyond the limit', { value: VALUE_MAX * 1.001 }],
    ['a negative measure', { kind: 'measure', value: -1 }],
    ['a negative counter', { kind: 'counter', value: -1 }],
    ['no value', { value: null }],
    ['another kind', { kind: 'histogram' }],
    ['a name that is too long', { name: 'n'.repeat(1001) }],
    ['a NUL', { source: '\0' }],
    ['a time before 1970', { time: '1969-12-31T23:59:59.999Z' }],
  ])('a point with %s is refused', (_what, change) => {
    const point = burstToJson(withSignals({ points: [GAUGE] })).points[0]
    expect(burstJsonSchema.safeParse({ ...printed, points: [point] }).success).toBe(true)
    const points = [{ ...point, ...change }]
    expect(burstJsonSchema.safeParse({ ...printed, points }).success).toBe(false)
  })

  test('a line received before 1970 is refused', () => {
    const received = '1969-12-31T23:59:59.999Z'
    expect(burstJsonSchema.safeParse({ ...printed, received }).success).toBe(false)
  })
})
