/** A real Chromium, where the machine has one. */
import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const PATHS = [
  process.env.SHELF_TEST_CHROMIUM ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
]

export const CHROMIUM = PATHS.find((path) => path !== '' && existsSync(path))

export const NO_CHROMIUM = 'NOT TESTED: there is no Chromium (Debian: apt-get install chromium)'

/** A name that leads here, as that of a server elsewhere would. */
export const REMOTE = 'shelf.example'

export function openBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error(NO_CHROMIUM)
  // As root, and in containers, it has no sandbox of its own.
  return chromium.launch({
    executablePath: CHROMIUM,
    // A host that is not this machine, for which plain http is no safe context.
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      `--host-resolver-rules=MAP ${REMOTE} 127.0.0.1`,
    ],
  })
}

export interface Watched {
  page: Page
  context: BrowserContext
  /** Errors of the console, of scripts, and of what could not be loaded. */
  errors: string[]
  /** Where requests went. */
  hosts: Set<string>
}

export async function openPage(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    timezoneId: 'UTC',
    ...options,
  })
  const page = await context.newPage()
  const watched: Watched = { page, context, errors: [], hosts: new Set() }
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      watched.errors.push(message.text())
  })
  page.on('pageerror', (error) => watched.errors.push(error.message))
  page.on('request', (request) => watched.hosts.add(new URL(request.url()).host))
  return watched
}

export async function signIn(page: Page, url: string, token: string, to = '/'): Promise<void> {
  await page.goto(`${url}${to}`)
  await page.fill('#token', token)
  await page.click('button.primary')
  await page.waitForURL(`${url}${to}`)
}
