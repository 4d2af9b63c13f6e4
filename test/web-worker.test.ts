/** The dashboard in workerd, through Hyperdrive as Miniflare has it, on a real PostgreSQL. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Miniflare } from 'miniflare'
import { writeWorkerEntry } from '../web/build-worker.ts'
import { startWebDatabase, type WebDatabase } from './web-database.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-web-worker-'))
let database: WebDatabase
let miniflare: Miniflare
let url: URL

beforeAll(async () => {
  database = await startWebDatabase()
  const entry = await writeWorkerEntry(folder)
  const build = await Bun.build({
    entrypoints: [entry],
    target: 'browser',
    format: 'esm',
    conditions: ['workerd'],
    external: ['cloudflare:*', 'node:*'],
  })
  const contents = await build.outputs[0]?.text()
  if (contents === undefined) throw new Error('the Worker could not be bundled')
  miniflare = new Miniflare({
    modules: [{ type: 'ESModule', path: 'worker.js', contents }],
    compatibilityDate: '2026-07-01',
    compatibilityFlags: ['nodejs_compat'],
    hyperdrives: { SHELF_DB: database.url },
    host: '127.0.0.1',
    port: 0,
  })
  url = await miniflare.ready
})
afterAll(async () => {
  await miniflare?.dispose()
  await database?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string, token = database.tokens.all) =>
  fetch(new URL(path, url), { headers: { authorization: `Bearer ${token}` }, redirect: 'manual' })

test('the page of an app is served with its numbers, and its script', async () => {
  const page = await (await get('/apps/shop')).text()
  expect(page).toContain('<script type="application/json" id="data">')
  const [, script = ''] = /src="(\/assets\/main-\w+\.js)"/.exec(page) ?? []
  const response = await get(script)
  expect(response.status).toBe(200)
  expect(response.headers.get('cache-control')).toContain('immutable')
})

test('its API answers what SQL answers', async () => {
  const { since, until } = database
  const query = new URLSearchParams({ since, until, step: '1h' })
  const rows: unknown = await (await get(`/api/apps/shop/requests?${query}`)).json()
  const fromSql = await database.sql`
    select * from shelf.request_stats('shop', ${since}, ${until}, '1 hour')`
  expect(fromSql.length).toBeGreaterThan(1)
  expect(rows).toEqual(JSON.parse(JSON.stringify([...fromSql])))
})

test('who has no token is sent to sign in, and what one may not see is not there', async () => {
  const response = await fetch(new URL('/apps/shop', url), { redirect: 'manual' })
  expect(response.status).toBe(302)
  expect((await get('/apps/shop', database.tokens.billing)).status).toBe(404)
})

test('many requests after each other leave no connection behind', async () => {
  for (let i = 0; i < 20; i++) expect((await get('/api/apps')).status).toBe(200)
  const deadline = Date.now() + 20_000
  let open = Number.POSITIVE_INFINITY
  while (open > 1 && Date.now() < deadline) {
    const [row] = await database.sql<{ open: number }[]>`
      select count(*)::int as open from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend'`
    open = row?.open ?? 0
    await Bun.sleep(50)
  }
  expect(open).toBe(1)
})
