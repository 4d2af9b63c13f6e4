/** The metrics of language runtimes: what an agent posts is in the log, once. */
import { afterAll, describe, expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { PartitionAggregator } from '../core/aggregate.ts'
import { drainSecret } from '../core/credential.ts'
import { minuteOf } from '../core/ledger.ts'
import { APP, authorization, KEY, type Posted, startEdge, totals } from './edge.ts'
import { JVM, METRICS_PATH, postMetrics, secondsAgo } from './edge-metrics.ts'
import { RUNTIMES } from './edge-runtimes.ts'
import { wordsOf } from './edge-words.ts'

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await startEdge({ runtime })
  afterAll(() => edge.stop())

  /** Where the address of a sender stands. */
  const from = runtime === 'workerd' ? 'cf-connecting-ip' : 'x-forwarded-for'

  const secret = await drainSecret(KEY, APP, 'd1')

  const JVM_WORDS = [
    'gauge web runtime.jvm_memory_bytes_used.area_heap = 61000000',
    'gauge web runtime.jvm_memory_bytes_used.area_nonheap = 42500000',
    'gauge web runtime.jvm_memory_bytes_committed.area_heap = 351000000',
    'gauge web runtime.jvm_memory_bytes_committed.area_nonheap = 48000000',
    'gauge web runtime.jvm_buffer_pool_bytes_used.name_direct = 8192',
    'gauge web runtime.jvm_buffer_pool_bytes_used.name_mapped = 0',
    'counter web runtime.jvm_gc_collection_seconds_count.gc_all = 6',
    'counter web runtime.jvm_gc_collection_seconds_count.gc_G1_Young_Generation = 4',
    'counter web runtime.jvm_gc_collection_seconds_sum.gc_G1_Young_Generation = 5.5',
  ]

  /** What a post came to, where it was taken. */
  function wordsIn({ status, text, bursts }: Posted): string[] {
    expect([status, text, bursts.length]).toEqual([200, '', 1])
    return bursts.flatMap(wordsOf)
  }

  test('what Java’s agent posts lands as gauges and counters, at the time it was measured', async () => {
    const time = secondsAgo(90)
    const posted = await postMetrics(edge, JVM, { headers: { 'measurements-time': time } })
    expect(wordsIn(posted)).toEqual(JVM_WORDS)
    const [burst] = posted.bursts
    const timeMs = Date.parse(time)
    expect(new Set(burst?.signals.points.map((point) => point.timeMs))).toEqual(new Set([timeMs]))
    expect(burst).toMatchObject({ app: APP, drain: 'heroku' })
    expect([...(burst?.ledger ?? [])]).toEqual([[minuteOf(timeMs), { received: 1, kept: 1 }]])
    expect(posted.records.map(({ key }) => key)).toEqual([APP])
  })

  test('credentials stand in the header, or in the path, where an agent sends no header', async () => {
    const path = `${METRICS_PATH}/${APP}/${secret}`
    const inPath = await postMetrics(edge, JVM, { path, headers: { authorization: undefined } })
    expect(wordsIn(inPath)).toEqual(JVM_WORDS)
    const both = await postMetrics(edge, JVM, { path, headers: { authorization: 'Bearer other' } })
    expect(wordsIn(both)).toEqual(JVM_WORDS)
  })

  test.each<[string, Record<string, string>]>([
    ['a charset', { 'content-type': 'application/json; charset=utf-8' }],
    ['an offset', { 'measurements-time': secondsAgo(-3600).replace('Z', '+01:00') }],
    ['a fraction', { 'measurements-time': new Date().toISOString() }],
    ['no count', { 'measurements-count': '' }],
    ['a count that is none', { 'measurements-count': 'many' }],
    ['nearly four minutes', { 'measurements-time': secondsAgo(230) }],
    ['a clock that is ahead', { 'measurements-time': secondsAgo(-230) }],
  ])('a post with %s is taken', async (_, headers) => {
    expect(wordsIn(await postMetrics(edge, JVM, { headers }))).toEqual(JVM_WORDS)
  })

  test('a packed post is taken', async () => {
    const packed = gzipSync(JSON.stringify(JVM))
    const posted = await postMetrics(edge, packed, { headers: { 'content-encoding': 'gzip' } })
    expect(wordsIn(posted)).toEqual(JVM_WORDS)
  })

  test('another process type stands in the URL', async () => {
    const path = `${METRICS_PATH}?process=worker`
    const posted = await postMetrics(edge, { gauges: { heap: 1 } }, { path })
    expect(wordsIn(posted)).toEqual(['gauge worker runtime.heap = 1'])
    const inPath = `${METRICS_PATH}/${APP}/${secret}?process=clock`
    const other = await postMetrics(edge, { counters: { gc: 2 } }, { path: inPath })
    expect(wordsIn(other)).toEqual(['counter clock runtime.gc = 2'])
  })

  test.each(['{}', '{"gauges":{}}', '{"counters":{}}', '{"other":1,"gauges":{}}'])(
    'a post of nothing is taken: %s',
    async (sent) => {
      const posted = await postMetrics(edge, sent)
      expect(wordsIn(posted)).toEqual([])
      expect(totals(posted.bursts[0])).toEqual({ received: 1, kept: 1 })
    },
  )

  test('what can’t be read is counted, and costs no other value', async () => {
    const gauges = {
      'below.zero': -1.5,
      text: '7',
      list: [1],
      nothing: null,
      huge: 1e300,
      'with space': 1,
      [`long.${'x'.repeat(10_000)}`]: 1,
      'heap.ada@example.com': 1,
      'from.203.0.113.77': 1,
      '': 1,
      last: 9,
    }
    const posted = await postMetrics(edge, { gauges, counters: { back: -1, on: 1.25 } })
    expect(wordsIn(posted)).toEqual([
      'gauge web runtime.below.zero = -1.5',
      'gauge web runtime.last = 9',
      'counter web runtime.on = 1.25',
    ])
    expect(totals(posted.bursts[0])).toEqual({ received: 1, kept: 1, unreadable: 10 })
  })

  test('of more values than an agent has, the rest is counted', async () => {
    const gauges = Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`g${i}`, i]))
    const posted = await postMetrics(edge, { gauges })
    expect(wordsIn(posted)).toHaveLength(1000)
    expect(totals(posted.bursts[0])).toEqual({ received: 1, kept: 1, unreadable: 500 })
  })

  describe('of equal posts', () => {
    const time = secondsAgo(10)
    const id = async (
      headers: Record<string, string> = {},
      path = METRICS_PATH,
    ): Promise<string> => {
      const all = { 'measurements-time': time, ...headers }
      const { bursts } = await postMetrics(edge, JVM, { path, headers: all })
      return bursts[0]?.id ?? ''
    }

    test('one that is tried again counts once', async () => {
      const aggregator = new PartitionAggregator()
      const before = await edge.log.offsetAt('raw', 0, 'latest')
      for (let tries = 0; tries < 3; tries++) await id()
      const records = await edge.landed(before)
      expect(records).toHaveLength(3)
      const position = { offset: 0, timestamp: Date.now() }
      for (const [i, { key, value }] of records.entries()) {
        aggregator.push({ ...position, offset: i, key, value })
      }
      const chunk = aggregator.push({ ...position, offset: 4096, key: null, value: '' })
      const gc = [...(chunk?.cells.counters.values() ?? [])].find(({ name }) =>
        name.endsWith('all'),
      )
      expect(gc?.sum).toBe(6)
      const counts = [...(chunk?.cells.ledger.values() ?? [])].map((cell) => cell.counts)
      expect(counts).toEqual([{ received: 3, kept: 1, duplicates: 2 }])
    })

    test('those of two senders, two times, two process types, two drains count each', async () => {
      const ids = [
        await id(),
        await id({ [from]: '198.51.100.1' }),
        await id({ [from]: '198.51.100.2' }),
        await id({ 'measurements-time': secondsAgo(15) }),
        await id({}, `${METRICS_PATH}?process=worker`),
        await id({ authorization: await authorization(APP, 'd2') }),
      ]
      expect(new Set(ids).size).toBe(ids.length)
      expect(await id({ [from]: '198.51.100.2' })).toBe(ids[2] ?? '')
    })
  })
})
