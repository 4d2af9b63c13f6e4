/** shelf.request_stats against numbers worked out by hand. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import { histogramToText } from '../db/schema.ts'
import { allowedError, histogramOf, nearestRank } from './sql-reference.ts'
import { onEachPostgres } from './sql-server.ts'

interface Stats {
  process: string
  bucket: Date
  requests: number
  ok: number
  failed: number
  p50: number | null
  p95: number | null
  p99: number | null
  max: number | null
  mean: number | null
  status: Record<string, number>
  completeness: number | null
}

interface Minute {
  process: string
  bucket: string
  requests: number
  status: Record<string, number>
  service: number[]
}

/** Service times of web from 10:01 on: 1 to 100 ms, in no order. */
const hundred = Array.from({ length: 100 }, (_, i) => ((i * 37) % 100) + 1)

const MINUTES: Minute[] = [
  // Before the range.
  { process: 'web', bucket: '09:59', requests: 7, status: { '200': 7 }, service: [1, 1, 1] },
  // 2 of 200, 1 of 404, 1 of 503, 1 without a status, which reached no process in time.
  {
    process: 'web',
    bucket: '10:00',
    requests: 5,
    status: { '200': 2, '404': 1, '503': 1 },
    service: [10, 20, 30, 40],
  },
  { process: 'web', bucket: '10:01', requests: 100, status: { '200': 100 }, service: hundred },
  { process: 'api', bucket: '10:00', requests: 2, status: { '500': 2 }, service: [0, 0] },
  // Nobody served these.
  { process: '', bucket: '10:04', requests: 3, status: { '503': 2 }, service: [] },
  // At the end of the range, so outside.
  { process: 'web', bucket: '10:10', requests: 9, status: { '200': 9 }, service: [9] },
]

