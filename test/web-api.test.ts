/** The API of the dashboard: the answers of the SQL functions, as JSON and CSV, and their description. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { toCsv } from '../web/csv.ts'
import { lengthMs, rangeOf, stepFor } from '../web/range.ts'
import { serveWeb, type WebServer } from '../web/serve.ts'
import { startWebDatabase, type WebDatabase } from './web-database.ts'
import { openAPISchemas } from './web-openapi.ts'

let database: WebDatabase
let server: WebServer
let query: URLSearchParams

beforeAll(async () => {
  database = await startWebDatabase()
  server = await serveWeb(database.url, { hostname: '127.0.0.1', port: 0 })
  query = new URLSearchParams({ since: database.since, until: database.until, step: '10m' })
})
afterAll(async () => {
  await server?.stop()
  await database?.stop()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(server.url + path, {
    headers: { authorization: `Bearer ${database.tokens.all}`, ...headers },
  })

const plain = (rows: unknown): unknown => JSON.parse(JSON.stringify(rows))

describe('rows', () => {
  test('of requests, gauges, counters and histograms are those of the SQL functions', async () => {
    const { sql, since, until } = database
    const expected = {
      requests:
        await sql`select * from shelf.request_stats('shop', ${since}, ${until}, '10 minutes')`,
      'gauges?name=memory_total': await sql`
        select * from shelf.gauge_stats('shop', 'memory_total', ${since}, ${until}, '10 minutes')`,
      'counters?name=H27': await sql`
        select * from shelf.counter_stats('shop', 'H27', ${since}, ${until}, '10 minutes')`,
      'histograms?name=custom.db.latency': await sql`
        select * from shelf.histogram_stats('shop', 'custom.db.latency', ${since}, ${until}, '10 minutes')`,
      completeness: await sql`
        select bucket, received, read, lost, completeness
        from shelf.completeness_at(array['shop'], ${since}, ${until}, '10 minutes') order by bucket`,
      releases: await sql`
        select time, kind, text, version, requests_before, requests_after, error_rate_before,
          error_rate_after, p50_before, p50_after, p95_before, p95_after, p99_before, p99_after
        from shelf.release_impact where app = 'shop' and time >= ${since} and time < ${until}
        order by time`,
    }
    for (const [path, rows] of Object.entries(expected)) {
      const mark = path.includes('?') ? '&' : '?'
      const answer: unknown = await (await get(`/api/apps/shop/${path}${mark}${query}`)).json()
      expect(rows.length, path).toBeGreaterThan(0)
      expect(answer, path).toEqual(plain([...rows]))
    }
  })

  test('are as their description says, all of them', async () => {
    const schemas = await openAPISchemas(await (await get('/api/openapi.json')).json())
    expect(Object.keys(schemas).length).toBeGreaterThanOrEqual(12)
    for (const [path, schema] of Object.entries(schemas)) {
      const url = path.replace('{app}', 'shop')
      const answer: unknown = await (await get(`${url}?${query}&name=custom.db.latency`)).json()
      const { error } = schema.safeParse(answer)
      expect(error?.issues.slice(0, 3), path).toBeUndefined()
    }
  })

  test('are CSV where that is asked for, by format or by Accept, with the same numbers', async () => {
    const rows: Record<string, unknown>[] = await (
      await get(`/api/apps/shop/requests?${query}`)
    ).json()
    const response = await get(`/api/apps/shop/requests?${query}&format=csv`)
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(response.headers.get('content-disposition')).toContain('shop-requests.csv')
    const text = await response.text()
    const lines = text.trimEnd().split('\r\n')
    expect(lines).toHaveLength(rows.length + 1)
    expect(lines[1]).toStartWith(`${rows[0]?.process},${rows[0]?.bucket},${rows[0]?.requests},`)
    const accepted = await get(`/api/apps/shop/requests?${query}`, { accept: 'text/csv' })
    expect(await accepted.text()).toBe(text)
  })
})

test('a bad question is answered 400 with what is wrong, and never 500', async () => {
  for (const bad of [
    'range=2x',
    'range=99999y',
    'since=yesterday',
    'until=2026-01-01T00:00:00Z',
    `since=${database.until}&until=${database.since}`,
    'step=7s',
    'since=0001-01-01T00:00:00Z',
  ]) {
    const response = await get(`/api/apps/shop/requests?${bad}`)
    expect(response.status, bad).toBe(400)
    expect((await response.json()).error.length).toBeGreaterThan(5)
  }
  expect((await get('/api/apps/shop/gauges')).status).toBe(400)
  expect((await get('/api/apps?sort=nothing')).status).toBe(400)
  expect((await get('/apps/shop?range=2x')).status).toBe(400)
  expect((await get('/apps/a%00b')).status).toBe(404)
  for (const path of [
    '/api/apps/shop/gauges?name=%00',
    '/api/apps/shop/view?process=%00',
    '/?q=%00',
  ]) {
    expect((await get(path)).status, path).toBe(400)
  }
})

test('while PostgreSQL is away pages say so with 503, and all is well when it is back', async () => {
  const nowhere = await serveWeb('postgres://x:x@127.0.0.1:1/x', { hostname: '127.0.0.1', port: 0 })
  try {
    const response = await fetch(`${nowhere.url}/api/apps`, {
      headers: { authorization: `Bearer ${database.tokens.all}` },
    })
    expect(response.status).toBe(503)
    expect((await fetch(`${nowhere.url}/healthz`)).status).toBe(200)
  } finally {
    await nowhere.stop()
  }
})

describe('CSV', () => {
  test('quotes what it must, and nothing in it is run by a spreadsheet', () => {
    const rows = [
      { a: 'x,"y"\n', b: 1.5, c: null, d: new Date(0), e: { k: 1 } },
      { a: '=1+1', b: -2, c: '@x', d: '+1', e: '-1' },
    ]
    expect(toCsv(['a', 'b', 'c', 'd', 'e'], rows)).toBe(
      'a,b,c,d,e\r\n' +
        '"x,""y""\n",1.5,,1970-01-01T00:00:00.000Z,"{""k"":1}"\r\n' +
        "'=1+1,-2,'@x,'+1,'-1\r\n",
    )
  })
})

describe('a range', () => {
  const nowMs = Date.parse('2026-11-23T10:07:31Z')

  test('has at most 200 steps, but for a year by days, and never fewer than 60', () => {
    const steps = ['2h', '24h', '72h', '7d', '30d', '1y'].map((range) => {
      const { sinceMs, untilMs, stepMs } = rangeOf({ range }, nowMs)
      expect(sinceMs % stepMs).toBe(0)
      expect(untilMs % stepMs).toBe(0)
      expect(untilMs).toBeGreaterThanOrEqual(nowMs)
      return [stepMs / 60_000, (untilMs - sinceMs) / stepMs]
    })
    expect(steps.map(([minutes]) => minutes)).toEqual([1, 10, 30, 60, 240, 1440])
    for (const [, points = 0] of steps) expect(points).toBeWithin(60, 370)
  })

  test('takes steps that the tiers have so far back', () => {
    expect(stepFor(3_600_000, 600_000)).toBe(600_000)
    expect(stepFor(7 * 86_400_000, 86_400_000)).toBe(86_400_000)
    expect(stepFor(7_200_000, 3_600_000)).toBe(3_600_000)
  })

  test('is a number and a unit', () => {
    expect(['2h', '30m', '1y', '2w'].map(lengthMs)).toEqual([7.2e6, 1.8e6, 3.1536e10, 1.2096e9])
    for (const bad of ['', 'h', '0h', '1.5h', '-2h', '11y', '2 h', '1s'])
      expect(lengthMs(bad)).toBeUndefined()
  })
})

test('the list of apps counts what was lost in minutes of which nothing came', async () => {
  const { sql } = database
  await sql`
    insert into shelf.ledger_1m (app, bucket, received, kept, lost_l10)
    select 'leaky', date_trunc('minute', now()) - n * interval '1 minute', received, received, lost
    from (values (5, 10, 0), (6, 0, 10)) of (n, received, lost)`
  const [row] = await sql`
    select completeness from shelf.overview(array['leaky'], date_trunc('minute', now()))`
  expect(row?.completeness).toBe(0.5)
})
