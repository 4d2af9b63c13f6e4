/** The dashboard while PostgreSQL is gone, or hangs. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { addToken, newToken } from '../web/access.ts'
import { serveWeb, type WebServer } from '../web/serve.ts'
import { CHROMIUM, NO_CHROMIUM, openBrowser, openPage, signIn } from './browser.ts'
import { type PausingProxy, startPausingProxy } from './pausing-proxy.ts'
import { type EmptyDatabase, fill, startEmptyDatabase } from './web-database.ts'

const HOUR_MS = 3_600_000
const SILENT_MS = 1000

let database: EmptyDatabase
let proxy: PausingProxy
let server: WebServer
const token = newToken()

beforeAll(async () => {
  database = await startEmptyDatabase()
  await addToken(database.sql, token, undefined)
  const startMs = Date.now() - HOUR_MS
  await fill(database.sql, 'shop', { seed: 1, rate: 0.2, startMs, dayMs: HOUR_MS })
  const url = new URL(database.url)
  proxy = await startPausingProxy(Number(url.port))
  url.port = String(proxy.port)
  const options = { hostname: '127.0.0.1', port: 0, silentMs: SILENT_MS }
  server = await serveWeb(url.href, options)
})
afterAll(async () => {
  await server?.stop()
  proxy?.stop()
  await database?.stop()
})

const get = (path: string) =>
  fetch(server.url + path, { headers: { authorization: `Bearer ${token}` } })

describe('PostgreSQL that does not answer', () => {
  test('is said in time, page and API; then new connections are made, and all is well', async () => {
    for (const path of ['/api/apps', '/', '/apps/shop/compare', '/apps/shop']) {
      const before = await get(path)
      expect(before.status).toBe(200)
      await before.text()
      proxy.silence(true)
      const startedMs = performance.now()
      const answer = await get(path)
      expect(await answer.text()).toContain('PostgreSQL can’t be reached')
      expect(answer.status).toBe(503)
      expect(performance.now() - startedMs).toBeLessThan(SILENT_MS * 5)
      proxy.silence(false)
    }
    expect((await get('/apps/shop')).status).toBe(200)
  })

  const inBrowser = CHROMIUM === undefined ? test.skip : test
  if (CHROMIUM === undefined) test.skip(NO_CHROMIUM, () => {})
  inBrowser(
    'is said on an open page, with since when it is not fresh, until it is back',
    async () => {
      const browser = await openBrowser()
      try {
        const { page } = await openPage(browser)
        await signIn(page, server.url, token)
        await page.goto(`${server.url}/apps/shop`)
        await page.waitForSelector('#throughput canvas')
        expect(await page.locator('.banner').count()).toBe(0)
        // What brings the tab to the front asks for fresh numbers at once.
        const look = () => page.evaluate('document.dispatchEvent(new Event("visibilitychange"))')
        proxy.refuse(true)
        await look()
        const words = page.locator('.banner:has-text("PostgreSQL can’t be reached")')
        await words.waitFor()
        expect(await words.textContent()).toMatch(/^Not fresh since \d\d:\d\d: /)
        expect(await page.locator('#throughput canvas').count()).toBeGreaterThan(0)
        proxy.refuse(false)
        await look()
        await words.waitFor({ state: 'detached' })
        for (const path of ['/', '/alerts']) {
          await page.goto(server.url + path)
          proxy.refuse(true)
          await look()
          await words.waitFor()
          expect(await words.textContent()).toMatch(/^Not fresh since \d\d:\d\d: /)
          proxy.refuse(false)
          await look()
          await words.waitFor({ state: 'detached' })
        }
      } finally {
        await browser.close()
      }
    },
  )
})
