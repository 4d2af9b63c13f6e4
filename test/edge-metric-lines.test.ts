/** Metrics in log lines, of add-ons and of the app itself: units, bad values, lines in two parts. */
import { afterAll, describe, expect, test } from 'bun:test'
import { message, startEdge, totals } from './edge.ts'
import { wordsOf } from './edge-words.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

const line = (text: string, process = 'web.1'): string => message(text, { app: 'app', process })

describe('an app’s own metrics', () => {
  test('stand several in a line, between other words', async () => {
    const burst = await edge.burstOf(
      line('done in 4ms measure#db.latency=4ms count#db.vacuum=1 sample#db.size=100GB bye'),
      line('measure.hello=1'),
      line('measure#a count#b'),
      line('source=eu-1 measure#queue=0.5s', 'worker.2'),
      line('sample#depth=-3 measure#"quoted"=1 count#c="7"'),
    )
    expect(wordsOf(burst)).toEqual([
      'measure web custom.db.latency = 0.004',
      'counter web custom.db.vacuum = 1',
      `gauge web custom.db.size = ${100 * 2 ** 30}`,
      'measure web custom.hello = 1',
      'measure web custom.a = 1',
      'counter web custom.b = 1',
      'measure worker custom.queue [eu-1] = 0.5',
      'gauge web custom.depth = -3',
      'counter web custom.c = 7',
    ])
    expect(totals(burst)).toEqual({ received: 5, kept: 5, unreadable: 1 })
  })

  test.each([
    'Processing by UsersController#show as HTML',
    'GET /page#count=1',
    'discount#5=off',
    'sample.size=3 count.of=4',
    'measure.me',
    'measure#=1',
    '# measure',
    'count #1=2',
  ])('are not what only looks like them: %s', async (text) => {
    const burst = await edge.burstOf(line(text))
    expect([wordsOf(burst), totals(burst)]).toEqual([[], { received: 1, ignoredOutput: 1 }])
  })

  test('are found behind any lines without them, and none in those', async () => {
    const none = ['no metric', 'a # alone', 'Users#show', ''].map((text) => line(text))
    const burst = await edge.burstOf(...none, line('count#a'), ...none, line('count#b'), ...none)
    expect(wordsOf(burst)).toEqual(['counter web custom.a = 1', 'counter web custom.b = 1'])
    expect(totals(burst)).toEqual({ received: 14, kept: 2, ignoredOutput: 12 })
  })
})

test('an add-on’s metrics carry its color and name, and its units are base units', async () => {
  const redis =
    'source=REDIS addon=redis-rugged-24473 sample#memory-total=16167800kB sample#hit-rate=0.7'
  const burst = await edge.burstOf(
    line(redis, 'heroku-redis'),
    line('addon=kafka-flat-1 sample#bytes-in=1.5MB', 'heroku-kafka'),
    line('sample#db_size=15664876.0kB', 'heroku-postgres'),
    line('[COLOR] [12-2] LOG: checkpoint', 'postgres.12345'),
    line('no sample at all', 'heroku-postgres'),
  )
  expect(wordsOf(burst)).toEqual([
    'gauge heroku-redis redis.memory_total [REDIS/redis-rugged-24473] = 16555827200',
    'gauge heroku-redis redis.hit_rate [REDIS/redis-rugged-24473] = 0.7',
    'gauge heroku-kafka kafka.bytes_in [kafka-flat-1] = 1572864',
    'gauge heroku-postgres postgres.db_size = 16040833024',
  ])
  expect(totals(burst)).toEqual({ received: 5, kept: 3, ignoredOutput: 1, ignoredUnknown: 1 })
})

describe('a value that can’t be read is counted, and costs none of its neighbours:', () => {
  const bad: [string, string][] = [
    ['NaN', 'sample#a=NaN'],
    ['infinity', 'sample#a=Infinity'],
    ['a word', 'sample#a=lots'],
    ['no value behind =', 'measure#a='],
    ['an unknown unit', 'sample#a=3furlongs'],
    ['a comma', 'sample#a=1,5'],
    ['hex', 'sample#a=0x10'],
    ['a negative measure', 'measure#a=-4ms'],
    ['a negative count', 'count#a=-1'],
    ['a huge value', 'sample#a=99999999999999999999'],
    ['a huge power', 'sample#a=1e99'],
    ['more digits than are read', `sample#a=${'9'.repeat(5000)}`],
    ['a name of 10 kB', `measure#${'a'.repeat(10_000)}=1`],
    ['a name of other letters', 'measure#größe=1'],
  ]

  test.each(bad)('%s', async (_, text) => {
    const own = await edge.burstOf(line(`count#before=1 ${text} count#behind=2`))
    expect(wordsOf(own)).toEqual(['counter web custom.before = 1', 'counter web custom.behind = 2'])
    const alone = await edge.burstOf(line(text))
    expect(wordsOf(alone)).toEqual([])
    expect(totals(own)).toEqual({ received: 1, kept: 1, unreadable: 1 })
    expect(totals(alone)).toEqual({ received: 1, ignoredOutput: 1, unreadable: 1 })
  })

  test.each(bad)(
    '%s, in a line of which nothing else is known: it is malformed',
    async (_, text) => {
      const burst = await edge.burstOf(
        message(text, { process: 'web.1' }),
        line(text, 'heroku-redis'),
      )
      expect(wordsOf(burst)).toEqual([])
      expect(totals(burst)).toEqual({ received: 2, malformed: 2, unreadable: 2 })
    },
  )

  test('values over the limit of a line', async () => {
    const burst = await edge.burstOf(line('count#a '.repeat(1000)))
    expect(burst.signals.points).toHaveLength(200)
    expect(totals(burst)).toEqual({ received: 1, kept: 1, unreadable: 800 })
  })
})

test.each([
  ['sample#a=5', 5],
  ['sample#a=.5', 0.5],
  ['sample#a=5.', 5],
  ['sample#a=+5e3', 5000],
  ['sample#a=-0', 0],
  ['sample#a=12%', 0.12],
  ['sample#a=250us', 0.00025],
  ['sample#a=3min', 180],
  ['sample#a=1000000000000000', 1e15],
])('a value without a unit, and with one: %s is %p', async (text, value) => {
  const burst = await edge.burstOf(line(text))
  expect(burst.signals.points.map((point) => point.value)).toEqual([value])
})
