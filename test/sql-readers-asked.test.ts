/** What one may ask of the tiers, what is refused, and what is read for it. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { COARSER_TIERS, closeTier, redoTier } from '../db/tiers.ts'
import { onEachPostgres } from './sql-server.ts'
import { cellsOf, type Event, type Tier } from './tiers.ts'

const DAY = '2027-02-01'
const TIERS: Tier[] = ['1m', ...COARSER_TIERS]
const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests']

/** At a time of the day, or at a time of another. */
const at = (time: string) => (time.includes('T') ? `${time}Z` : `${DAY}T${time}Z`)

const eventAt = (time: string, more: Partial<Event> = {}): Event => ({
  ...{ app: 'shop', process: 'web', timeMs: Date.parse(at(time)), serviceMs: 7, status: 200 },
  ...{ bytes: 10, name: 'custom.a', value: 0.5, ...more },
})

/** Some 600 of them over 40 hours, in no order, the same each time. */
const MANY = Array.from({ length: 600 }, (_, i) =>
  eventAt('2027-01-31T06:00', {
    timeMs: Date.parse('2027-01-31T06:00Z') + ((i * 7_919_317) % (40 * 3_600_000)),
    app: i % 5 === 0 ? 'demo' : 'shop',
    process: ['web', 'api', ''][i % 3] ?? '',
    serviceMs: (i * 37) % 3000,
    status: [200, 200, 404, 503][i % 4] ?? 200,
    value: ((i * 13) % 100) / 8,
  }),
)