const at = (time: string) => `2026-11-23 ${time}Z`

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 1 })
    await sql`select shelf.make_partitions('2026-11-21', '2026-11-26')`
    for (const { process, bucket, requests, status, service } of MINUTES) {
      for (const app of ['shop', 'other']) {
        await sql`
          insert into shelf.requests_1m (app, process, bucket, requests, status, service)
          values (${app}, ${process}, ${at(bucket)}, ${requests}, ${sql.json(status)},
            ${histogramToText(histogramOf(service))}::shelf.histogram)`
      }
    }
    await sql`
      insert into shelf.ledger_1m
        (app, bucket, received, kept, malformed, duplicates, lost_l10, lost_log)
      values ('shop', ${at('10:00')}, 100, 85, 5, 10, 10, 0),
        ('shop', ${at('10:01')}, 50, 50, 0, 0, 0, 50), ('shop', ${at('10:04')}, 4, 0, 0, 4, 0, 0),
        ('other', ${at('10:02')}, 1, 0, 1, 0, 0, 0)`
  })
  afterAll(() => sql.end())

  const stats = (step: string | null, since = at('10:00'), until = at('10:10')) =>
    sql<Stats[]>`select * from shelf.request_stats('shop', ${since}, ${until}, ${step})`

  test('each minute and process is as worked out by hand', async () => {
    const rows = await stats('1 minute')
    expect(rows.map((row) => [row.process, row.bucket.toISOString().slice(11, 16)])).toEqual([
      ['', '10:04'],
      ['api', '10:00'],
      ['web', '10:00'],
      ['web', '10:01'],
    ])
    const [nobody, api, ten, one] = rows
    // Of its 4 messages all were duplicates: the ledger knows of none that counts.
    const nothing = { p50: null, p95: null, p99: null, max: null, mean: null, completeness: null }
    const status = { '503': 2 }
    expect(nobody).toMatchObject({ requests: 3, ok: 0, failed: 3, status, ...nothing })
    const zero = { p50: 0, p95: 0, p99: 0, max: 0, mean: 0 }
    expect(api).toMatchObject({ requests: 2, ok: 0, failed: 2, status: { '500': 2 }, ...zero })
    expect(ten).toMatchObject({
      requests: 5,
      ok: 3,
      failed: 2,
      p95: 40,
      p99: 40,
      max: 40,
      mean: 25,
    })
    expect(Math.abs((ten?.p50 ?? 0) - 20)).toBeLessThanOrEqual(allowedError(20))
    expect(one).toMatchObject({ requests: 100, ok: 100, failed: 0, max: 100, mean: 50.5 })
    expect(Math.abs((one?.p99 ?? 0) - 99)).toBeLessThanOrEqual(allowedError(99))
  })

  test('completeness is what was read of all that is known to have been sent', async () => {
    const rows = await stats('1 minute')
    // (100 - 10 - 5) / (100 - 10 + 10), for every process; 50 / (50 + 50); nothing known.
    expect(rows.map((row) => row.completeness)).toEqual([null, 0.85, 0.85, 0.5])
    // (85 + 50 + 0) / (100 + 100 + 0)
    const longer = await stats('5 minutes')
    expect(longer.map((row) => row.completeness)).toEqual([0.675, 0.675, 0.675])
  })

  test('a longer step merges its minutes before it takes percentiles', async () => {
    const rows = await stats('5 minutes')
    expect(rows.map((row) => row.bucket.toISOString().slice(11, 16))).toEqual([
      '10:00',
      '10:00',
      '10:00',
    ])
    const web = rows.find((row) => row.process === 'web')
    const values = [10, 20, 30, 40, ...hundred]
    expect(web).toMatchObject({
      requests: 105,
      ok: 103,
      failed: 2,
      max: 100,
      mean: 5150 / 104,
      status: { '200': 102, '404': 1, '503': 1 },
    })
    const quantiles = { 0.5: web?.p50, 0.95: web?.p95, 0.99: web?.p99 }
    for (const [q, found] of Object.entries(quantiles)) {
      const truth = nearestRank(values, Number(q))
      expect(Math.abs((found ?? 0) - truth)).toBeLessThanOrEqual(allowedError(truth))
    }
  })

  test('its percentiles are those of quantile over merge', async () => {
    const byHand = await sql<Pick<Stats, 'process' | 'p50' | 'p95' | 'p99' | 'max' | 'mean'>[]>`
      select process, shelf.quantile(h, 0.5) as p50, shelf.quantile(h, 0.95) as p95,
        shelf.quantile(h, 0.99) as p99, (h).max, shelf.mean(h) as mean
      from (
        select process, shelf.merge(service) as h from shelf.requests_1m
        where app = 'shop' and bucket >= ${at('10:00')} and bucket < ${at('10:10')}
        group by process
      ) merged
      order by process`
    const rows = await stats('1 day')
    expect(
      rows.map(({ process, p50, p95, p99, max, mean }) => ({ process, p50, p95, p99, max, mean })),
    ).toEqual(byHand.map((row) => ({ ...row })))
  })

  test('a step starts at the same time for every range', async () => {
    const rows = await stats('7 minutes', at('10:01'), at('10:02'))
    const stepMs = 7 * 60_000
    const minuteMs = Date.parse('2026-11-23T10:01Z')
    expect(rows.map((row) => row.bucket.getTime())).toEqual([minuteMs - (minuteMs % stepMs)])
    expect(rows[0]?.requests).toBe(100)
  })

  test('without a step it is the coarsest that gives 120 points, or a minute', async () => {
    const rows = await sql`
      select shelf.step_of('2026-01-01Z', '2026-01-01Z'::timestamptz + span, null)::text as step
      from unnest(array['1 hour', '19:59', '20:00', '24:00', '119:59', '120:00', '119 days',
        '120 days']::interval[]) with ordinality spans (span, n) order by n`
    expect(rows.map((row) => row.step)).toEqual([
      '00:01:00',
      '00:01:00',
      '00:10:00',
      '00:10:00',
      '00:10:00',
      '01:00:00',
      '01:00:00',
      '1 day',
    ])
    expect(
      await sql`select * from shelf.request_stats('shop', ${at('10:00')}, ${at('10:10')})`,
    ).toHaveLength(4)
    expect(
      await sql`select * from shelf.request_stats('shop', '-infinity', 'infinity')`,
    ).toHaveLength(3)
  })

  for (const step of [
    '90 seconds',
    '0',
    '-1 minute',
    '1 month',
    '0.5 seconds',
    '1 year 1 minute',
  ]) {
    test(`a step of ${step} is refused with a hint, also where there are no rows`, async () => {
      for (const mode of ['force_custom_plan', 'force_generic_plan']) {
        await sql`select set_config('plan_cache_mode', ${mode}, false)`
        for (const since of [at('10:00'), at('10:10'), '2026-11-25Z']) {
          const refused = await stats(step, since).catch((error) => error)
          expect(refused).toMatchObject({ code: '22023' })
          expect(refused.hint).toContain("'5 minutes'")
        }
      }
    })
  }

  test('only the days asked for are read', async () => {
    const read = await sql.begin(async (transaction) => {
      await transaction`
        select * from shelf.request_stats('shop', '2026-11-23 00:00Z', '2026-11-24 00:00Z')`
      // A plan holds the tables that it has.
      return await transaction`
        select relname as name from pg_locks join pg_class c on c.oid = relation
        where pid = pg_backend_pid() and relkind = 'r' and relispartition order by 1`
    })
    expect(read.map(({ name }) => name)).toEqual(['ledger_1m_20261123', 'requests_1m_20261123'])
  })
})
