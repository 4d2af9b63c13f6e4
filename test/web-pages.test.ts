/** What a person does with the dashboard, in a real Chromium, on a real PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { RELATIVE_ERROR_MAX } from '../core/histogram.ts'
import { count, ms } from '../web/pages/format.ts'
import { serveWeb, type WebServer } from '../web/serve.ts'
import type { View } from '../web/view.ts'
import {
  CHROMIUM,
  NO_CHROMIUM,
  openBrowser,
  openPage,
  REMOTE,
  signIn,
  type Watched,
} from './browser.ts'
import { fill, startWebDatabase, type WebDatabase } from './web-database.ts'

const AXE = readFileSync(Bun.resolveSync('axe-core/axe.min.js', import.meta.dir), 'utf8')

const TRIED = '/alerts/rule?apps=shop&metric=throughput&threshold=1&days=7'

/** All that a first view of an app loads of scripts and styles, packed. */
const WIRE_BYTES_MAX = 100_000

const suite = CHROMIUM === undefined ? describe.skip : describe
if (CHROMIUM === undefined) test.skip(NO_CHROMIUM, () => {})

suite('in Chromium', () => {
  let database: WebDatabase
  let server: WebServer
  let browser: Browser
  let watched: Watched
  let page: Page

  beforeAll(async () => {
    database = await startWebDatabase()
    server = await serveWeb(database.url, { hostname: '127.0.0.1', port: 0 })
    browser = await openBrowser()
    watched = await openPage(browser)
    page = watched.page
  })
  afterAll(async () => {
    await browser?.close()
    await server?.stop()
    await database?.stop()
  })

  /** What the page has drawn. */
  const viewOf = async (): Promise<View> => {
    const response = page.waitForResponse((answer) => answer.url().includes('/view?'))
    await page.reload()
    const text = await page.locator('#data').textContent()
    response.catch(() => {})
    return JSON.parse(text ?? '').view
  }

  const chart = (id: string, of = page) => of.locator(`#${id} .u-over`)

  /** Moves the pointer over a chart, to a share of its width. */
  const hover = async (id: string, share: number): Promise<void> => {
    await chart(id).scrollIntoViewIfNeeded()
    const box = await chart(id).boundingBox()
    if (box === null) throw new Error(`no chart ${id}`)
    await page.mouse.move(box.x + box.width * share, box.y + box.height / 2)
  }

  const legend = (id: string, line: string) => page.locator(`#${id} [data-line="${line}"]`)

  test('a token that is none is refused in words; a valid one leads to where one wanted to go', async () => {
    await page.goto(`${server.url}/apps/shop?range=2h`)
    expect(new URL(page.url()).pathname).toBe('/sign-in')
    await page.fill('#token', 'shelf_nonsense')
    await page.click('button.primary')
    expect(await page.textContent('[role=alert]')).toContain('not valid')
    await page.fill('#token', database.tokens.all)
    await page.click('button.primary')
    await page.waitForURL(`${server.url}/apps/shop?range=2h`)
    const [cookie] = await watched.context.cookies()
    expect(cookie).toMatchObject({ name: 'shelf', httpOnly: true, sameSite: 'Lax' })
    expect(await page.evaluate('document.cookie')).toBe('')
    watched.errors.splice(0)
  })

  test('the numbers at the cursor are those of SQL, with their error bound and count', async () => {
    // A fixed range, so that nothing moves.
    const { since, until } = database
    await page.goto(`${server.url}/apps/shop?since=${since}&until=${until}`)
    const rows = await database.sql<
      { bucket: Date; p50: number; p95: number; p99: number; max: number; n: number }[]
    >`
      select bucket, s.p50, s.p95, s.p99, s.max, s.count as n
      from (
        select bucket, shelf.merge(service) as service
        from shelf.requests_at(array['shop'], ${since}, ${until}, '1 minute') group by bucket
      ) merged, shelf.summary(service) s
      order by bucket`
    expect(rows.length).toBeGreaterThan(50)
    const timed = rows.filter(({ n }) => n > 0)
    const [sinceMs, untilMs] = [Date.parse(since), Date.parse(until)]
    for (const share of [0.2, 0.5, 0.8]) {
      const row = timed[Math.floor(share * timed.length)]
      if (row === undefined) throw new Error('no row')
      await hover('response-time', (row.bucket.getTime() - sinceMs) / (untilMs - sinceMs))
      expect(await legend('response-time', 'p50').textContent()).toBe(ms(row.p50))
      expect(await legend('response-time', 'p95').textContent()).toBe(ms(row.p95))
      expect(await legend('response-time', 'p99').textContent()).toBe(ms(row.p99))
      expect(await legend('response-time', 'max').textContent()).toBe(ms(row.max))
      const note = await page.locator('#response-time .note').first().textContent()
      expect(note).toBe(`±${(RELATIVE_ERROR_MAX * 100).toFixed(3)} % of ${count(row.n)}`)
      expect(await page.textContent('#readout')).toContain('complete')
    }
  })

  test('one cursor for all charts: what another shows is of the same time', async () => {
    await hover('throughput', 0.5)
    const time = await page.textContent('#readout strong')
    const p95 = await legend('response-time', 'p95').textContent()
    await hover('response-time', 0.5)
    expect(await page.textContent('#readout strong')).toBe(time)
    expect(await legend('response-time', 'p95').textContent()).toBe(p95)
  })

  test('metrics of the app are charts like the others: cursor, markers, table', async () => {
    const metric = page.locator('#metrics .panel:has(h2:text-is("jobs.done"))')
    await metric.waitFor()
    await hover('throughput', 0.4)
    expect(await metric.locator('.foot').textContent()).toBe(
      await page.textContent('#throughput .foot'),
    )
    const sum = await metric.locator('[data-line=rate]').textContent()
    const time = await page.textContent('#readout strong')
    await metric.locator('button.as-table').click()
    // The table is as long as the range, the newest first.
    const rows = await metric.locator('tbody tr').allTextContents()
    const start = time?.replace(/–.*/, '') ?? ''
    expect(rows.find((row) => row.startsWith(start))).toContain(sum ?? '')
  })

  test('dragging zooms to finer steps, the URL holds the range, and back goes back', async () => {
    await page.goto(`${server.url}/apps/shop?range=24h`)
    expect(await page.textContent('#readout')).toContain('steps of 10 min')
    await chart('throughput').scrollIntoViewIfNeeded()
    const box = await chart('throughput').boundingBox()
    if (box === null) throw new Error('no chart')
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.95, box.y + 40, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/since=.*until=/)
    await page.mouse.move(5, 5)
    await page.waitForSelector('#readout:has-text("steps of 1 min")')
    const url = page.url()
    // Links of the page go on from what is shown now.
    await page.click('#zone')
    await page.waitForURL(`${url}&tz=utc`)
    await page.click('#zone')
    await page.waitForURL(url)
    await page.reload()
    expect(page.url()).toBe(url)
    expect(await page.textContent('#readout')).toContain('steps of 1 min')
    for (let back = 0; back < 3; back++) await page.goBack()
    await page.waitForSelector('#readout:has-text("steps of 10 min")')
  })

  test('a deploy is a flag above the charts, and its text is there on hover and focus', async () => {
    await page.goto(`${server.url}/apps/shop?range=24h`)
    const [deploy] = await database.sql<{ version: string; text: string }[]>`
      select detail ->> 'version' as version, text from shelf.markers
      where app = 'shop' and kind = 'deploy' order by time desc limit 1`
    if (deploy === undefined) throw new Error('no deploy')
    const flag = page.locator(`.flag[data-words*="${deploy.text}"]`)
    await flag.focus()
    const tip = flag.locator('.tip')
    expect(await tip.isVisible()).toBe(true)
    expect(await tip.textContent()).toContain(deploy.version)
  })

  test('lost messages are said under the charts, with their time', async () => {
    const [lost] = await database.sql<{ lost: number }[]>`
      select (lost_l10 + lost_l12)::int as lost from shelf.ledger_1m
      where app = 'shop' and lost_l10 > 0 limit 1`
    expect(lost?.lost).toBeGreaterThan(0)
    const words = await page.locator('#losses li').allTextContents()
    expect(
      words.some((text) => text.startsWith(`${count(lost?.lost ?? 0)} messages lost upstream, `)),
    ).toBe(true)
  })

  test('what is not known is a gap: in the data, in the table, and in the words at the cursor', async () => {
    await page.goto(`${server.url}/apps/billing?range=24h`)
    const view = await viewOf()
    const last = view.isKnown.lastIndexOf(true)
    expect(last).toBeGreaterThan(0)
    for (const column of [view.requests.requests, view.requests.p95, view.requests.failed]) {
      expect(column.slice(last + 1).every((value) => value === null)).toBe(true)
    }
    await hover('throughput', 0.97)
    expect(await page.textContent('#throughput .foot')).toBe('no data')
    expect(await legend('throughput', '2').textContent()).toBe('–')
    await page.click('#throughput header button[aria-expanded]')
    const cells = await page.locator('#throughput tbody tr:nth-child(2) td').allTextContents()
    expect(new Set(cells.slice(0, -1))).toEqual(new Set(['–']))
  })

  test('stale data is said in a banner, and since when', async () => {
    await page.goto(`${server.url}/apps/billing?range=24h`)
    expect(await page.textContent('.banner')).toMatch(
      /^No data since \w+ \d+ \w+ \d\d:\d\d, \d+ h ago/,
    )
    await page.goto(`${server.url}/apps/shop`)
    expect(await page.locator('.banner').count()).toBe(0)
  })

  test('each chart has a table, and its lines are switched by keyboard', async () => {
    await page.goto(`${server.url}/apps/shop?range=2h`)
    await page.locator('#response-time header button[aria-expanded]').focus()
    await page.keyboard.press('Enter')
    const head = await page.locator('#response-time thead th').allTextContents()
    expect(head).toEqual(['From', 'p50', 'p95', 'p99', 'max', 'Truth'])
    expect(await page.locator('#response-time tbody tr').count()).toBeGreaterThan(100)
    const p50 = page.locator('#response-time .legend button').first()
    await p50.focus()
    await page.keyboard.press('Space')
    expect(await p50.getAttribute('aria-pressed')).toBe('false')
    expect(page.url()).toContain('lines=response-time.p50')
    await page.reload()
    expect(await p50.getAttribute('aria-pressed')).toBe('false')
    await page.locator('#response-time .chart').focus()
    await page.keyboard.press('Home')
    const first = await page.textContent('#readout strong')
    await page.keyboard.press('ArrowRight')
    expect(await page.textContent('#readout strong')).not.toBe(first)
  })

  test('the page stays live: a new request shows without a reload', async () => {
    await page.goto(`${server.url}/apps/shop?range=2h`)
    await page.evaluate('window.stays = true')
    const { view } = JSON.parse((await page.locator('#data').textContent()) ?? '')
    const next = await page.waitForResponse((answer) => answer.url().includes('/view?'), {
      timeout: 20_000,
    })
    expect((await next.json()).nowMs).toBeGreaterThan(view.nowMs)
    expect(await page.evaluate('window.stays')).toBe(true)
  })

  test('dark is one click away, and is kept', async () => {
    const background = (): Promise<string> =>
      page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await background()
    await page.click('#theme')
    const dark = await background()
    expect(dark).not.toBe(light)
    await page.reload()
    expect(await background()).toBe(dark)
    await page.click('#theme')
  })

  test('UTC and local time show the same moment', async () => {
    const other = await openPage(browser, { timezoneId: 'Asia/Tokyo' })
    const path = `/apps/shop?since=${database.since}&until=${database.until}`
    await signIn(other.page, server.url, database.tokens.all, '/')
    await other.page.goto(server.url + path)
    const hour = (at: string, move: number): string =>
      String((Number(at.slice(11, 13)) + move) % 24).padStart(2, '0')
    expect(await other.page.textContent('#readout strong')).toContain(
      `${hour(database.since, 9)}:00`,
    )
    await other.page.click('#zone')
    await other.page.waitForURL(/tz=utc/)
    expect(await other.page.textContent('#readout strong')).toContain(
      `${hour(database.since, 0)}:00`,
    )
    await other.context.close()
  })

  test('before and after a release: its figures are those of shelf.release_impact', async () => {
    await page.goto(`${server.url}/apps/shop/compare`)
    expect(await page.textContent('h1')).toBe('This week and last')
    const [impact] = await database.sql<
      { p95_before: number; p95_after: number; version: string }[]
    >`
      select p95_before, p95_after, version from shelf.release_impact
      where app = 'shop' and kind = 'deploy' order by time desc limit 1`
    if (impact === undefined) throw new Error('no deploy')
    await page.click(`.releases a:text-is("${impact.version}")`)
    await page.waitForURL(/release=/)
    const cells = await page.locator('.figures tr:has(th:text-is("p95")) td').allTextContents()
    expect(cells.slice(0, 2)).toEqual([ms(impact.p95_before), ms(impact.p95_after)])
    expect(await page.locator('#panels canvas').count()).toBe(5)
    const chart = await page.locator('#panels canvas').first().boundingBox()
    expect(chart?.width).toBeGreaterThan(700)
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(1440)
  })

  test('the list of apps sorts and searches', async () => {
    await page.goto(server.url)
    await page.click('thead a:has-text("App")')
    expect(await page.locator('tbody th').allTextContents()).toEqual(['billing', 'shop'])
    await page.fill('#search', 'sho')
    await page.keyboard.press('Enter')
    await page.waitForURL(/q=sho/)
    expect(await page.locator('tbody th').allTextContents()).toEqual(['shop'])
  })

  test('a rule is tried on history, then switched on, then muted', async () => {
    await page.goto(`${server.url}/alerts`)
    await page.click('text=New rule')
    await page.fill('[name=apps]', 'shop')
    await page.fill('[name=metric]', 'throughput')
    await page.fill('[name=threshold]', '1')
    await page.click('text=Try on 7 days')
    expect(await page.textContent('#trial-title')).toContain('it would have fired once')
    expect(await page.inputValue('[name=threshold]')).toBe('1')
    await page.click('text=Switch on')
    await page.waitForURL(`${server.url}/alerts`)
    expect(await page.textContent('main')).toContain('shop throughput >= 1 over 5m')
    await page.click('text="Mute 1 h"')
    await page.waitForSelector('text=Unmute')
    expect(await page.textContent('main')).toMatch(/muted until \d{4}-\d\d-\d\d \d\d:\d\d UTC/)
    await page.click('text=Unmute')
    await page.click('text="Mute"')
    await page.waitForSelector('text=Unmute')
    await page.click('.sure summary')
    await page.click('text="Yes, delete"')
    await page.waitForFunction(() => !document.body.textContent?.includes('shop throughput'))
  })

  test('on a phone nothing is wider than the screen', async () => {
    const phone = await openPage(browser, { viewport: { width: 390, height: 844 }, isMobile: true })
    await signIn(phone.page, server.url, database.tokens.all)
    for (const path of [
      '/',
      '/apps/shop',
      '/apps/shop/compare',
      '/apps/shop?range=2h',
      '/alerts',
      TRIED,
    ]) {
      await phone.page.goto(server.url + path)
      expect(await phone.page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    }
    expect(phone.errors).toEqual([])
    await phone.context.close()
  })

  test('over plain http, where browsers say less of a form, one signs in and out all the same', async () => {
    const other = await openPage(browser)
    const url = server.url.replace('127.0.0.1', REMOTE)
    await signIn(other.page, url, database.tokens.all, '/alerts')
    await other.page.click('text=Sign out')
    await other.page.waitForURL(`${url}/sign-in`)
    await other.context.close()
  })

  test('who may see one app finds others as what does not exist', async () => {
    const other = await openPage(browser)
    await signIn(other.page, server.url, database.tokens.billing)
    expect(await other.page.locator('tbody th').allTextContents()).toEqual(['billing'])
    const answers = []
    for (const path of [
      '/apps/shop',
      '/apps/nothing',
      '/apps/shop/compare',
      '/apps/nothing/compare',
    ]) {
      const response = await other.page.goto(server.url + path)
      answers.push([response?.status(), await other.page.content()])
    }
    expect(answers[0]?.[0]).toBe(404)
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    await other.context.close()
  })

  test('axe finds nothing serious, and no text too pale in light or dark', async () => {
    const seen = await openPage(browser, { bypassCSP: true })
    const found: unknown[] = []
    const look = async (path: string): Promise<void> => {
      await seen.page.emulateMedia({ colorScheme: 'light' })
      await seen.page.goto(server.url + path)
      await seen.page.waitForLoadState('networkidle')
      await seen.page.evaluate(AXE)
      found.push(...(await violations(seen.page, path)))
      // The same page in other colours has the same structure, and most have the same parts.
      if (!IN_DARK.includes(path)) return
      await seen.page.emulateMedia({ colorScheme: 'dark' })
      found.push(...(await violations(seen.page, `${path}, dark`, ['color-contrast'])))
    }
    await look('/sign-in')
    await signIn(seen.page, server.url, database.tokens.all)
    for (const path of [
      '/',
      '/apps/shop?range=2h',
      '/apps/billing?range=24h',
      '/apps/shop/compare',
      '/apps/nothing',
      '/alerts',
      TRIED,
    ]) {
      await look(path)
    }
    expect(found).toEqual([])
    await seen.context.close()
  })

  test('scripts and styles are under 100 kB over the wire, and are loaded once', async () => {
    const other = await openPage(browser)
    const session = await other.context.newCDPSession(other.page)
    await session.send('Network.enable')
    const sizes = new Map<string, number>()
    const urls = new Map<string, string>()
    session.on('Network.responseReceived', ({ requestId, response }) =>
      urls.set(requestId, response.url),
    )
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      const url = urls.get(requestId) ?? ''
      // The second time it comes from the cache.
      sizes.set(url, Math.max(sizes.get(url) ?? 0, encodedDataLength))
    })
    await signIn(other.page, server.url, database.tokens.all, '/apps/shop')
    await other.page.waitForLoadState('networkidle')
    const assets = [...sizes].filter(([url]) => url.includes('/assets/'))
    expect(assets.length).toBeGreaterThanOrEqual(2)
    const total = assets.reduce((sum, [, bytes]) => sum + bytes, 0)
    expect(total).toBeGreaterThan(10_000)
    expect(total).toBeLessThan(WIRE_BYTES_MAX)
    await other.context.close()
  })

  test('a comparison shows a value that stands alone between gaps', async () => {
    const hourMs = 3_600_000
    const startMs = Math.floor(Date.now() / hourMs) * hourMs - 24 * hourMs
    await fill(database.sql, 'lone', { seed: 3, rate: 2, startMs, dayMs: 120_000 })
    const other = await openPage(browser)
    await signIn(other.page, server.url, database.tokens.all, '/apps/lone/compare')
    await other.page.waitForSelector('#compare-p50 canvas')
    const dots = await other.page.evaluate<number>(`{
      const canvas = document.querySelector('#compare-p50 canvas')
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      const swatch = document.querySelectorAll('#compare-p50 .swatch')[1]
      const wanted = getComputedStyle(swatch).backgroundColor.match(/\\d+/g).map(Number)
      let found = 0
      for (let i = 0; i < data.length; i += 4) {
        if (wanted.every((part, n) => Math.abs(data[i + n] - part) < 12)) found++
      }
      found
    }`)
    expect(dots).toBeGreaterThan(4)
    await other.context.close()
  })

  test('no page asked anybody else, and none had an error in its console', () => {
    expect([...watched.hosts]).toEqual([new URL(server.url).host])
    expect(watched.errors).toEqual([])
  })
})

/** Pages that axe looks at in dark, too. */
const IN_DARK = ['/', '/apps/billing?range=24h', '/apps/shop/compare', '/alerts']

interface Violation {
  id: string
  impact: string
  nodes: { html: string; failureSummary: string }[]
}

/** What axe finds that is serious, or worse. @param rules these only */
async function violations(page: Page, path: string, rules?: string[]): Promise<unknown[]> {
  const options = { resultTypes: ['violations'], ...(rules ? { runOnly: rules } : {}) }
  const { violations: all } = await page.evaluate<{ violations: Violation[] }>(
    `axe.run(${JSON.stringify(options)})`,
  )
  return all
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({
      path,
      id,
      nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => [html, failureSummary]),
    }))
}
