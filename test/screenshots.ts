/** `npm run screenshots`: the pictures of the README, of a lifelike day that ends now, into docs/. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { addToken, newToken } from '../web/access.ts'
import { serveWeb } from '../web/serve.ts'
import { openBrowser, openPage, signIn } from './browser.ts'
import { fill, startEmptyDatabase } from './web-database.ts'

const FOLDER = join(import.meta.dir, '../docs')

const DAY_MS = 24 * 3_600_000
const HOUR_MS = 3_600_000

/** Apps of the list: the first one is looked at. */
const APPS = [
  { app: 'shop', seed: 1, rate: 4, hours: 24 },
  { app: 'billing', seed: 2, rate: 0.6, hours: 3 },
  { app: 'search', seed: 3, rate: 2, hours: 3 },
  { app: 'accounts', seed: 5, rate: 1.2, hours: 3 },
  { app: 'mailer', seed: 8, rate: 0.2, hours: 3 },
  { app: 'reports', seed: 13, rate: 0.4, hours: 3 },
]

const PICTURES = [
  { name: 'app', path: '/apps/shop?y=log', width: 1440, height: 1080, hover: 0.42 },
  {
    name: 'app-dark',
    path: '/apps/shop?y=log',
    width: 1440,
    height: 1080,
    isDark: true,
    hover: 0.42,
  },
  { name: 'apps', path: '/', width: 1440, height: 420 },
  { name: 'compare', path: '/apps/shop/compare', width: 1440, height: 900, isRelease: true },
  { name: 'phone', path: '/apps/shop?range=2h', width: 390, height: 844, isDark: true },
]

const database = await startEmptyDatabase()
const browser = await openBrowser()
const server = await serveWeb(database.url, { hostname: '127.0.0.1', port: 0 })
try {
  const nowMs = Date.now()
  for (const { app, seed, rate, hours } of APPS) {
    const spanMs = hours * HOUR_MS
    const dayPart = hours === 24 ? (nowMs % DAY_MS) / DAY_MS : 0.5
    await fill(database.sql, app, { seed, rate, startMs: nowMs - spanMs, dayMs: spanMs, dayPart })
    console.error(`${app}: filled`)
  }
  const token = newToken()
  await addToken(database.sql, token, undefined)
  mkdirSync(FOLDER, { recursive: true })
  for (const { name, path, width, height, isDark, hover, isRelease } of PICTURES) {
    const { page, context } = await openPage(browser, {
      viewport: { width, height },
      colorScheme: isDark ? 'dark' : 'light',
      deviceScaleFactor: width < 500 ? 2 : 1,
    })
    await signIn(page, server.url, token)
    await page.goto(server.url + path)
    if (isRelease) await page.click('.releases tbody a >> nth=-1')
    await page.waitForLoadState('networkidle')
    const box = hover === undefined ? null : await page.locator('#throughput .u-over').boundingBox()
    if (box !== null && hover !== undefined) {
      await page.mouse.move(box.x + box.width * hover, box.y + 40)
    }
    await page.screenshot({ path: join(FOLDER, `${name}.png`) })
    await context.close()
    console.log(join('docs', `${name}.png`))
  }
} finally {
  await browser.close()
  await server.stop()
  await database.stop()
}
