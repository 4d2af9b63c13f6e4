/** From nothing to the first chart, as a person comes to it: npm start, shelf demo, a browser. */
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CHROMIUM, NO_CHROMIUM, openBrowser, openPage, signIn } from './browser.ts'
import { shelf } from './stack.ts'

/** Ports that neither a stack of the developer's nor the other tests use. */
const OFFSET = 8200 + (process.pid % 2000)

if (CHROMIUM === undefined) test.skip(NO_CHROMIUM, () => {})

describe.skipIf(CHROMIUM === undefined)('a first start', () => {
  test('shows what to paste, and turns live with the first burst of shelf demo', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'shelf-first-'))
    const env = { SHELF_DIR: dir, SHELF_PORT_OFFSET: String(OFFSET) }
    const stack = shelf(['up'], env)
    const browser = await openBrowser()
    try {
      const urls = await readUrls(stack.stdout)
      const { page, errors } = await openPage(browser)
      await signIn(page, urls.dashboard ?? '', urls.token ?? '')
      expect(await page.textContent('h1')).toBe('No data yet')
      expect(await page.textContent('main')).toContain(
        'heroku drains:add "$(npm run -s shelf -- drain add my-app)"',
      )
      const demo = shelf(['demo', '--rate', '50'], env)
      await page.waitForURL(/\/apps\/demo\?range=30m/, { timeout: 60_000 })
      await page.waitForSelector('#throughput canvas')
      // More requests come while one looks.
      const first = await page.textContent('#throughput [data-line="2"]')
      await page.waitForFunction(
        (before) => document.querySelector('#throughput [data-line="2"]')?.textContent !== before,
        first,
        { timeout: 60_000 },
      )
      demo.kill('SIGTERM')
      await demo.exited
      expect(errors).toEqual([])
    } finally {
      await browser.close()
      stack.kill('SIGINT')
      await stack.exited
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

async function readUrls(stdout: ReadableStream<Uint8Array>): Promise<Record<string, string>> {
  const urls: Record<string, string> = {}
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stdout) {
    text += decoder.decode(chunk)
    for (const [, name = '', url = ''] of text.matchAll(/^(\w+) +(\S+)\n/gm)) urls[name] = url
    if (urls.broker !== undefined) return urls
  }
  throw new Error(`the stack did not start: ${text}`)
}