onEachPostgres((newDatabase) => {
  let url: string
  let sql: Sql

  beforeAll(async () => {
    url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 1 })
    for (const tier of TIERS) {
      await sql`select shelf.make_partitions('2027-01-29', '2027-02-04', ${tier})`
    }
  })
  afterAll(() => sql.end())

  const each = (statement: (kind: string, tier: Tier) => string) =>
    sql.unsafe(TIERS.flatMap((tier) => KINDS.map((kind) => statement(kind, tier))).join(';'))

  beforeEach(async () => {
    await each((kind, tier) => `delete from shelf.${kind}_${tier}`)
    await sql.unsafe(`delete from shelf.dirty; delete from shelf.marker_lines;
      update shelf.tiers set dropped_until = null;
      update shelf.tiers set closed_until = '-infinity', compacted_until = '-infinity'
      where tier <> '1m'`)
  })

  const write = (events: readonly Event[]) =>
    sql.begin((transaction) => mergeCells(transaction, cellsOf(events)))

  const close = async (until: string) => {
    for (const tier of COARSER_TIERS) await closeTier(sql, tier, Date.parse(at(until)))
  }
  const compact = async (until: string) => {
    await close(until)
    for (const tier of COARSER_TIERS) while ((await redoTier(sql, tier, 100)) > 0);
  }
  /** Drops a tier's rows of before a time. */
  const drop = async (tier: Tier, until: string) => {
    await sql`
      update shelf.tiers set dropped_until = ${at(until)}::text::timestamptz where tier = ${tier}`
    await sql.unsafe(
      KINDS.map((kind) => `delete from shelf.${kind}_${tier} where bucket < '${at(until)}'`).join(
        ';',
      ),
    )
  }
  const ask = async <Row extends object>(query: string) => [...(await sql.unsafe<Row[]>(query))]
  const refusalOf = async (query: string) => {
    const error = await sql.unsafe(query).catch((error) => error)
    return { code: error.code, message: error.message, hint: error.hint }
  }

  const FUNCTIONS = [
    `request_stats('shop', `,
    `gauge_stats('shop', 'custom.a', `,
    `counter_stats('shop', 'H12', `,
    `histogram_stats('shop', 'custom.a', `,
    `errors_at('{shop,demo}', `,
    `completeness_at(null, `,
  ]

  test('what is asked is the same with minutes alone, with tiers, with marks, and without minutes', async () => {
    const half = MANY.filter((_, i) => i % 2 === 0)
    const late = MANY.filter((_, i) => i % 2 === 1)
    const ranges = [
      `'2027-01-31T06:00Z', '2027-02-02Z', interval '1 day'`,
      `'2027-01-31T08:20Z', '2027-02-01T15:50Z', interval '1 hour'`,
      `'2027-01-31T08:20Z', '2027-02-01T15:50Z', interval '90 minutes'`,
      `'2027-01-31T00:00Z', '2027-02-01T00:00Z', interval '10 minutes'`,
      `'2027-01-31T23:40Z', '2027-02-01T00:10Z', interval '30 minutes'`,
      `'2027-01-31T23:40Z', 'infinity', interval '7 days'`,
    ]
    const answers = async () => {
      const all: unknown[] = []
      for (const range of ranges) {
        for (const call of FUNCTIONS) {
          all.push(await ask(`select f::text from shelf.${call}${range}) f order by 1`))
        }
      }
      return all
    }
    await write(MANY)
    const truth = await answers()
    expect(truth.every((rows) => Array.isArray(rows) && rows.length > 0)).toBe(true)
    await compact('2027-02-01T14:00')
    expect(await answers()).toEqual(truth)

    await each((kind, tier) => `delete from shelf.${kind}_${tier}`)
    await write(half)
    await compact('2027-02-01T14:00')
    await write(late)
    expect((await ask('select from shelf.dirty')).length).toBeGreaterThan(150)
    expect(await answers()).toEqual(truth)
    await redoTier(sql, '10m', 50)
    await redoTier(sql, '1h', 10)
    await redoTier(sql, '1d', 1)
    expect(await answers()).toEqual(truth)

    await compact('2027-02-02T00:00')
    await drop('1m', '2027-02-01T00:00')
    expect(await answers()).toEqual(truth)
  })

  test('each row-level function merges what shelf.merge and its kin would', async () => {
    await write(MANY)
    await compact('2027-02-01T20:00')
    const [whole] = await ask(`
      select sum(requests)::int as requests, shelf.add_counts(status) as status,
        shelf.quantile(shelf.merge(service), 0.99) as p99, sum(bytes)::int as bytes
      from shelf.requests_at('{shop,demo}', '2027-01-31Z', '2027-02-02Z', '1 day')`)
    const [minutes] = await ask(`
      select sum(requests)::int as requests, shelf.add_counts(status) as status,
        shelf.quantile(shelf.merge(service), 0.99) as p99, sum(bytes)::int as bytes
      from shelf.requests_1m where app in ('shop', 'demo')`)
    expect(whole).toEqual(minutes)
    expect(whole).toMatchObject({ requests: 600, bytes: 6000 })
  })

  test('a gauge, a counter and a measurement are as worked out by hand', async () => {
    const values = [2, 6, 1]
    const times = ['10:00:10', '10:00:50', '10:04:00']
    await write(values.map((value, i) => eventAt(times[i] ?? '', { value, serviceMs: 0 })))
    const range = `'${at('10:00')}', '${at('10:10')}', '5 minutes'`
    const row = { process: 'web', source: '', bucket: new Date(at('10:00')), completeness: 1 }
    expect(await ask(`select * from shelf.gauge_stats('shop', 'custom.a', ${range})`)).toEqual([
      { ...row, count: 3, mean: 3, min: 1, max: 6, last: 1 },
    ])
    expect(await ask(`select * from shelf.counter_stats('shop', 'custom.a', ${range})`)).toEqual([
      { ...row, sum: 9, per_second: 9 / 300 },
    ])
    const [measured] = await ask(
      `select * from shelf.histogram_stats('shop', 'custom.a', ${range})`,
    )
    expect(measured).toMatchObject({ ...row, count: 3, p99: 6, max: 6, mean: 3 })
    expect(await ask(`select * from shelf.gauge_stats('shop', 'custom.b', ${range})`)).toEqual([])
  })

  test('completeness by the minute is that of the view, and of longer steps that of the sums', async () => {
    await sql`
      insert into shelf.ledger_1m (app, bucket, received, duplicates, malformed, lost_l10)
      select app, ${at('10:00')}::text::timestamptz + n * interval '1 minute', 100, 10, n, n
      from generate_series(0, 9) n, unnest('{shop,demo}'::text[]) app`
    await sql`
      update shelf.ledger_1m set repartitioned = 1
      where app = 'demo' and bucket = ${at('10:02')}::text::timestamptz`
    await sql`
      insert into shelf.ledger_1m (app, bucket, lost_log, log_replaced, repartitioned)
      select '', ${at('10:05')}::text::timestamptz + n * interval '1 minute',
        (n = 0)::int, (n = 1)::int, (n = 2)::int
      from generate_series(0, 3) n`
    const range = `'${at('10:00')}', '${at('10:10')}'`
    const rows = await ask<{ completeness: number | null }>(
      `select * from shelf.completeness_at(null, ${range}, '1 minute') order by app, bucket`,
    )
    expect(rows).toEqual(await ask('select * from shelf.completeness order by app, bucket'))
    expect(rows.filter(({ completeness }) => completeness === null)).toHaveLength(4 + 4 + 3)
    const [whole] = await ask(
      `select * from shelf.completeness_at('{shop}', '${at('10:00')}', '${at('10:05')}', '1 hour')`,
    )
    expect(whole).toMatchObject({ received: 450, read: 440, lost: 10, completeness: 440 / 460 })
  })

  test('a rate is per second of that part of a bucket which is in the range', async () => {
    await write([eventAt('10:20:30', { value: 60 }), eventAt('11:00:30', { value: 60 })])
    const rates = async (since: string, until: string) => {
      const rows = await ask<{
        sum: number
        per_second: number
      }>(`select sum, per_second from shelf.counter_stats('shop', 'custom.a',
        '${at(since)}', '${at(until)}', '1 hour')`)
      return rows.map(({ sum, per_second }) => sum / per_second)
    }
    expect(await rates('10:00', '12:00')).toEqual([3600, 3600])
    // From 10:10 on, and up to and with the minute 11:00.
    expect(await rates('10:09:01', '11:00:59')).toEqual([3000, 60])
    await compact('2027-02-02T00:00')
    await drop('1m', '2027-02-02T00:00')
    expect(await rates('10:09:01', '11:00:59')).toEqual([3000, 600])
  })

  test('a step that no kept tier serves is refused, with what would do', async () => {
    await write([eventAt('2027-01-30T12:00'), eventAt('12:00')])
    await compact('2027-02-03T00:00')
    await drop('1m', '2027-02-01T00:00')
    const call = (rest: string) => `select * from shelf.request_stats('shop', ${rest})`
    const refused = {
      code: '22023',
      message: 'a step of 00:05:00 needs the tier 1m, which is kept from 2027-02-01 00:00Z on',
      hint: 'Use a since from then on; or, with this one, a step of 00:10:00 or a multiple of it.',
    }
    const range = `'2027-01-31T23:59Z', '2027-02-02Z'`
    expect(await refusalOf(call(`${range}, '5 minutes'`))).toEqual(refused)
    expect(await ask(call(`'2027-02-01Z', '2027-02-02Z', '5 minutes'`))).toHaveLength(1)
    expect(await ask(call(`${range}, '10 minutes'`))).toHaveLength(1)
    // For apps that have no rows too, and by all who read.
    for (const other of [
      `request_stats('none', ${range}, '5 minutes')`,
      `requests_at('{}', ${range}, '5 minutes')`,
      `ledger_at(null, ${range}, '5 minutes')`,
      ...FUNCTIONS.map((start) => `${start}${range}, '5 minutes')`),
    ]) {
      expect(await refusalOf(`select * from shelf.${other}`)).toEqual(refused)
    }
    await drop('10m', '2027-02-01T00:00')
    await drop('1h', '2027-02-01T00:00')
    expect(await refusalOf(call(`${range}, '90 minutes'`))).toEqual({
      code: '22023',
      message: 'a step of 01:30:00 needs the tier 10m, which is kept from 2027-02-01 00:00Z on',
      hint: 'Use a since from then on; or, with this one, a step of 1 day or a multiple of it.',
    })
    // Without a step it is never finer than what is kept.
    const buckets = await ask<{
      bucket: Date
    }>(`select bucket from shelf.requests_at('{shop}', '2027-01-30Z',
      '2027-02-02Z') order by bucket`)
    expect(buckets.map(({ bucket }) => bucket.toISOString())).toEqual([
      '2027-01-30T00:00:00.000Z',
      '2027-02-01T00:00:00.000Z',
    ])
  })

  test('ranges without an end, reversed or null have a clear answer', async () => {
    await write([eventAt('10:00'), eventAt('2027-01-30T10:00')])
    await compact('2027-02-01T12:00')
    const count = async (rest: string) =>
      (await ask(`select from shelf.request_stats('shop', ${rest}, '1 hour')`)).length
    expect(await count(`'-infinity', 'infinity'`)).toBe(2)
    expect(await count(`'2027-02-01Z', 'infinity'`)).toBe(1)
    expect(await count(`'4714-11-24 BC', '294276-12-31 23:59:59Z'`)).toBe(2)
    expect(await count(`'294276-12-31 23:59:58Z', '294276-12-31 23:59:59Z'`)).toBe(0)
    expect(await count(`'infinity', '-infinity'`)).toBe(0)
    expect(await count(`'${at('11:00')}', '${at('10:00')}'`)).toBe(0)
    expect(await count(`'${at('10:00')}', '${at('10:00')}'`)).toBe(0)
    for (const range of [`null, 'infinity'`, `'-infinity', null`, 'null, null']) {
      expect(await count(range)).toBe(0)
    }
    await drop('1m', '2027-02-01T00:00')
    expect(await ask(`select from shelf.request_stats('shop', null, now(), '1 minute')`)).toEqual(
      [],
    )
  })

  test('of times that no tier keeps there is nothing, also before their rows are dropped', async () => {
    await write([eventAt('2027-01-31T10:00'), eventAt('10:00')])
    await compact('2027-02-03T00:00')
    await sql`update shelf.tiers set dropped_until = '2027-02-01Z'`
    for (const step of [`'1 day'`, `'10 minutes'`, 'null']) {
      const rows = await ask(`select bucket from shelf.request_stats('shop', '2027-02-01Z',
        '2027-02-03Z', ${step})`)
      expect(rows).toHaveLength(1)
    }
    expect(
      await ask(`select from shelf.request_stats('shop', '2027-01-30Z', '2027-02-01Z', '1 day')`),
    ).toEqual([])
  })

  test('where much is dirty, here and there, the tiers still share each time between them', async () => {
    const times = Array.from(
      { length: 60 },
      (_, i) => new Date(Date.parse(at('00:05')) + i * 1.2e6),
    )
    await write(times.map((time) => eventAt('', { timeMs: time.getTime() })))
    await compact('2027-02-02T00:00')
    await sql`delete from shelf.requests_1m where extract(minute from bucket) <> 5`
    await sql`
      insert into shelf.dirty select '10m', 'shop', bucket from shelf.requests_10m
      where extract(minute from bucket) = 0`
    await sql`update shelf.requests_10m set requests = 1000 where extract(minute from bucket) = 0`
    const rows =
      await ask(`select extract(minute from bucket)::int as minute, sum(requests)::int as n
      from shelf.requests_at('{shop}', '2027-02-01Z', '2027-02-02Z', '10 minutes') group by 1 order by 1`)
    expect(rows).toEqual([0, 20, 40].map((minute) => ({ minute, n: 20 })))
  })

  test('the settings of a session change nothing', async () => {
    await write(MANY)
    await compact('2027-02-01T14:00')
    const query = `
      select bucket at time zone 'UTC' as bucket, requests from shelf.requests_at(null,
        '2027-01-31T08:20:00Z', '2027-02-01T15:50:00Z', make_interval(mins => 90)) order by 1, 2`
    const truth = await ask(query)
    for (const settings of [
      { DateStyle: 'SQL, DMY', TimeZone: 'Asia/Kolkata', IntervalStyle: 'sql_standard' },
      { DateStyle: 'Postgres, MDY', TimeZone: 'America/St_Johns', IntervalStyle: 'iso_8601' },
      { search_path: 'pg_catalog' },
    ]) {
      const other = connect(url, { max: 1, settings })
      expect([...(await other.unsafe(query))].length).toBe(truth.length)
      const counts = async (sql: Sql) =>
        (
          await sql.unsafe(`select md5(string_agg(extract(epoch from bucket) || ':' || requests, ','
          order by bucket, requests)) as sum from (${query.replace("at time zone 'UTC'", '')}) q`)
        )[0]
      expect(await counts(other)).toEqual(await counts(sql))
      await other.end()
    }
  })

  test('a day has 24 hours, also in a session whose clocks change in it', async () => {
    const days = ['2027-03-13', '2027-03-14', '2027-03-15', '2027-11-07', '2027-11-08']
    const hours = days.flatMap((day) =>
      Array.from({ length: 24 }, (_, hour) => Date.parse(`${day}T00:30Z`) + hour * 3_600_000),
    )
    const other = connect(url, { max: 1, settings: { TimeZone: 'America/New_York' } })
    await write(hours.map((timeMs) => eventAt('', { timeMs, name: 'H80', value: 1 })))
    const answers = async (sql: Sql) => [
      ...(await sql`select bucket, sum, per_second from shelf.counter_stats('shop', 'H80',
        '2027-03-13Z', '2027-11-09Z', '1 day')`),
      ...(await sql`select time, until from shelf.maintenance`),
      ...(await sql`select tier, lower(part) as since, upper(part) as until
        from shelf.pieces('{shop}', '2027-03-13Z', '2027-11-09Z', '1 day'), unnest(times) part`),
    ]
    const perDay = days.map((day) => {
      return { bucket: new Date(day), sum: 24, per_second: 24 / 86_400 }
    })
    expect((await answers(other)).slice(0, 5)).toEqual(perDay)
    for (const tier of COARSER_TIERS) {
      await closeTier(other, tier, Date.parse('2027-12-01'))
      while ((await redoTier(other, tier, 100)) > 0);
    }
    await sql`insert into shelf.dirty values ('1d', 'shop', '2027-03-14Z')`
    await drop('1m', '2027-11-08T00:00')
    await drop('10m', '2027-11-08T00:00')
    const truth = await answers(sql)
    expect(truth.slice(0, 5)).toEqual(perDay)
    expect(await answers(other)).toEqual(truth)
    await drop('1h', '2027-11-08T00:00')
    expect(await answers(other)).toEqual(await answers(sql))
    await other.end()
  })

  /** The tables that a query reads, by its plan. */
  const tablesOf = async (query: string) => {
    const [row] = await sql.unsafe(`explain (format json) ${query}`)
    return [...JSON.stringify(row).matchAll(/"Relation Name":"(\w+)"/g)]
      .map(([, name]) => name ?? '')
      .toSorted()
  }

  test('only the partitions that serve a range are read', async () => {
    await compact('2027-02-03T00:00')
    const tables = async (range: string) => {
      const [row] = await sql.unsafe(
        `select shelf.rows_query('requests', '{shop}', null, ${range}) as query`,
      )
      return await tablesOf(row?.query)
    }
    expect(await tables(`'2027-02-01Z', '2027-02-02Z', '1 minute'`)).toEqual([
      'requests_1m_20270201',
    ])
    expect(await tables(`'2027-01-31T22:00Z', '2027-02-01T02:00Z', '10 minutes'`)).toEqual([
      'requests_10m_20270125',
      'requests_10m_20270201',
    ])
    // Cut at both ends: from minutes, 10 minutes and hours there.
    expect(await tables(`'2027-01-31T22:55Z', '2027-02-02T01:15Z', '1 day'`)).toEqual([
      ...['requests_10m_20270201', 'requests_1d_20270101', 'requests_1h_20270101'],
      ...['requests_1h_20270201', 'requests_1m_20270131', 'requests_1m_20270202'],
    ])
    expect(await tables(`'2027-02-01Z', '2027-02-01Z', '1 day'`)).toEqual([])
  })

  test('the query that is shown has the tables of the one that runs', async () => {
    await compact('2027-02-03T00:00')
    const range = `'2027-01-31T22:55Z', '2027-02-02T01:15Z', '1 day'`
    for (const kind of KINDS) {
      const names = ['ledger', 'requests'].includes(kind) ? '' : 'null,'
      const shown = await ask<{ query: string }>(
        `select shelf.rows_query('${kind}', '{shop}', null, ${range}) as query`,
      )
      const held = await sql.begin(async (transaction) => {
        await transaction.unsafe(`select from shelf.${kind}_at('{shop}', ${names} ${range})`)
        return await transaction<{ name: string }[]>`
          select relname as name from pg_locks join pg_class c on c.oid = relation
          where pid = pg_backend_pid() and relkind = 'r' and relispartition`
      })
      expect(held.map(({ name }) => name).toSorted()).toEqual(await tablesOf(shown[0]?.query ?? ''))
    }
  })

  test('a release and a maintenance are seen in 10 minutes where minutes are gone', async () => {
    const minutes = (from: string, count: number, more: Partial<Event> = {}) =>
      Array.from({ length: count }, (_, i) =>
        eventAt('', { timeMs: Date.parse(at(from)) + i * 60_000, ...more }),
      )
    await write([
      ...minutes('09:30', 30, { serviceMs: 10 }),
      ...minutes('10:00', 1, { serviceMs: 9000 }),
      ...minutes('10:01', 30, { serviceMs: 20, status: 503 }),
      ...minutes('12:03', 9, { name: 'H80', value: 1 }),
      ...minutes('12:38', 2, { name: 'H80', value: 1 }),
    ])
    await sql`
      insert into shelf.marker_lines (app, time, kind, text)
      values ('shop', ${new Date(at('10:00:20'))}, 'deploy', '059375fe')`
    const impact = () =>
      ask(`select requests_before, requests_after, p99_before::int, p99_after::int
      from shelf.release_impact where app = 'shop'`)
    const maintenance = async () =>
      (
        await ask<{
          since: string
          until: string
        }>(`select to_char(time, 'HH24:MI') as since, to_char(until, 'HH24:MI') as until
          from shelf.maintenance where app = 'shop' order by time`)
      ).map(({ since, until }) => `${since}-${until}`)
    const all = { requests_before: 30, requests_after: 30, p99_before: 10, p99_after: 20 }
    expect(await impact()).toEqual([all])
    await compact('2027-02-02T00:00')
    expect(await impact()).toEqual([all])
    expect(await maintenance()).toEqual(['12:03-12:12', '12:38-12:40'])

    await drop('1m', '2027-02-02T00:00')
    // From 9:30 to 10:00, and whole 10 minutes after 10:01: 10:10 to 10:30.
    expect(await impact()).toEqual([{ ...all, requests_after: 20 }])
    expect(await maintenance()).toEqual(['12:00-12:20', '12:30-12:40'])
    const [marker] = await ask(`select detail from shelf.markers where kind = 'maintenance'`)
    expect(marker).toEqual({ detail: { until: '2027-02-01T12:20:00+00:00' } })
    await drop('10m', '2027-02-02T00:00')
    expect(await impact()).toMatchObject([{ requests_before: 0, p99_before: null }])
    expect(await maintenance()).toEqual(['12:00-13:00'])
    await drop('1h', '2027-02-02T00:00')
    expect(await maintenance()).toEqual(['00:00-00:00'])
  })
})
