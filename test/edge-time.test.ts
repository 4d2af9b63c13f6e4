/** When a message happened: its own time, or that of receipt. */
import { afterAll, describe, expect, test } from 'bun:test'
import { minuteOf } from '../core/ledger.ts'
import { message, request, startEdge, TIME, totals } from './edge.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

describe('the time of a message', () => {
  const line = (time: string): string => request().replace(TIME, time)

  test.each<[string, number]>([
    ['2025-11-22T08:00:00+00:00', 0],
    ['2025-11-22T08:00:00.1+00:00', 100],
    ['2025-11-22T08:00:00.12+00:00', 120],
    ['2025-11-22T08:00:00.123+00:00', 123],
    ['2025-11-22T08:00:00.1239+00:00', 123],
    ['2025-11-22T08:00:00.99999+00:00', 999],
    ['2025-11-22T08:00:00.999999+00:00', 999],
    ['2025-11-22T08:00:00.000999Z', 0],
    ['2025-11-22T10:30:00.5+02:30', 500],
  ])('is read to the ms: %s', async (time, ms) => {
    const burst = await edge.burstOf(line(time))
    expect([...burst.requests.timeMs]).toEqual([Date.parse('2025-11-22T08:00:00Z') + ms])
  })

  test('that gives none is that of receipt', async () => {
    const burst = await edge.burstOf(line('-'), message('x', { time: '-', app: 'app' }))
    expect([...burst.requests.timeMs]).toEqual([burst.receivedAtMs])
    expect([...burst.ledger]).toEqual([
      [minuteOf(burst.receivedAtMs), { received: 2, kept: 1, ignoredOutput: 1 }],
    ])
  })

  test('of next year is that of receipt, and counted', async () => {
    const burst = await edge.burstOf(line(new Date(Date.now() + 365 * 86_400_000).toISOString()))
    expect([...burst.requests.timeMs]).toEqual([burst.receivedAtMs])
    expect(totals(burst)).toEqual({ received: 1, kept: 1, future: 1 })
  })

  test('a little ahead, as clocks are, is its own', async () => {
    const timeMs = Date.now() + 60_000
    const burst = await edge.burstOf(line(new Date(timeMs).toISOString()))
    expect([...burst.requests.timeMs]).toEqual([timeMs])
    expect(totals(burst)).toEqual({ received: 1, kept: 1 })
  })

  test('of 2014 is its own, in the ledger as well, where it came late', async () => {
    const burst = await edge.burstOf(line('2014-07-17T12:59:25.223980+00:00'))
    const timeMs = Date.parse('2014-07-17T12:59:25.223Z')
    expect([...burst.requests.timeMs]).toEqual([timeMs])
    expect([...burst.ledger]).toEqual([[minuteOf(timeMs), { received: 1, kept: 1, late: 1 }]])
  })

  test('is late where its minutes were dropped, after 7 days, and what is not kept is never', async () => {
    const ago = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString()
    const output = message('x', { time: ago(8), app: 'app', process: 'web.1' })
    const unknown = message('x', { time: ago(8), process: 'web.1' })
    const burst = await edge.burstOf(line(ago(6.9)), line(ago(7.1)), output, unknown)
    expect(totals(burst)).toEqual({
      ...{ received: 4, kept: 2, late: 1 },
      ...{ ignoredOutput: 1, ignoredUnknown: 1 },
    })
  })

  test.each([
    '1969-12-31T23:59:59Z',
    '1970-01-01T00:00:00+01:00',
    'yesterday',
    '2025-11-22',
    '2025-13-01T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '2025-11-22T08:00:00.Z',
    '2025-11-22T08:00:00',
    'T',
  ])('that can’t be one is malformed: %s', async (time) => {
    const burst = await edge.burstOf(request(), line(time))
    expect(totals(burst)).toEqual({ received: 2, kept: 1, malformed: 1 })
  })
})
