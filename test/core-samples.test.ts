import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseSamples, type Sample } from '../core/samples.ts'
import { sharedData, testOn } from './data.ts'

const exampleRows = sharedData('logplex-examples.jsonl')

/** The samples of a line as `kind name` and value. */
function read(text: string): Record<string, number> | undefined {
  const line = parseSamples(text)
  return line && valuesOf(line.samples)
}

const valuesOf = (samples: readonly Sample[]): Record<string, number> =>
  Object.fromEntries(samples.map(({ kind, name, value }) => [`${kind} ${name}`, value]))

const GIB = 2 ** 30

describe('real lines', () => {
  const lineOf = (kind: string): string => {
    const rows = exampleRows.text.trimEnd().split('\n')
    const row = rows.map((json) => JSON.parse(json)).find((some) => some.kind === kind)
    return row.msg.trimEnd()
  }

  testOn([exampleRows], 'of load and memory are read', () => {
    expect(parseSamples(lineOf('memory'))).toMatchObject({
      source: 'background_worker.1',
      addon: '',
      dyno: 'heroku.97268060.cfb234af-179b-484d-87ef-49cf17de13ae',
      unreadable: 0,
    })
    expect(read(lineOf('memory'))).toEqual({
      'gauge memory_total': 340_168_540,
      'gauge memory_rss': 333_373_768,
      'gauge memory_cache': 6_794_772,
      'gauge memory_swap': 0,
      'gauge memory_pgpgin': 145_418,
      'gauge memory_pgpgout': 62_370,
      'gauge memory_quota': GIB / 2,
    })
    expect(read(lineOf('load'))).toEqual({
      'gauge load_avg_1m': 0,
      'gauge load_avg_5m': 0,
      'gauge load_avg_15m': 0,
    })
  })

  testOn([exampleRows], 'of a young dyno lack the longer loads, which then are absent', () => {
    expect(read(lineOf('load-partial'))).toEqual({ 'gauge load_avg_1m': 0, 'gauge load_avg_5m': 0 })
  })

  testOn([exampleRows], 'of add-ons are read', () => {
    expect(parseSamples(lineOf('postgres'))).toMatchObject({
      source: 'HEROKU_POSTGRESQL_GREEN',
      addon: 'postgresql-triangular-70792',
      unreadable: 0,
    })
    expect(read(lineOf('postgres'))).toEqual({
      'gauge current_transaction': 369_961,
      'gauge db_size': 194_056_863,
      'gauge tables': 57,
      'gauge active-connections': 12,
      'gauge waiting-connections': 0,
      'gauge index-cache-hit-rate': 0.99996,
      'gauge table-cache-hit-rate': 0.99986,
      'gauge load-avg-1m': 0,
      'gauge load-avg-5m': 0,
      'gauge load-avg-15m': 0,
      'gauge read-iops': 0,
      'gauge write-iops': 0.067227,
      'gauge tmp-disk-used': 33_849_344,
      'gauge tmp-disk-available': 72_944_943_104,
      'gauge memory-total': 15_657_100 * 1024,
      'gauge memory-free': 12_716_940 * 1024,
      'gauge memory-cached': 2_497_528 * 1024,
      'gauge memory-postgres': 51_036 * 1024,
    })
    expect(read(lineOf('redis'))).toMatchObject({
      'gauge memory-redis': 3_045_976,
      'gauge hit-rate': 0.97585,
      'gauge load-avg-5m': 0.47,
      'gauge evicted-keys': 0,
    })
  })

  testOn([exampleRows], 'of an app are read', () => {
    expect(read(lineOf('l2met'))).toEqual({
      'measure db.latency': 0.004,
      'counter db.vaccum': 1,
      'gauge db.size': 100 * GIB,
    })
    expect(read(lineOf('l2met-bare'))).toEqual({ 'measure a': 1 })
  })

  testOn([exampleRows], 'of all other kinds hold no samples', () => {
    const sampled = /^(load|memory|postgres|redis|l2met)/
    const rows = exampleRows.text.trimEnd().split('\n')
    const others = rows.map((json) => JSON.parse(json)).filter(({ kind }) => !sampled.test(kind))
    expect(others).toHaveLength(48)
    for (const { msg } of others) expect(parseSamples(msg)).toBeUndefined()
  })
})

