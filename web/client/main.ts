/** What the pages do in the browser. */
import { type AppData, AppPage } from './app-page.ts'
import { type CompareData, ComparePage } from './compare-page.ts'
import { byId, forgetColours } from './dom.ts'
import { refreshParts } from './list-page.ts'
import { waitForData } from './start-page.ts'

type Data =
  | AppData
  | CompareData
  | { page: 'apps' }
  | { page: 'alerts' }
  | { page: 'start'; app: string | null }

const YEAR_SECONDS = 31_536_000

function themes(onChange: () => void): void {
  const root = document.documentElement
  const isDark = matchMedia('(prefers-color-scheme: dark)')
  byId('theme')?.addEventListener('click', () => {
    const now = root.dataset.theme || (isDark.matches ? 'dark' : 'light')
    root.dataset.theme = now === 'dark' ? 'light' : 'dark'
    // biome-ignore lint/suspicious/noDocumentCookie: the other way of doing it wants https.
    document.cookie = `shelf-theme=${root.dataset.theme}; path=/; max-age=${YEAR_SECONDS}; samesite=lax`
    onChange()
  })
  isDark.addEventListener('change', onChange)
}

function start(): void {
  const block = byId('data')
  let page: AppPage | ComparePage | undefined
  themes(() => {
    forgetColours()
    page?.recolour()
  })
  if (block === null) return
  // Made by our own server.
  const data = JSON.parse(block.textContent ?? '') as Data
  if (data.page === 'app') page = new AppPage(data)
  else if (data.page === 'compare') page = new ComparePage(data)
  else if (data.page === 'apps') refreshParts(['#apps tbody', '.as-of'])
  else if (data.page === 'alerts') refreshParts(['#open', '#incidents'])
  else waitForData(data.app)
}

start()
