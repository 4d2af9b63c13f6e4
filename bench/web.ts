/** The dashboard: from the request to the painted chart, in a real Chromium, on databases of size. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { migrate } from '../batch/migrate.ts'
import { connect } from '../db/client.ts'
import { startPostgres } from '../db/server.ts'
import { addToken, newToken } from '../web/access.ts'
import { buildAssets } from '../web/bundle.ts'
import { serveWeb, type WebServer } from '../web/serve.ts'
import type { BenchOptions, Figure } from './run.ts'
import { fillDatabase, type Size } from './web-data.ts'

const CHROMIUM = process.env.SHELF_TEST_CHROMIUM || '/usr/bin/chromium'
const LOADS = 15
const PORT = 54_991

/** A month of 200 apps: minutes of a day, as more of them lie in partitions that nobody touches. */
const MONTH = {
  apps: 200,
  back: { '1m': '26 hours', '10m': '30 days', '1h': '31 days', '1d': '31 days' },
}
/** Many apps: an hour and a half of minutes. */
const MANY = {
  apps: 5000,
  back: { '1m': '90 minutes', '10m': '2 hours', '1h': '2 hours', '1d': '1 day' },
}

export async function benchWeb(_options: BenchOptions): Promise<Figure[]> {
  const assets = await buildAssets()
  const wire = assets.reduce((sum, { brotli, body }) => sum + (brotli?.length ?? body.length), 0)
  const figures = [figure('script and style over the wire', 'kB', wire / 1000, 100)]
  if (!existsSync(CHROMIUM)) {
    console.log(`no Chromium at ${CHROMIUM}: pages are not measured`)
    return figures
  }
  const dir = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  try {
    await withDatabase(dir, browser, 'month', MONTH, async (page, url) => {
      const cold = await timesOf(page, `${url}/apps/app-00100?range=24h`, 'shelf-painted')
      figures.push(figure('an app at 24 h, request to painted charts', 'ms', cold, 200))
      for (const range of ['2h', '7d', '30d', '1y']) {
        const ms = await timesOf(page, `${url}/apps/app-00101?range=${range}`, 'shelf-painted')
        figures.push(figure(`the same at ${range}`, 'ms', ms, 400))
      }
    })
    await withDatabase(dir, browser, 'many', MANY, async (page, url) => {
      await page.goto(url)
      await page.waitForSelector('tbody tr:nth-child(50)', { timeout: 60_000 })
      for (const query of ['', '?sort=p95', '?q=49', '?sort=app&page=60']) {
        const ms = await timesOf(page, `${url}/${query}`)
        figures.push(figure(`5,000 apps, request to painted list ${query}`, 'ms', ms, 300))
      }
    })
  } finally {
    await browser.close()
    rmSync(dir, { recursive: true, force: true })
  }
  return figures
}

async function withDatabase(
  dir: string,
  browser: Browser,
  name: string,
  size: Size,
  measure: (page: Page, url: string) => Promise<void>,
): Promise<void> {
  const start = () => startPostgres({ dataDir: join(dir, name), port: PORT, password: 'bench' })
  // Started anew: no database that lives has just got all its rows, and has to write them to disk.
  const filling = await start()
  await fill(filling.url, name, size).finally(filling.stop)
  const postgres = await start()
  let server: WebServer | undefined
  try {
    const token = newToken()
    const sql = connect(postgres.url, { max: 1 })
    await addToken(sql, token, undefined)
    await sql.end()
    server = await serveWeb(postgres.url, { hostname: '127.0.0.1', port: 0 })
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
    const page = await context.newPage()
    await page.goto(server.url)
    await page.fill('#token', token)
    await page.click('button.primary')
    await measure(page, server.url)
    await context.close()
  } finally {
    await server?.stop()
    await postgres.stop()
  }
}

async function fill(url: string, name: string, size: Size): Promise<void> {
  await migrate(url)
  const sql = connect(url, { max: 1 })
  const startedMs = performance.now()
  await fillDatabase(sql, size)
  await sql`vacuum analyze`
  console.log(`${name}: filled in ${Math.round((performance.now() - startedMs) / 1000)} s`)
  const refreshMs = performance.now()
  await sql`
    select shelf.refresh_overview(date_bin('1 minute', now(), '1970-01-01 00:00+00'))`
  console.log(`${name}: overview made in ${Math.round(performance.now() - refreshMs)} ms`)
  await sql.end()
}

/** The median, ms, from the beginning of the navigation to a mark, or else the first paint. */
async function timesOf(page: Page, url: string, mark?: string): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < LOADS; i++) {
    await page.goto(url)
    const time = await page.evaluate(
      (name) =>
        new Promise<number>((resolve) => {
          const look = (): void => {
            const [entry] =
              name === null
                ? performance.getEntriesByName('first-contentful-paint')
                : performance.getEntriesByName(name)
            if (entry !== undefined) resolve(entry.startTime)
            else setTimeout(look, 5)
          }
          look()
        }),
      mark ?? null,
    )
    // The first loads warm PostgreSQL's caches, as those of anybody before would have.
    if (i >= 2) times.push(time)
    // A person looks at it before the next: what it asks for behind the first view is not in its way.
    await page.waitForLoadState('networkidle')
  }
  times.sort((a, b) => a - b)
  console.log(url.replace(/^http:\/\/[^/]+/, ''), times.map(Math.round).join(' '))
  return times[Math.floor(times.length / 2)] ?? Number.NaN
}

function figure(name: string, unit: string, ours: number, below: number): Figure {
  return {
    name,
    unit,
    ours: Math.round(ours * 10) / 10,
    theirs: null,
    ratio: null,
    target: `below ${below}`,
    met: ours < below,
  }
}