describe('a line of samples', () => {
  test.each<[string, Record<string, number>]>([
    ['measure#a', { 'measure a': 1 }],
    ['count#a', { 'counter a': 1 }],
    ['measure#a=4ms measure#b=5ms', { 'measure a': 0.004, 'measure b': 0.005 }],
    ['done in 3 s measure#a=4ms at=info', { 'measure a': 0.004 }],
    ['\tmeasure#a=4ms\n\ncount#b=2\r\n', { 'measure a': 0.004, 'counter b': 2 }],
    ['sample#a="5MB"', { 'gauge a': 5 * 2 ** 20 }],
    ['sample#t=-3.5', { 'gauge t': -3.5 }],
    ['measure.hello=1', { 'measure hello': 1 }],
    ['measure#http.GET/users=12ms', { 'measure http.GET/users': 0.012 }],
    ['measure#a= measure#b=2', { 'measure b': 2 }],
  ])('%p is read', (text, samples) => {
    expect(read(text)).toEqual(samples)
  })

  test.each([
    '',
    'measure',
    'measure#',
    'measure# =4',
    'measure#=4',
    'premeasure#a=4',
    'x.measure#a=4',
    'sample=4',
    'sample.csv=4',
    'count.to=10',
    'measure.twice cut once',
    'source=web.1 dyno=heroku.1.a',
    '# measure',
    'MEASURE#a=4',
  ])('%p is none', (text) => {
    expect(parseSamples(text)).toBeUndefined()
  })

  test.each([
    'sample#a=NaN',
    'sample#a=nan',
    'sample#a=Infinity',
    'sample#a=1e308',
    'sample#a=-1e16',
    'sample#a=',
    'sample#a=""',
    'sample#a="',
    'sample#a=5parsecs',
    'sample#a=5=6',
    'measure#a=',
    'measure#a=-4ms',
    'count#a=-1',
    `sample#${'n'.repeat(10_000)}=1`,
    'count#login.jane@example.com=1',
    'count#user=jane@example.com',
    'count#sessions.7f9b14bc-1d3b-47f4-91c1-704964b8793f=1',
    'count#sk_live_4eC39HqLyjWDarjtT1zdp7dc=1',
    'count#hits.203.0.113.4=1',
    'measure#GET/search?q=jane',
  ])('%p holds one that cannot be read, which is counted', (text) => {
    const unread = { samples: [], unreadable: 1 }
    expect(parseSamples(text)).toMatchObject(unread)
    expect(parseSamples(`count#good=2 ${text} sample#fine=3`)).toMatchObject({
      samples: [
        { kind: 'counter', name: 'good', value: 2 },
        { kind: 'gauge', name: 'fine', value: 3 },
      ],
      unreadable: 1,
    })
  })

  test.each([
    ['source=web.1', { source: 'web.1' }],
    ['source="worker.2"', { source: 'worker.2' }],
    [
      'source=db.shard-1 addon=redis-rugged-24473',
      { source: 'db.shard-1', addon: 'redis-rugged-24473' },
    ],
    ['source=a source=b', { source: 'b' }],
    ['source=', { source: '' }],
    ['source=jane@example.com', { source: '' }],
    ['source=203.0.113.4', { source: '' }],
    [`source=${'s'.repeat(101)}`, { source: '' }],
    ['addon=jane@example.com', { addon: '' }],
    ['dyno=heroku.35930502.b9de5fce-44b7-4287-99a7-504519070cba', { source: '' }],
    ['dyno=jane@example.com', { dyno: '' }],
    ['resource=a mysource=b', { source: '' }],
  ])('%p names where its values come from', (words, named) => {
    expect(parseSamples(`${words} count#a=1`)).toMatchObject({ unreadable: 0, ...named })
    expect(parseSamples(`count#a=1 ${words}`)).toMatchObject({ unreadable: 0, ...named })
  })

  test('gives at most 200 values, and counts the others', () => {
    const words = Array.from({ length: 300 }, (_, i) => `count#n${i}=${i}`)
    const line = parseSamples(words.join(' '))
    expect(line?.samples).toHaveLength(200)
    expect(line?.unreadable).toBe(100)
  })

  test('is looked at as far as its last whole word: half a number is a wrong one', () => {
    for (let blanks = 16_360; blanks < 16_400; blanks++) {
      const values = Object.values(read(`count#a=7${' '.repeat(blanks)}count#b=123456`) ?? {})
      expect([[7], [7, 123_456]]).toContainEqual(values)
    }
    expect(read(`count#a=${'1'.repeat(65_536)}`)).toBeUndefined()
  })

  test('printed is read again, in any order and among any words', () => {
    const kinds = { sample: 'gauge', measure: 'measure', count: 'counter' } as const
    const sample = fc.record({
      word: fc.constantFrom('sample' as const, 'measure' as const, 'count' as const),
      name: fc.stringMatching(/^[a-z][a-z._-]{0,30}$/),
      value: fc.integer({ min: 0, max: 1e9 }),
      before: fc.constantFrom('', 'at=info ', 'GET /?a=b ', '"quoted text" ', '# ', '= '),
    })
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 20 }), (samples) => {
        const text = samples.map(({ word, name, value, before }) => {
          return `${before}${word}#${name}=${value}`
        })
        const expected = samples.map(({ word, name, value }) => ({
          kind: kinds[word],
          name,
          value,
        }))
        expect(parseSamples(text.join(' '))).toEqual({
          ...{ samples: expected, unreadable: 0, source: '', addon: '', dyno: '' },
        })
      }),
    )
  })
})
